package hub

import (
	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/timer"
	"github.com/nightjarmq/nightjar/internal/transport"
)

// remains are what the store has of a session that has ended: its will, which is
// published, and messages of shared subscriptions. Other members get them, in order, in
// pieces so that nobody waits for a long queue; then the session is removed. A restart
// goes on with what is left: the session is there still, and its time is over.
// [MQTT-3.1.2-8] [MQTT-4.8.2-5]
type remains struct {
	hub     *Hub
	client  *Client
	session store.SessionID
	will    *store.Will // nil: none, or it was published
	refused bool        // the store has refused something, and the log knows
	begun   bool        // what was sent has been passed on
	after   store.Seq   // behind which the queue goes on
	timer   timer.Entry
}

// remainsPiece is how many messages are passed on in one piece.
const remainsPiece = 512

// remainsRetry is how long what the store does not take, or give, waits: milliseconds.
const remainsRetry = 5000

// Expire passes another piece on.
func (r *remains) Expire(now int64) (next int64) {
	r.hub.with(func(b *transport.Batch) { next = r.pass(b) })
	return next
}

// pass passes a piece on and returns when to go on; 0: that was all, and the session
// is removed.
func (r *remains) pass(b *transport.Batch) (next int64) {
	more, err := r.piece(b)
	switch {
	case err != nil:
		if !r.refused {
			r.refused = true
			r.hub.log.Error("what an ended session has left for others waits", "client", r.client.ID, "err", err)
		}
		return b.Now + remainsRetry
	case more:
		return b.Now + timer.Tick
	}
	leave := departure{recs: []store.Record{&store.SessionRemoved{Session: r.session}}}
	r.hub.storeDeparture(&leave)
	return 0
}

func (r *remains) piece(b *transport.Batch) (more bool, err error) {
	if err := r.hub.owed.settle(); err != nil { // else the store may have what was passed on already
		return true, err
	}
	if r.will != nil {
		if err := r.hub.publishWill(b, r.client, r.will, &store.WillTaken{Session: r.session}); err != nil {
			return true, err
		}
		r.will = nil
	}
	if !r.begun {
		if r.client.unfiled() {
			return true, nil
		}
		sent, err := r.hub.store.Resume(r.session)
		if err == nil {
			err = r.give(b, sent.Inflight)
		}
		if err != nil {
			return true, err
		}
		r.begun = true
	}
	list, err := r.hub.store.Queue(nil, r.session, r.after, remainsPiece)
	if err == nil {
		err = r.give(b, list)
	}
	if err != nil || len(list) < remainsPiece {
		return false, err
	}
	r.after = list[len(list)-1].Seq
	return true, nil
}

// unfiled reports whether a message that the client took before its session ended
// is not in the store yet. It will be in a moment: its publisher has it in hand.
func (c *Client) unfiled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending > 0
}

// passUnsent passes on a message of QoS 2 that has the identifier of a session that
// has ended, which it was never sent with.
func (h *Hub) passUnsent(p *pending, pub *message.Publication, seq store.Seq) {
	m := stray{
		session.Entry{Message: pub.Keep(), QoS: p.to.QoS, Share: p.to.Share}, store.Done{Session: p.to.Session, Seq: seq},
	}
	h.with(func(b *transport.Batch) { h.passOnOrKeep(b, m) }) // not the batch in which it is being published
}

// give passes on what others may have. After an error it is called again with what is
// left.
func (r *remains) give(b *transport.Batch, list []store.Entry) error {
	for i := range list {
		if e := entry(&list[i]); e.Share != "" && e.Message != nil && passes(&e) {
			if err := r.hub.passOn(b, &e, store.Done{Session: r.session, Seq: list[i].Seq}); err != nil {
				return err
			}
		}
	}
	return nil
}

// passes reports whether another member gets what the session of one has left: what
// was sent at QoS 2 nobody else may have. [MQTT-4.8.2-5]
func passes(e *session.Entry) bool { return e.QoS == 1 || e.PacketID == 0 }

// passOn gives a message of a shared subscription, that its member has not
// acknowledged, to another one. moved is its delivery in the store, if it has one:
// that ends with it. With an error the store takes nothing at present, nobody has got
// it, and it is not counted: the caller has it still. [MQTT-4.8.2-5]
func (h *Hub) passOn(b *transport.Batch, e *session.Entry, moved store.Done) error {
	l := local(b)
	if moved.Seq != 0 {
		if err := h.store.Refusal(); err != nil {
			return err
		}
	}
	if e.Message.Expired(b.Now) { // [MQTT-3.3.2-5]
		l.Stats.Dropped[Expired]++
		return nil
	}
	pub := &l.Pub
	pub.SetKept(e.Message, b.Now)
	l.begin()
	l.moved = moved
	g := l.group(pub.Topic, e.Share)
	if g == nil {
		return nil
	}
	h.deliverShared(b, l, g, pub)
	pub.Retain = false // what it meant for the retained message was done when it was published
	_, err := h.submit(b, l, nil, pub, 0)
	if err != nil && len(l.to) == 0 { // a member whose session is in memory has it, and must not get it each time that it is tried
		h.owe(&moved)
		return nil
	}
	return err
}
