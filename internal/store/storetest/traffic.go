package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
)

// Traffic makes random submissions, for tests that need much of everything:
// few sessions that come and go, messages for one and for many, some of them
// large, queues that grow long and end. What it makes depends on rng alone.
type Traffic struct {
	rng    *rand.Rand
	recent []store.Seq
	n      int
}

// NewTraffic begins with no session open.
func NewTraffic(rng *rand.Rand) *Traffic { return &Traffic{rng: rng} }

const trafficSessions = 6

// Next makes a submission. The records are the caller's.
func (t *Traffic) Next() []store.Record {
	t.n++
	if t.rng.IntN(120) == 0 {
		return t.burst()
	}
	recs := make([]store.Record, t.rng.IntN(4))
	for i := range recs {
		recs[i] = t.record()
	}
	return recs
}

// Submitted is told the records of Next when a store has numbered them, so that
// later ones can speak of their messages.
func (t *Traffic) Submitted(recs []store.Record) {
	for _, r := range recs {
		if p, ok := r.(*store.Published); ok {
			t.recent = append(t.recent, p.Seq)
		}
	}
	if n := len(t.recent) - 12; n > 0 {
		t.recent = t.recent[n:]
	}
}

// burst is a queue of hundreds, whose end later is the end of a long queue.
func (t *Traffic) burst() []store.Record {
	recs := []store.Record{t.opened()}
	for range 300 {
		recs = append(recs, &store.Published{Message: t.message(), To: []store.Recipient{t.recipient()}})
	}
	return recs
}

func (t *Traffic) record() store.Record {
	id, pid := t.session(), uint16(t.rng.IntN(5))
	switch t.rng.IntN(24) {
	case 0, 1, 2:
		return t.opened()
	case 3:
		return &store.SessionClosed{Session: id, Expiry: uint32(pid), KeepWill: pid > 2, Time: int64(t.n)}
	case 4:
		if pid == 0 {
			return &store.SessionRemoved{Session: id}
		}
		return &store.WillTaken{Session: id}
	case 5, 6:
		o := packet.Options{QoS: byte(pid % 3), NoLocal: pid > 2, RetainAsPublished: pid > 3, RetainHandling: byte(pid % 3)}
		return &store.Subscribed{Session: id, Filter: t.name(), Options: o, ID: uint32(t.n)}
	case 7:
		return &store.Unsubscribed{Session: id, Filter: t.name()}
	case 8, 9:
		return &store.Sent{Session: id, Seq: t.seq(), PacketID: pid}
	case 10:
		return &store.Received{Session: id, Seq: t.seq(), PacketID: pid}
	case 11, 12, 13, 14:
		return &store.Done{Session: id, Seq: t.seq()}
	case 15:
		return &store.Incoming{Session: id, PacketID: pid}
	case 16:
		return &store.Released{Session: id, PacketID: pid}
	}
	p := &store.Published{Message: t.message(), Retain: t.rng.IntN(4) == 0, From: id, FromID: pid}
	for range t.rng.IntN(4) {
		p.To = append(p.To, t.recipient())
	}
	return p
}

func (t *Traffic) opened() store.Record {
	r := &store.SessionOpened{
		Session: t.session(), Epoch: uint32(1 + t.rng.IntN(2)), ClientID: t.name(), User: t.name(),
		Expiry: uint32(t.rng.IntN(100)), Time: int64(t.n),
	}
	if t.rng.IntN(2) == 0 {
		r.Will = &store.Will{Message: t.message(), Delay: uint32(t.n), Expiry: packet.Some(uint32(t.n))}
	}
	return r
}

func (t *Traffic) session() store.SessionID { return store.SessionID(1 + t.rng.IntN(trafficSessions)) }

func (t *Traffic) name() string { return fmt.Sprintf("name/%d", t.rng.IntN(8)) }

func (t *Traffic) seq() store.Seq {
	if len(t.recent) == 0 {
		return 0
	}
	return t.recent[t.rng.IntN(len(t.recent))]
}

func (t *Traffic) recipient() store.Recipient {
	to := store.Recipient{
		Session: t.session(), Epoch: uint32(1 + t.rng.IntN(2)), PacketID: uint16(t.rng.IntN(5)),
		QoS: byte(1 + t.rng.IntN(2)), Retain: t.rng.IntN(2) == 0,
	}
	for range t.rng.IntN(3) {
		to.IDs = append(to.IDs, uint32(1+t.rng.IntN(1<<28-1)))
	}
	if to.PacketID == 0 {
		to.Share = "g/a"
	}
	return to
}

// message is one whose payload tells it from all others.
func (t *Traffic) message() *message.Message {
	m := &message.Message{Topic: t.name(), QoS: byte(t.rng.IntN(3)), Retain: t.rng.IntN(2) == 0, Expires: int64(t.rng.IntN(1000))}
	switch t.rng.IntN(10) {
	case 0:
		return m // without a payload
	case 1:
		m.Payload = bytes.Repeat(fmt.Appendf(nil, "%d,", t.rng.Uint32()), 1+t.rng.IntN(1000))
	default:
		m.Payload = fmt.Appendf(nil, "%d,%d", t.n, t.rng.Uint32())
	}
	if t.rng.IntN(3) == 0 {
		m.Props = []byte{1, 1}
	}
	return m
}
