package hub

import (
	"fmt"
	"strings"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/router"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// Answerer makes a SUBACK or UNSUBACK of the codes. why explains the first that
// refuses, "" if none does.
type Answerer func(codes []packet.Code, why string) []byte

// Subscribing is a SUBSCRIBE under way. Answer makes its SUBACK.
type Subscribing struct {
	Packet packet.Subscribe
	Answer Answerer

	codes  []packet.Code // of the filters that were handled
	reason string        // why the first one is refused that is
	ticket store.Ticket
}

// Subscribe handles a SUBSCRIBE, or goes on with it; done is false when it is to
// be called again behind what others have to do: many filters of a durable session
// are looked up among many retained messages in several turns. The SUBACK is sent
// when the subscriptions are durable, before the retained messages that they bring.
// [MQTT-3.8.4-1] An error is a protocol error that ends the connection.
func (h *Hub) Subscribe(b *transport.Batch, ln *Link, s *Subscribing) (done bool, err error) {
	if s.codes == nil {
		if err := s.check(ln); err != nil {
			return false, err
		}
	}
	l, c := local(b), ln.Client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link.Load() != ln { // taken over meanwhile
		return true, nil
	}
	var recs []store.Record
	for i := len(s.codes); i < len(s.Packet.Filters) && l.looks > 0; i++ {
		rec := c.subscribeOne(b, l, ln, s, i)
		if rec != nil && c.durable != 0 {
			recs = append(recs, rec)
		}
	}
	if len(recs) > 0 {
		if s.ticket, err = h.store.Submit(recs...); err != nil {
			return false, unstored(err)
		}
	}
	if len(s.codes) < len(s.Packet.Filters) {
		return false, nil
	}
	c.reply(b, l, s.ticket, s.Answer(s.codes, s.reason))
	c.replays.thin(&c.subs)
	c.pump(b, l)
	return true, nil
}

// check refuses what is wrong with the whole SUBSCRIBE.
func (s *Subscribing) check(ln *Link) error {
	p := &s.Packet
	for i := range p.Filters {
		if f := &p.Filters[i]; f.NoLocal && strings.HasPrefix(f.Filter, "$share/") {
			return &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-3.8.3-4", Msg: "No Local on a shared subscription"}
		}
	}
	s.codes = make([]packet.Code, 0, len(p.Filters)) // [MQTT-3.8.4-5] [MQTT-3.9.3-1] [3.1.1: MQTT-3.9.3-2]
	return ln.checkAnswer(len(p.Filters))
}

// subscribeOne handles the filter at place i, and returns its record; nil if it is
// refused.
func (c *Client) subscribeOne(b *transport.Batch, l *Local, ln *Link, s *Subscribing, i int) store.Record {
	f := &s.Packet.Filters[i]
	f.QoS = min(f.QoS, ln.MaxQoS) // [MQTT-3.8.4-7]
	sub, code, why := c.hub.judge(l, ln, f, s.Packet.SubscriptionID.Or(0))
	s.codes = append(s.codes, code)
	if code >= packet.UnspecifiedError {
		refuse(&s.reason, i, why)
		return nil
	}
	existed := c.subscribe(sub) // [MQTT-3.8.4-4]
	if l.Tracing {
		c.hub.log.Debug(fmt.Sprintf("%s %d %s", c.ID, sub.options.QoS, sub.filter), "event", "subscribe", "client", c.ID, "filter", sub.filter.String())
	}
	if brings(sub, existed) {
		c.bring(b, l, &sub)
	}
	return &store.Subscribed{Session: c.durable, Filter: sub.filter.String(), Options: f.Options, ID: sub.options.ID}
}

// judge decides about one filter of a SUBSCRIBE. [MQTT-3.8.4-7]
// The Maximum QoS binds publishers, not subscribers; wildcards are supported. [MQTT-3.2.2-10]
// [3.1.1: MQTT-3.8.3-2]
func (h *Hub) judge(l *Local, ln *Link, f *packet.SubscribeFilter, id uint32) (sub subscription, code packet.Code, why string) {
	c := ln.Client
	parsed, err := topic.ParseFilterDepth(f.Filter, h.cfg.MaxLevels)
	if err == nil && ln.Mount != "" {
		parsed, err = topic.ParseFilterDepth(mounted(parsed, ln.Mount).String(), h.cfg.MaxLevels)
	}
	if err != nil {
		return sub, packet.TopicFilterInvalid, err.Error()
	}
	if a := h.access(); a != nil && !a.Subscribe(c, parsed, f.QoS) {
		l.Stats.Denied++
		return sub, packet.NotAuthorized, "not allowed to subscribe to it"
	}
	if most := h.limits.Load().MaxSubscriptions; most > 0 && len(c.subs.list) >= most && c.subs.find(parsed) < 0 {
		return sub, packet.QuotaExceeded, "there are as many subscriptions as are allowed"
	}
	return subscription{
		filter: topic.Filter{Share: strings.Clone(parsed.Share), Filter: strings.Clone(parsed.Filter)},
		options: router.Options{
			QoS: f.QoS, NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished, ID: id,
		},
		retain: f.RetainHandling,
	}, packet.Code(f.QoS), ""
}

// refuse notes why the filter at place i is refused, if it is the first.
func refuse(reason *string, i int, why string) {
	if *reason == "" {
		*reason = fmt.Sprintf("filter %d: %s", i+1, why)
	}
}

// mounted puts the mount point before the filter, behind the name of a share.
func mounted(f topic.Filter, mount string) topic.Filter {
	f.Filter = mount + f.Filter
	return f
}

// subscribe adds the subscription and reports whether it replaced one.
// [MQTT-3.8.4-3]
func (c *Client) subscribe(s subscription) (existed bool) {
	c.turns++
	s.born = c.turns
	c.subs.set(s)
	existed = c.hub.routes.Subscribe(c, s.filter, s.options)
	if s.filter.Share != "" && !existed {
		c.hub.shared.Add(1)
	}
	return existed
}

// brings reports whether a subscription is answered with retained messages.
// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
func brings(s subscription, existed bool) bool {
	return s.filter.Share == "" && (s.retain == 0 || s.retain == 1 && !existed)
}

// checkAnswer refuses a request whose SUBACK or UNSUBACK with n codes exceeds what
// the client takes: it would wait for ever. [MQTT-3.1.2-24]
func (l *Link) checkAnswer(n int) error {
	body := 2 + 1 + n // the identifier, no properties, the codes
	if l.Version < packet.V5 || l.fits(1+packet.VarintSize(uint32(body))+body) {
		return nil
	}
	return &packet.Error{Code: packet.PacketTooLarge, Clause: "MQTT-3.1.2-24", Msg: "the answer exceeds the client's Maximum Packet Size"}
}

// reply sends a SUBACK or UNSUBACK behind the ticket.
func (c *Client) reply(b *transport.Batch, l *Local, t store.Ticket, answer []byte) {
	l.Stats.PacketsOut++
	l.Stats.BytesOut += int64(len(answer))
	ln := c.link.Load()
	ln.owe(c.room(ln), len(answer))
	c.emit(b, t, answer, 0)
}

// bring notes the retained messages that the filter matches. Those of QoS 1
// and 2 of a durable session are queued in the store, so that a session that
// goes on after a crash has them; all others are sent while there is room.
func (c *Client) bring(b *transport.Batch, l *Local, s *subscription) {
	sub := c.subs.get(s.filter.Filter)
	c.turns++
	sub.turn = c.turns
	r := replay{
		born: sub.born, turn: sub.turn,
		filter: s.filter.Filter, last: c.hub.retained.Last(), stored: c.durable != 0 && s.options.QoS > 0, qos: s.options.QoS,
		raised: c.hub.limits.Load().UpgradeQoS, behind: c.sess.End(),
	}
	if s.options.ID != 0 {
		r.ids = []uint32{s.options.ID}
	}
	if r.stored {
		c.queueAll(b, l, &r)
	}
	if c.replays == nil {
		if c.replays, l.replays = l.replays, nil; c.replays == nil {
			c.replays = new(replays)
		}
	}
	c.replays.push(r)
}

// queueAll puts the messages of r that are of QoS 1 and 2 into the store's queue.
func (c *Client) queueAll(b *transport.Batch, l *Local, r *replay) {
	full := c.sess.Full()
	for s := c.hub.retained.Search(r.filter, r.last); !s.Done(); {
		l.looks -= s.Next(func(m *message.Message) {
			switch {
			case r.level(m) == 0 || m.Expired(b.Now):
			case full:
				c.dropped(l, QueueFull, 1)
			default:
				c.queueRetained(l, r, m)
			}
		})
	}
}

// queueRetained puts one retained message into the store's queue. c.mu is held.
func (c *Client) queueRetained(l *Local, r *replay, m *message.Message) {
	if a := c.hub.access(); a != nil && !a.Receive(c, []byte(m.Topic)) {
		c.dropped(l, NotAllowed, 1)
		return
	}
	to := [1]store.Recipient{{Session: c.durable, QoS: r.level(m), Retain: true, IDs: r.ids}}
	if _, err := c.hub.store.Submit(&store.Published{Message: m, To: to[:]}); err != nil {
		c.dropped(l, StoreFailed, 1)
		return
	}
	c.sess.Missed(m.Size())
	c.noteExpiry(m.Expires, c.hub.cfg.Now())
}

// Unsubscribe handles an UNSUBSCRIBE; answer makes the UNSUBACK. Retained
// messages that the subscription brought and that wait for room are not sent.
// [MQTT-3.10.4-1] [MQTT-3.10.4-4]
// What is in the window or the queue of the session stays there. [MQTT-3.10.4-3]
func (h *Hub) Unsubscribe(b *transport.Batch, ln *Link, filters []string, answer Answerer) error {
	if err := ln.checkAnswer(len(filters)); err != nil {
		return err
	}
	l, c := local(b), ln.Client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link.Load() != ln { // taken over meanwhile
		return nil
	}
	codes := make([]packet.Code, len(filters)) // [MQTT-3.10.4-6] [MQTT-3.11.3-1]
	var recs []store.Record
	reason := ""
	for i, s := range filters {
		f, err := topic.ParseFilterDepth(s, h.cfg.MaxLevels)
		f = mounted(f, ln.Mount)
		switch {
		case err != nil:
			codes[i] = packet.TopicFilterInvalid
			refuse(&reason, i, err.Error())
		case !h.mayUnsubscribe(c, f):
			l.Stats.Denied++
			codes[i] = packet.NotAuthorized
			refuse(&reason, i, "not allowed to give it up")
		case !c.subs.remove(f):
			codes[i] = packet.NoSubscriptionExisted
		default:
			c.unrouted(f)
			if l.Tracing {
				h.log.Debug(c.ID+" "+f.String(), "event", "unsubscribe", "client", c.ID, "filter", f.String())
			}
			if c.durable != 0 {
				recs = append(recs, &store.Unsubscribed{Session: c.durable, Filter: f.String()})
			}
		}
	}
	var t store.Ticket
	if len(recs) > 0 {
		var err error
		if t, err = h.store.Submit(recs...); err != nil {
			return unstored(err)
		}
	}
	c.reply(b, l, t, answer(codes, reason))
	return nil
}

// unrouted undoes what a subscription that was removed has left; replayOne sees
// that it is gone. [MQTT-3.10.4-2]
func (c *Client) unrouted(f topic.Filter) {
	c.hub.routes.Unsubscribe(c, f)
	if f.Share != "" {
		c.hub.shared.Add(-1)
	}
}

func (h *Hub) mayUnsubscribe(c *Client, f topic.Filter) bool {
	u, ok := h.access().(Unsubscriber)
	return !ok || u.Unsubscribe(c, f)
}
