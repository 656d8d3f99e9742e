package cli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// RR is the command rr, which takes the options of mosquitto_rr: it subscribes to the response topic, publishes a request
// and prints the first message that comes. It returns the exit status: 0, the CONNACK code of a server that refuses, 27
// when the time of -W is over, 7 when the connection is lost, 1 for everything else.
//
// It differs from mosquitto_rr where that leaves something undone: -f and -s send what they read (2.0 sends nothing of it),
// -R passes over retained messages, the end is a DISCONNECT so that no will is published, and a refused subscription or
// request ends with status 1.
func RR(ctx context.Context, args []string, io Streams) int {
	o, err := readOptions(forRR, args, io)
	if err != nil {
		return o.report(err)
	}
	r := &requester{publisher: publisher{o: o}, response: subscriber{o: o, out: newOutput(io.Out), format: parseFormat(o.format)}}
	if err := r.load(); err != nil {
		return o.report(err)
	}
	if p := &r.message; p.Forward == nil { // the properties of -D go before it
		p.ResponseTopic = []byte(o.response)
	} else {
		p.Forward = packet.AppendString(append(p.Forward, 0x08), o.response)
	}
	copts, err := o.clientOptions(r.response.out, nil)
	if err != nil {
		return o.report(err)
	}
	copts.Handler = r.handle
	if r.c, err = client.Dial(ctx, o.url(), copts); err != nil {
		return o.failedConnect(err)
	}
	r.id = 1
	return r.wait(ctx)
}

// requester publishes like pub and prints like sub.
type requester struct {
	publisher
	response subscriber
	answered bool                      // owned by the reading goroutine of the client
	sent     atomic.Pointer[time.Time] // when the request was sent; nil before
}

// handle prints the response and says goodbye.
func (r *requester) handle(ctx context.Context, m *packet.Publish) {
	if r.answered || m.Retain && r.o.noRetained {
		return
	}
	r.answered = true
	now := time.Now()
	r.response.print(m)
	if sent := r.sent.Load(); r.o.latency && sent != nil {
		r.response.out.printf("Latency: %s\n", latency(now.Sub(*sent)))
	}
	client.FromContext(ctx).Disconnect(ctx, r.o.disconnectProps.disconnect(packet.Success))
}

// latency writes a time as mosquitto_rr does.
func latency(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%d.%09d", d/time.Second, d%time.Second)
	case d < time.Microsecond:
		return fmt.Sprintf("%dns", d)
	case d < time.Millisecond:
		return fmt.Sprintf("%fµs", float64(d)/1e3)
	}
	return fmt.Sprintf("%fms", float64(d)/1e6)
}

// wait asks and returns when the response was printed, or nothing can be expected any more.
func (r *requester) wait(ctx context.Context) int {
	waiting := ctx
	if r.o.timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(r.o.timeout)*time.Second)
		defer cancel()
		waiting = limited
	}
	err := r.ask(waiting)
	if err == nil {
		select {
		case <-r.c.Done():
		case <-waiting.Done():
		}
	}
	switch {
	case errors.Is(r.c.Err(), client.ErrClosed): // by handle
		<-r.c.Done()
		return exitOK
	case ctx.Err() == nil && waiting.Err() != nil:
		r.c.Disconnect(ctx, r.o.disconnectProps.disconnect(packet.DisconnectWithWill))
		r.o.complain("Timed out")
		return exitTimeout
	case err == nil && ctx.Err() == nil:
		err = r.c.Err()
	}
	return r.end(ctx, err)
}

// ask subscribes and publishes the request.
func (r *requester) ask(ctx context.Context) error {
	o := r.o
	s := client.To(o.response, o.qos)
	s.SubscriptionID, s.User = o.subscribeProps.number(0x0B), o.subscribeProps.user()
	s.Filters[0].Options = o.subscription()
	a, err := r.c.Subscribe(ctx, s, nil) // what a resumed session still has comes to the same handler
	if err != nil {
		return err
	}
	r.response.subscribed(a)
	now := time.Now()
	r.sent.Store(&now)
	if err := r.c.Publish(ctx, &r.message); err != nil {
		return fmt.Errorf("the request was not accepted: %w", err)
	}
	return nil
}
