package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// retryDelay is the pause before sub connects again after the connection was lost.
const retryDelay = time.Second

// Sub is the command sub, which takes the options of mosquitto_sub. It ends when it has received what was asked for, or
// when ctx ends. It returns the exit status: 0, the CONNACK code of a server that refuses, 27 when the time of -W is over,
// 1 for everything else.
func Sub(ctx context.Context, args []string, io Streams) int {
	o, err := readOptions(forSub, args, io)
	if err != nil {
		return o.report(err)
	}
	s := &subscriber{o: o, out: newOutput(io.Out), cleared: make(chan struct{})}
	copts, err := o.clientOptions(s.out, new(client.Session))
	if err != nil {
		return o.report(err)
	}
	copts.Handler = s.handle
	return s.run(ctx, copts)
}

type subscriber struct {
	o       *options
	out     *output
	c       *client.Client
	cleared chan struct{} // closed when the last message was printed and all removals were answered

	// What follows belongs to the reading goroutine of the client, of which there is one at a time.
	printed  int
	full     bool            // do not print any more
	clearing int             // retained messages whose removal is under way
	format   []formatPart    // parsed -F
	line     strings.Builder // one message
	watch    watch           // of -w

	meter meter // of --message-rate
}

// run connects, and again when the connection is lost.
func (s *subscriber) run(ctx context.Context, copts client.Options) int {
	o := s.o
	s.format = parseFormat(o.format)
	if o.watch {
		s.watch.begin(s.out, o.server())
	}
	if o.messageRate {
		defer s.measure()()
	}
	var timeout <-chan time.Time
	for first := true; ; first = false {
		c, err := client.Dial(ctx, o.url(), copts)
		if ctx.Err() != nil {
			return 0
		}
		var refused *client.Error
		if err != nil && (first || errors.As(err, &refused)) {
			return o.failedConnect(err)
		}
		if first && o.timeout > 0 {
			timer := time.NewTimer(time.Duration(o.timeout) * time.Second)
			defer timer.Stop()
			timeout = timer.C
		}
		if err == nil {
			s.c = c
			if status, again := s.session(ctx, timeout); !again {
				return status
			}
		}
		select {
		case <-time.After(retryDelay):
		case <-timeout:
			o.complain("Timed out")
			return exitTimeout
		case <-ctx.Done():
			return 0
		}
	}
}

// session is one connection. again is true when it was lost and should be made anew.
func (s *subscriber) session(ctx context.Context, timeout <-chan time.Time) (status int, again bool) {
	defer s.c.Close()
	answered := make(chan error, 1)
	asking, cancel := context.WithCancel(ctx)
	go func() { answered <- s.ask(asking) }()
	defer func() {
		cancel()
		if answered != nil {
			<-answered
		}
	}()
	code := packet.Success
	for {
		select {
		case err := <-answered:
			answered = nil
			if err != nil && s.c.Err() == nil { // the server refused all of it
				s.o.complain("Error: %v", err)
			} else if err != nil || !s.o.exitAfterSub {
				continue
			}
		case <-s.cleared:
		case <-timeout:
			s.o.complain("Timed out")
			status = exitTimeout
		case <-ctx.Done():
			code = packet.DisconnectWithWill
		case <-s.c.Done():
			return s.lost()
		}
		s.c.Disconnect(context.WithoutCancel(ctx), s.o.disconnectProps.disconnect(code))
		return status, false
	}
}

// lost decides what the end of the connection means: a reason of the server is final, else it is worth another try.
func (s *subscriber) lost() (status int, again bool) {
	var reason *client.Error
	var broken *packet.Error
	switch err := s.c.Err(); {
	case errors.Is(err, client.ErrClosed): // by finish
		return 0, false
	case errors.As(err, &reason):
		s.o.complain("Error: %v", reason)
		return 0, false
	case errors.As(err, &broken):
		s.o.complain("Error: %v", err)
		return exitProtocol, false
	}
	return 0, true
}

// ask subscribes and unsubscribes. It fails if nothing was granted.
func (s *subscriber) ask(ctx context.Context) error {
	o := s.o
	opts := o.subscription()
	if len(o.topics) > 0 {
		p := &packet.Subscribe{SubscriptionID: o.subscribeProps.number(0x0B), User: o.subscribeProps.user()}
		for _, f := range o.topics {
			p.Filters = append(p.Filters, packet.SubscribeFilter{Filter: f, Options: opts})
		}
		// All messages go to Options.Handler: what two subscriptions match is printed once.
		answer, err := s.c.Subscribe(ctx, p, nil)
		if answer == nil {
			return err
		}
		s.subscribed(answer)
		granted := false
		for i, code := range answer.Codes {
			granted = granted || !code.Failed()
			if code.Failed() && len(answer.Codes) > 1 {
				o.complain("Warning: the server refuses the subscription to %s: %v", o.topics[i], code)
			}
		}
		if !granted {
			return fmt.Errorf("all subscriptions were refused: %w", err)
		}
	}
	for _, f := range o.unsubscribe {
		if _, err := s.c.Unsubscribe(ctx, &packet.Unsubscribe{Filters: []string{f}, User: o.unsubscribeProps.user()}); err != nil {
			return err
		}
	}
	return nil
}

// measure begins to print the rate. The function that it returns ends that.
func (s *subscriber) measure() (end func()) {
	ticker := time.NewTicker(time.Second)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		s.meter.run(s.out, ticker.C, stop)
	}()
	return func() {
		ticker.Stop()
		close(stop)
		<-stopped
	}
}

// subscription gives the options of a filter.
func (o *options) subscription() packet.Options {
	opts := packet.Options{QoS: o.qos, RetainAsPublished: o.asPublished}
	if o.noRetained {
		opts.RetainHandling = 2
	}
	opts.RetainHandling = o.retainHandling.Or(opts.RetainHandling)
	return opts
}

// subscribed prints the granted QoS for -d.
func (s *subscriber) subscribed(a *packet.Suback) {
	if !s.o.debug || s.o.quiet {
		return
	}
	codes := make([]string, len(a.Codes))
	for i, c := range a.Codes {
		codes[i] = fmt.Sprint(byte(c))
	}
	s.out.printf("Subscribed (mid: %d): %s\n", a.PacketID, strings.Join(codes, ", "))
}

// handle prints one message.
func (s *subscriber) handle(ctx context.Context, m *packet.Publish) {
	o := s.o
	switch {
	case s.full:
		return
	case o.retainedOnly && !m.Retain:
		s.finish(ctx)
		return
	}
	for _, f := range o.filterOut {
		if topic.Match(f, m.Topic) {
			return
		}
	}
	if o.removeRetained && m.Retain {
		s.clear(ctx, m.Topic)
	}
	if m.Retain && o.noRetained {
		return
	}
	if o.randomShare >= 100 || rand.Float64()*100 < o.randomShare {
		s.print(m)
	}
	if s.printed++; o.count > 0 && s.printed == o.count {
		s.finish(ctx)
	}
}

// clear removes a retained message from the server. -C and --retained-only wait for the answer.
func (s *subscriber) clear(ctx context.Context, name []byte) {
	empty := &packet.Publish{Topic: name, QoS: 1, Retain: true}
	err := client.FromContext(ctx).PublishAsync(ctx, empty, func(packet.Ack, error) {
		if s.clearing--; s.full && s.clearing == 0 {
			close(s.cleared)
		}
	})
	if err != nil {
		s.o.complain("Warning: cannot remove the retained message of %s: %v", name, err)
		return
	}
	s.clearing++
}

// finish prints no more and says goodbye, after the removals that are under way. The message at hand is the last one that is
// acknowledged, so that a durable session keeps those that follow.
func (s *subscriber) finish(ctx context.Context) {
	s.full = true
	if s.clearing == 0 {
		client.FromContext(ctx).Disconnect(ctx, s.o.disconnectProps.disconnect(packet.Success))
	}
}

func (s *subscriber) print(m *packet.Publish) {
	o := s.o
	s.line.Reset()
	switch {
	case o.messageRate:
		s.meter.count.Add(1)
		return
	case o.format != "":
		if err := s.formatMessage(m, time.Now()); err != nil {
			o.complain("Error: %v.", err)
		}
	case len(m.Payload) == 0 && !o.verbose:
		return
	case o.verbose:
		if len(m.Payload) == 0 {
			if o.noNewline {
				return
			}
			s.line.WriteString(string(m.Topic) + " (null)")
			break
		}
		s.line.Write(m.Topic)
		s.line.WriteByte(' ')
		s.line.Write(m.Payload)
	default:
		s.line.Write(m.Payload)
	}
	if !o.noNewline {
		s.line.WriteByte('\n')
	}
	s.out.write(func(w *bufio.Writer) {
		if o.watch {
			s.watch.print(w, m.Topic, s.line.String())
		} else {
			w.WriteString(s.line.String())
		}
	})
}

// watch is the screen of -w: each topic has a line of its own, in the order in which the topics first came.
type watch struct {
	lines map[string]int // rows of the terminal by topic
}

// firstRow is below the line that names the server.
const firstRow = 2

// begin clears the screen.
func (w *watch) begin(out *output, server string) {
	w.lines = make(map[string]int)
	out.printf("\x1b[2J\x1b[1;1HBroker: %s\n", server)
}

// print writes text, one message, over the last one of its topic. What is left of a longer one goes away. The cursor ends
// below the lowest line, where a shell can go on.
func (w *watch) print(out *bufio.Writer, name []byte, text string) {
	row, ok := w.lines[string(name)]
	if !ok {
		row = firstRow + len(w.lines)
		w.lines[string(name)] = row
	}
	fmt.Fprintf(out, "\x1b[%d;1H\x1b[K%s\x1b[%d;1H\n", row, text, firstRow+len(w.lines)-1)
}

// meter is --message-rate: it counts messages instead of printing them.
type meter struct {
	count atomic.Int64
}

// run prints every second how many messages came in it, until end is closed, and then those that remain.
func (m *meter) run(out *output, tick <-chan time.Time, end <-chan struct{}) {
	for {
		select {
		case <-tick:
			out.printf("%d\n", m.count.Swap(0))
		case <-end:
			if n := m.count.Swap(0); n > 0 {
				out.printf("%d\n", n)
			}
			return
		}
	}
}
