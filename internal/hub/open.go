package hub

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// NeverExpires is a Session Expiry Interval without end. [MQTT-3.1.2-23]
const NeverExpires = 0xFFFFFFFF

// Opening is a connection that asks for a session.
type Opening struct {
	ClientID   string // not empty
	User       string
	CleanStart bool
	Expiry     uint32 // seconds the session survives the connection
	Will       *store.Will
	Params     session.Params
	Link       *Link // Open sets its Client

	// Answer makes the CONNACK.
	Answer func(dst []byte, present bool) []byte
}

// ErrTakenOver closes a connection whose client identifier connected again.
var ErrTakenOver = errors.New("another connection came with the same client identifier")

// Open connects o.Link to a session: an existing one, or a new one that
// replaces what was there. A connection with the same client identifier is
// closed. [MQTT-3.1.4-3] The CONNACK leaves as soon as the session is durable,
// then what was not acknowledged in an earlier connection.
func (h *Hub) Open(b *transport.Batch, o *Opening) (*Client, error) {
	var leave departure
	s := h.shard(o.ClientID)
	s.mu.Lock()
	old, err := s.find(o)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	if old != nil {
		h.takeOver(b, old, o, &leave)
	} else if err := h.mayOpen(o.User); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	c := old
	if old == nil || old.ended {
		c = h.newClient(o)
		c.mu.Lock()
		s.clients[o.ClientID] = c
		if old == nil {
			h.count(o.User, 1)
		}
		if old != nil {
			old.mu.Unlock()
		}
	}
	s.mu.Unlock()
	if c.due { // before the record of the new connection takes its place in the store
		err = h.publishDue(b, c)
	}
	if err == nil {
		err = h.attach(b, c, o, &leave)
	}
	ended := c.ended
	c.mu.Unlock()
	if ended {
		h.forgetEnded(c)
	}
	h.depart(b, &leave)
	return c, err
}

// find returns the locked client that has the identifier, nil if there is none. Its connection, if it has one, takes nothing
// more from the client, and is done with what it took; or its will has been published, if that was under way. The shard's
// lock is held, but for a while when it has to wait for that.
func (s *shard) find(o *Opening) (*Client, error) {
	for {
		old := s.clients[o.ClientID] // [MQTT-3.1.3-2]
		if old == nil {
			return nil, nil
		}
		old.mu.Lock()
		if old.User != o.User { // a session belongs to who made it
			old.mu.Unlock()
			return nil, &packet.Error{Code: packet.NotAuthorized, Clause: "MQTT-3.1.4-2", Msg: "the client identifier belongs to another user"}
		}
		l := old.link.Load()
		if !old.due && (l == nil || l.is(halted)) {
			return old, nil
		}
		old.mu.Unlock()
		s.mu.Unlock()
		if l != nil {
			l.halt()
		} else {
			runtime.Gosched()
		}
		s.mu.Lock()
	}
}

// forgetEnded takes a session that has ended out of the registry, unless another
// one has its place already.
func (h *Hub) forgetEnded(c *Client) {
	s := h.shard(c.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[c.ID] == c {
		h.forget(s, c)
	}
}

// takeOver closes the old connection, and ends the old session if it does not
// go on. If it does, it is as if it had no connection, and its will may be due.
// [MQTT-3.1.2-4] [MQTT-3.1.2-5] Both locks are held.
func (h *Hub) takeOver(b *transport.Batch, old *Client, o *Opening, leave *departure) {
	goesOn := !o.CleanStart && old.durable != 0 && old.expiry != 0 && !old.ended // [MQTT-4.1.0-2] [MQTT-3.1.4-4]
	if l := old.link.Load(); l != nil {
		h.warn(old.ID, "two connections use one client identifier; the older one is closed. If this repeats, two devices are configured with the same identifier",
			"old", l.Conn.RemoteAddr(), "new", o.Link.Conn.RemoteAddr())
		l.Kick(b, packet.SessionTakenOver, "", ErrTakenOver)
		if goesOn { // else end does, and looks at what the session has left
			h.detach(old)
			old.await(b.Now)
		}
	}
	if !goesOn {
		h.end(old, leave)
		return
	}
	old.due = old.will != nil && (old.will.Delay == 0 || b.Now >= old.willAt) // [MQTT-3.1.3-9]
}

// newClient makes the session of a client that has none. [MQTT-3.1.2-6]
func (h *Hub) newClient(o *Opening) *Client {
	c := &Client{hub: h, ID: o.ClientID, User: o.User}
	if o.Expiry > 0 {
		c.durable = h.store.NewSession()
	}
	return c
}

// shareParams returns p, in the memory of an earlier call if that was the same.
func (h *Hub) shareParams(p session.Params) *session.Params {
	p = p.Complete()
	if last := h.params.Load(); last != nil && *last == p {
		return last
	}
	fresh := p
	h.params.Store(&fresh)
	return &fresh
}

// attach gives the client its connection, once its record is submitted: with an
// error there is no connection, and no session that was not there before. c.mu is
// held.
func (h *Hub) attach(b *transport.Batch, c *Client, o *Opening, leave *departure) error {
	present := c.epoch > 0
	t, err := h.storeOpening(c, o, leave, b.Now)
	if err != nil {
		h.owe(leave.recs...)
		if !present {
			c.ended = true
		}
		return fmt.Errorf("open session %q: %w", c.ID, unopened(err))
	}
	c.epoch++
	c.expiry, c.will = o.Expiry, o.Will // [MQTT-3.1.2-7] [3.1.1: MQTT-3.1.2-12]
	c.willAt, c.endAt = 0, 0            // [MQTT-3.1.3-9]
	h.timers.Stop(&c.timer)
	p := o.Params
	p.Durable, p.Spare = c.durable != 0, &h.spare
	q := h.limits.Load().queue(c.ID)
	p.QueueMessages, p.QueueBytes, p.QueueAge, p.Budget = q.Messages, q.Bytes, q.Age, h.cfg.Budget
	p.LiveFirst, p.PastRate = q.LiveFirst, q.PastRate
	c.sess = session.NewShared(h.shareParams(p))
	o.Link.Client = c
	c.link.Store(o.Link)
	h.countConnected(1)
	c.emit(b, t, o.Answer(nil, present), 0) // [MQTT-3.2.2-2] [MQTT-3.2.2-3]
	now := h.asked.Load()
	was := c.asked
	c.asked = now
	if !present {
		return nil
	}
	if was != now {
		c.recheck(local(b)) // where a client connects matters to what it may do
	}
	return c.resume(b)
}

// storeOpening submits that the session has a connection, and what became of the
// one before. c.mu is held.
func (h *Hub) storeOpening(c *Client, o *Opening, leave *departure, now int64) (store.Ticket, error) {
	if c.durable != 0 {
		leave.recs = append(leave.recs, &store.SessionOpened{
			Session: c.durable, Epoch: c.epoch + 1, ClientID: c.ID, User: c.User, Expiry: o.Expiry, Will: o.Will, Time: now,
		})
	}
	if len(leave.recs) == 0 {
		return 0, nil
	}
	if err := h.owed.settle(); err != nil {
		return 0, err
	}
	return h.store.Submit(leave.recs...)
}

// resume continues the session where its last connection ended. c.mu is held.
// [MQTT-4.3.3-10]
func (c *Client) resume(b *transport.Batch) error {
	r, err := c.hub.store.Resume(c.durable)
	if err != nil {
		return fmt.Errorf("resume session %q: %w", c.ID, err)
	}
	l := local(b)
	l.fx.Reset()
	inflight := make([]session.Entry, len(r.Inflight))
	released := make([]bool, len(r.Inflight))
	for i := range r.Inflight {
		inflight[i], released[i] = entry(&r.Inflight[i]), r.Inflight[i].Released
		if released[i] {
			l.Stats.PacketsOut++ // its PUBREL
		}
	}
	c.sess.Resume(r.Incoming, inflight, released, session.Stored{Messages: r.Queued, Bytes: int(r.Bytes), Last: uint64(r.Last)}, &l.fx)
	c.sess.Doubt()
	c.continueWith(b, l, &l.fx)
	return nil
}

func (h *Hub) countConnected(n int64) {
	h.cfg.Budget.Members(int(n))
	now := h.connected.Add(n)
	for {
		most := h.maxConnected.Load()
		if now <= most || h.maxConnected.CompareAndSwap(most, now) {
			return
		}
	}
}

// detach takes the connection away; what was not stored is gone. c.mu is held.
func (h *Hub) detach(c *Client) {
	c.waiting, c.bytes = c.sess.Waiting()
	c.sess.Close()
	c.link.Store(nil)
	c.sess, c.held, c.replays = nil, nil, nil
	h.countConnected(-1)
}

// countWaiting counts what waits in the store, most messages or fewer, for a client
// that is not known to others yet.
func (c *Client) countWaiting(most int, now int64) {
	list := make([]store.Waiting, 0, min(most, expiryPiece))
	for after := store.Seq(0); ; {
		list = c.hub.store.Waiting(list[:0], c.durable, after, cap(list))
		for _, w := range list {
			c.waiting++
			c.bytes += w.Size
			c.noteExpiry(w.Expires, now)
		}
		if len(list) < cap(list) {
			break
		}
		after = list[len(list)-1].Seq
	}
	if c.age() > 0 {
		c.noteExpiry(now, now) // it is not known yet how long they have waited
	}
}

// restore makes the client of a session that was found in the store. leave gets
// sessions that had ended.
func (h *Hub) restore(info *store.SessionInfo, now int64, leave *departure) {
	c := &Client{
		hub: h, ID: info.ClientID, User: info.User, durable: info.Session, epoch: info.Epoch,
		expiry: info.Expiry, will: info.Will, shares: info.Shares,
	}
	for _, sub := range info.Subscriptions {
		c.restoreSubscription(sub)
	}
	if info.Queued > 0 {
		c.countWaiting(info.Queued, now)
	}
	closed := info.Closed
	if closed == 0 { // it was connected when the broker ended
		closed = now
	}
	c.await(closed)
	s := h.shard(c.ID)
	if old := s.clients[c.ID]; old != nil { // its end could not be stored
		h.end(old, leave)
		h.storeDeparture(leave)
		h.count(old.User, -1)
	}
	h.count(c.User, 1)
	s.clients[c.ID] = c
}
