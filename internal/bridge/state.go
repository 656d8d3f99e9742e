package bridge

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// stats is what a bridge tells about itself.
type stats struct {
	sent, received, droppedOut, droppedIn, refused atomic.Int64

	out, in underWay
	stuck   atomic.Int64 // see State

	mu    sync.Mutex
	state string // guarded by mu
	err   string // guarded by mu: the latest
}

// underWay are the packet identifiers of messages that were passed on and not acknowledged. A message is counted when it is
// passed on for the first time, and its DUP does not say that: it tells that the message was sent to the bridge before, by
// a connection that may have ended before it was passed on.
type underWay [1 << 16 / 64]atomic.Uint64

// count counts the message, unless it was passed on before.
func (u *underWay) count(n *atomic.Int64, p *packet.Publish) {
	bit := uint64(1) << (p.PacketID % 64)
	if p.QoS == 0 || u[p.PacketID/64].Or(bit)&bit == 0 || !p.Dup {
		n.Add(1)
	}
}

// done tells that the message with the identifier is acknowledged.
func (u *underWay) done(id uint16) { u[id/64].And(^(uint64(1) << (id % 64))) }

// acknowledged is told of each acknowledgement. With the last one of a message that is done.
func (u *underWay) acknowledged(t packet.Type, a *packet.Ack) {
	if t != packet.TypePubrec || a.Code >= packet.UnspecifiedError {
		u.done(a.PacketID)
	}
}

// clear is for a session that is new.
func (u *underWay) clear() {
	for i := range u {
		u[i].Store(0)
	}
}

func (s *stats) set(state string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	if err != nil {
		s.err = err.Error()
	}
}

// interval is how often $SYS is updated.
const interval = time.Second

// publish keeps $SYS/broker/bridge/NAME up to date until ctx ends, and says how it ended.
func (b *Bridge) publish(ctx context.Context) {
	last := map[string]string{}
	var sent, received int64
	tell := func(ctx context.Context) {
		for _, v := range b.values(&sent, &received) {
			if last[v.name] != v.value && b.local.Tell(ctx, b.topic(v), []byte(v.value)) == nil {
				last[v.name] = v.value
			}
		}
	}
	for tell(ctx); sleep(ctx, interval); {
		tell(ctx)
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	tell(bounded)
}

// State is what a bridge tells about itself.
type State struct {
	State       string // starting, connecting, connected, disconnected, idle, ended
	Error       string // the latest
	Queued      int    // messages that wait for the remote
	QueuedBytes int64

	// Messages since the start.
	Sent, Received, DroppedOut, DroppedIn, Refused int64

	Stuck int64 // how many connections in a row have ended over one message, if those are too many; else 0
}

// State tells what the bridge does.
func (b *Bridge) State() State {
	s := &b.stats
	s.mu.Lock()
	now := State{State: s.state, Error: s.err}
	s.mu.Unlock()
	now.Queued, now.QueuedBytes = b.local.Queued(b.c.LocalClientID)
	now.Sent, now.Received, now.Refused = s.sent.Load(), s.received.Load(), s.refused.Load()
	now.DroppedOut, now.DroppedIn = s.droppedOut.Load(), s.droppedIn.Load()
	now.Stuck = s.stuck.Load()
	return now
}

type value struct{ name, value string }

// values are the topics below $SYS/broker/bridge/NAME. sent and received are the counts of the last time.
func (b *Bridge) values(sent, received *int64) []value {
	s := b.State()
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	list := []value{
		{"state", s.State}, {"error", s.Error},
		{"queue/messages", n(int64(s.Queued))}, {"queue/bytes", n(s.QueuedBytes)},
		{"messages/sent", n(s.Sent)}, {"messages/received", n(s.Received)},
		{"messages/sent/second", n(s.Sent - *sent)}, {"messages/received/second", n(s.Received - *received)},
		{"messages/dropped/out", n(s.DroppedOut)}, {"messages/dropped/in", n(s.DroppedIn)},
		{"messages/refused", n(s.Refused)}, {"messages/stuck", n(s.Stuck)},
	}
	*sent, *received = s.Sent, s.Received
	return list
}

// Forget ends the local session of a bridge that does not run any more, and removes what it has published about itself.
func (b *Bridge) Forget(ctx context.Context) error {
	var none int64
	for _, v := range b.values(&none, &none) {
		if err := b.local.Tell(ctx, b.topic(v), nil); err != nil {
			return err
		}
	}
	if b.c.Notify {
		if err := b.local.Tell(ctx, b.c.notifyTopic(), nil); err != nil {
			return err
		}
	}
	b.c.LocalCleanStart = true // and so it expires with its connection [MQTT-3.1.2-4]
	e, _, err := b.openLocal(nil)
	if err != nil {
		return err
	}
	defer e.conn.Close()
	if err := e.write(&packet.Disconnect{}); err != nil {
		return err
	}
	return e.flush()
}

func (b *Bridge) topic(v value) string { return "$SYS/broker/bridge/" + b.c.Name + "/" + v.name }
