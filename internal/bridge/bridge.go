package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// Bridge joins the local broker with a remote one. Make it with New, and let Run run.
type Bridge struct {
	c     Config
	local Local
	log   *slog.Logger
	stats stats

	lastID atomic.Uint32 // the packet identifier that went to the remote last

	// What follows belongs to Run, and to its link while there is one.
	version     packet.Version
	private     bool
	understood  bool // there was a connection with this version and private
	freshLocal  bool // the local session is new to the remote
	freshRemote bool // and the other way round
	released    bool // the remote has forgotten the old one
	subscribed  bool // since the start
	window      uint16
	keepAlive   time.Duration
	next        int // index of the server to try
	pause       time.Duration
	pace        pace
	stuck       first // over which the last connections ended
	stuckTimes  int   // how many those are
}

// New makes a bridge of the local broker. A nil log is silence.
func New(c Config, local Local, log *slog.Logger) *Bridge {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Bridge{c: c, local: local, log: log.With("bridge", c.Name), version: c.Version}
	if b.version == 0 {
		b.version = packet.V5
	}
	b.private = c.Private && b.version < packet.V5
	if c.Rate > 0 {
		b.pace.gap = time.Second / time.Duration(c.Rate)
	}
	b.stats.set("starting", nil)
	return b
}

// Run keeps the bridge up until ctx ends, or until the one connection of a bridge that starts once has ended.
func (b *Bridge) Run(ctx context.Context) {
	publishing, stop := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		b.publish(publishing)
	}()
	b.run(ctx)
	stop()
	<-told
}

func (b *Bridge) run(ctx context.Context) {
	b.tellLocal(ctx, "0")
	for !b.c.LocalCleanStart {
		err := b.prime()
		if err == nil {
			break
		}
		b.log.Warn("the local session of a bridge", "err", err)
		if !sleep(ctx, time.Second) {
			return
		}
	}
	for {
		if b.c.Start == Lazy && !b.awaitWork(ctx) {
			return
		}
		ended, again := b.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if ended && b.c.Start == Once {
			b.stats.set("ended", nil)
			return
		}
		if !again && !sleep(ctx, b.backoff()) {
			return
		}
	}
}

// once connects, to one server after the other, and uses the connection until it ends. again says that it is worth to
// try anew at once.
func (b *Bridge) once(ctx context.Context) (ended, again bool) {
	s := b.c.Servers[b.next]
	b.stats.set("connecting", nil)
	l, err := b.connect(ctx, s)
	if err != nil {
		if ctx.Err() != nil {
			return false, false
		}
		if errors.Is(err, errAgain) {
			return false, true
		}
		if errors.Is(err, errLowered) {
			b.log.Info("the remote broker speaks an older version", "server", s.Address, "version", b.version, "as_bridge", b.private)
			return false, true
		}
		if do := advice(err); do != "" {
			err = fmt.Errorf("%w: %s", err, do)
		}
		b.stats.set("disconnected", err)
		b.log.Warn("a bridge cannot connect", "server", s.Address, "err", err)
		b.next = (b.next + 1) % len(b.c.Servers)
		return b.c.Start == Once && b.next == 0, b.next != 0
	}
	start := time.Now()
	b.understood = true
	b.stats.set("connected", nil)
	b.log.Info("a bridge is connected", "server", s.Address, "version", b.version)
	if b.c.Connected != nil {
		b.c.Connected()
	}
	err = l.run(ctx)
	if time.Since(start) > max(b.c.Restart.Stable, b.c.Restart.Base) {
		b.pause = 0
	}
	b.tellLocal(context.WithoutCancel(ctx), "0")
	if errors.Is(err, errIdle) {
		b.stats.set("idle", nil)
		return true, true
	}
	b.stats.set("disconnected", err)
	if ctx.Err() == nil {
		b.log.Warn("a bridge has lost its connection", "server", s.Address, "err", err)
		b.suspect(l, err)
	}
	if !b.c.RoundRobin {
		b.next = 0 // the first is preferred
	}
	return true, false
}

var (
	errAgain   = errors.New("the sessions have to be opened anew")
	errLowered = errors.New("the remote broker speaks an older version")
)

// lower asks for less when the remote does not speak what it was asked for.
func (b *Bridge) lower(err error) error {
	var no *refusal
	refused := errors.As(err, &no) && no.code == packet.UnsupportedProtocolVersion
	switch {
	case refused && b.version >= packet.V5 && b.c.Version == 0:
		b.version, b.private = packet.V311, b.c.Private
	case refused && b.private:
		b.private = false
	case no == nil && !b.understood && b.version < packet.V5 && b.c.Private:
		b.private = !b.private // perhaps it hangs up on a bridge, perhaps it was the network
		return err
	default:
		return err
	}
	return errLowered
}

// backoff is the next pause.
func (b *Bridge) backoff() time.Duration {
	r := b.c.Restart
	base := max(r.Base, time.Millisecond)
	if r.Cap <= base {
		return base
	}
	b.pause = min(max(2*b.pause, 2*base), r.Cap)
	return base + rand.N(b.pause-base+1)
}

// awaitWork waits until enough messages wait for a lazy bridge. It reports false when ctx ends.
func (b *Bridge) awaitWork(ctx context.Context) bool {
	b.stats.set("idle", nil)
	for {
		if n, _ := b.local.Queued(b.c.LocalClientID); n >= max(b.c.Threshold, 1) {
			return true
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return false
		}
	}
}

// notify publishes that the bridge is connected.
func (b *Bridge) notify(ctx context.Context, l *link, state string) {
	if b.c.Notify && !b.c.NotifyLocal {
		l.remote.write(&packet.Publish{Topic: []byte(b.c.notifyTopic()), Payload: []byte(state), Retain: l.retain})
		l.remote.flush()
	}
	b.tellLocal(ctx, state)
}

func (b *Bridge) tellLocal(ctx context.Context, state string) {
	if !b.c.Notify {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := b.local.Tell(bounded, b.c.notifyTopic(), []byte(state)); err != nil && ctx.Err() == nil {
		b.log.Warn("the state of a bridge is not published", "err", err)
	}
}

// tellRefused logs the filters that a broker does not grant.
func (b *Bridge) tellRefused(at string, list []packet.SubscribeFilter, codes []packet.Code) {
	for i, code := range codes {
		if code.Failed() && i < len(list) {
			b.log.Error("a bridge may not subscribe", "at", at, "filter", list[i].Filter, "why", code)
		}
	}
}

// drop counts and tells of a message that does not cross.
func (b *Bridge) drop(n *atomic.Int64, direction string, p *packet.Publish, why string) {
	n.Add(1)
	b.log.Debug("a message does not cross the bridge", "direction", direction, "topic", string(p.Topic), "why", why)
}

// refused tells of a message that a broker does not take.
func (b *Bridge) refused(at string, code packet.Code) {
	b.stats.refused.Add(1)
	b.log.Warn("a broker refuses a message of the bridge", "at", at, "code", code)
}

// sleep reports false when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
