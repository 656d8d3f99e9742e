package hub

import "sync/atomic"

// Cause is why a message was dropped.
type Cause uint8

// The causes of a drop.
const (
	SlowReceiver Cause = iota // QoS 0, and the receiver's connection is full
	QueueFull                 // the receiver's queue is at its limit
	Expired                   // its Message Expiry Interval ran out
	TooLarge                  // above the receiver's Maximum Packet Size
	NotAllowed                // the receiver may not read the topic
	StoreFailed               // the store refused it
	NoMember                  // nobody in the shared subscription could take it
	causes
)

// String names the cause for people and for $SYS.
func (c Cause) String() string {
	return [...]string{"slow receiver", "queue full", "expired", "too large", "not allowed", "store failed", "no member"}[c]
}

// Causes lists all causes.
func Causes() []Cause {
	all := make([]Cause, causes)
	for i := range all {
		all[i] = Cause(i)
	}
	return all
}

// Ending is why a connection ended, as far as it was the client's fault or its
// time was over.
type Ending uint8

// Why connections end.
const (
	NoConnect    Ending = iota // no CONNECT came in time
	NotConnect                 // the first packet was another one
	Malformed                  // a packet of a wrong form
	Violation                  // a packet that the protocol forbids
	TooLong                    // a packet above the Maximum Packet Size
	Unauthorized               // it may not connect, or do what it did
	OverQuota                  // more than it is allowed
	Silence                    // its Keep Alive was over
	TakenOver                  // its Client Identifier connected again
	endings
)

// String names the ending for people and for $SYS.
func (e Ending) String() string {
	return [...]string{
		"no connect", "first packet not connect", "malformed packet", "protocol error", "packet too large", "not authorized",
		"quota exceeded", "keep alive timeout", "taken over",
	}[e]
}

// Endings lists them all.
func Endings() []Ending {
	all := make([]Ending, endings)
	for i := range all {
		all[i] = Ending(i)
	}
	return all
}

// Stats counts what one goroutine did since the last Sync.
type Stats struct {
	PacketsIn, PacketsOut     int64
	BytesIn, BytesOut         int64
	PublishIn, PublishOut     int64
	PublishInB, PublishOutB   int64 // payload bytes
	Connects, Refused, Closed int64
	Denied                    int64 // publishes and subscriptions that Access refused
	Dropped                   [causes]int64
	Ended                     [endings]int64
}

// Counters are the sums of a Local, readable from other goroutines.
type Counters struct {
	PacketsIn, PacketsOut   atomic.Int64
	BytesIn, BytesOut       atomic.Int64
	PublishIn, PublishOut   atomic.Int64
	PublishInB, PublishOutB atomic.Int64
	Connects, Refused       atomic.Int64
	Closed, Denied          atomic.Int64
	Dropped                 [causes]atomic.Int64
	Ended                   [endings]atomic.Int64
}

// Sync makes what was counted visible to Totals. A loop calls it once per read
// batch, so that counting costs no atomic operation per message. now is unix
// milliseconds: from time to time routes are let go that are no longer valid, or not used.
func (l *Local) Sync(now int64) {
	if now-l.swept >= sweepEvery {
		l.swept = now
		l.cache.Sweep()
	}
	l.Tracing, l.looks = l.hub.Tracing(), mostLooks
	l.Stats.Dropped[QueueFull] += l.evicted
	l.evicted = 0
	s, t := &l.Stats, &l.total
	move(&s.PacketsIn, &t.PacketsIn)
	move(&s.PacketsOut, &t.PacketsOut)
	move(&s.BytesIn, &t.BytesIn)
	move(&s.BytesOut, &t.BytesOut)
	move(&s.PublishIn, &t.PublishIn)
	move(&s.PublishOut, &t.PublishOut)
	move(&s.PublishInB, &t.PublishInB)
	move(&s.PublishOutB, &t.PublishOutB)
	move(&s.Connects, &t.Connects)
	move(&s.Refused, &t.Refused)
	move(&s.Closed, &t.Closed)
	move(&s.Denied, &t.Denied)
	for i := range s.Dropped {
		move(&s.Dropped[i], &t.Dropped[i])
	}
	for i := range s.Ended {
		move(&s.Ended[i], &t.Ended[i])
	}
}

// sweepEvery is how long, in milliseconds, a stale route may keep clients that are gone in memory, and how often a topic is
// published at least whose route is kept.
const sweepEvery = 60_000

func move(from *int64, to *atomic.Int64) {
	if *from != 0 {
		to.Add(*from)
		*from = 0
	}
}

// Totals adds up what all goroutines have counted.
func (h *Hub) Totals() Stats {
	h.localsMu.Lock()
	defer h.localsMu.Unlock()
	var s Stats
	for _, l := range h.locals {
		t := &l.total
		s.PacketsIn += t.PacketsIn.Load()
		s.PacketsOut += t.PacketsOut.Load()
		s.BytesIn += t.BytesIn.Load()
		s.BytesOut += t.BytesOut.Load()
		s.PublishIn += t.PublishIn.Load()
		s.PublishOut += t.PublishOut.Load()
		s.PublishInB += t.PublishInB.Load()
		s.PublishOutB += t.PublishOutB.Load()
		s.Connects += t.Connects.Load()
		s.Refused += t.Refused.Load()
		s.Closed += t.Closed.Load()
		s.Denied += t.Denied.Load()
		for i := range s.Dropped {
			s.Dropped[i] += t.Dropped[i].Load()
		}
		for i := range s.Ended {
			s.Ended[i] += t.Ended[i].Load()
		}
	}
	return s
}

// Gauges is what the hub holds at a moment.
type Gauges struct {
	Clients       int // sessions, connected or not
	Connected     int
	MaxConnected  int
	Subscriptions int
	Shared        int // of those
}

// Gauges counts what the hub holds.
func (h *Hub) Gauges() Gauges {
	g := Gauges{
		Connected: int(h.connected.Load()), MaxConnected: int(h.maxConnected.Load()),
		Subscriptions: h.routes.Len(), Shared: int(h.shared.Load()),
	}
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		g.Clients += len(s.clients)
		s.mu.Unlock()
	}
	return g
}

// Retained counts the retained messages, the broker's own included.
func (h *Hub) Retained() (messages int, bytes int64) { return h.retained.Len(), h.retainedBytes.Load() }

// ExpiredSessions counts the sessions that ended by their expiry.
func (h *Hub) ExpiredSessions() int64 { return h.expired.Load() }
