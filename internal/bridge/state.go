package bridge

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// stats is what a bridge tells about itself.
type stats struct {
	sent, received, droppedOut, droppedIn, refused atomic.Int64

	mu    sync.Mutex
	state string // guarded by mu
	err   string // guarded by mu: the latest
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

// publish keeps $SYS/broker/bridge/NAME up to date until ctx ends.
func (b *Bridge) publish(ctx context.Context) {
	last := map[string]string{}
	var sent, received int64
	for {
		for _, v := range b.values(&sent, &received) {
			if last[v.name] == v.value {
				continue
			}
			if b.local.Tell(ctx, "$SYS/broker/bridge/"+b.c.Name+"/"+v.name, []byte(v.value)) == nil {
				last[v.name] = v.value
			}
		}
		if !sleep(ctx, interval) {
			return
		}
	}
}

type value struct{ name, value string }

// values are the topics below $SYS/broker/bridge/NAME. sent and received are the counts of the last time.
func (b *Bridge) values(sent, received *int64) []value {
	s := &b.stats
	s.mu.Lock()
	state, err := s.state, s.err
	s.mu.Unlock()
	queued, bytes := b.local.Queued(b.c.LocalClientID)
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	out, in := s.sent.Load(), s.received.Load()
	list := []value{
		{"state", state}, {"error", err},
		{"queue/messages", n(int64(queued))}, {"queue/bytes", n(bytes)},
		{"messages/sent", n(out)}, {"messages/received", n(in)},
		{"messages/sent/second", n(out - *sent)}, {"messages/received/second", n(in - *received)},
		{"messages/dropped/out", n(s.droppedOut.Load())}, {"messages/dropped/in", n(s.droppedIn.Load())},
		{"messages/refused", n(s.refused.Load())},
	}
	*sent, *received = out, in
	return list
}
