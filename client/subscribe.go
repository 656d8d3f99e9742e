package client

import (
	"context"
	"fmt"

	"github.com/nightjarmq/nightjar/packet"
)

// To makes a SUBSCRIBE for one filter.
func To(filter string, qos byte) *packet.Subscribe {
	return &packet.Subscribe{Filters: []packet.SubscribeFilter{{Filter: filter, Options: packet.Options{QoS: qos}}}}
}

// Subscribe asks for messages and returns when the server has answered. h gets every message whose topic matches one of
// the filters, also when the server sent it because of another subscription; with nil they go to the handlers of other
// matching subscriptions, or else to Options.Handler. A filter that was subscribed before gets the new handler.
//
// The PacketID of p is ignored. If the server refuses some of the filters the SUBACK says which, and the error is an
// *Error about the first of them. If ctx ends first, the subscription may exist or not, and its handler stays.
func (c *Client) Subscribe(ctx context.Context, p *packet.Subscribe, h Handler) (*packet.Suback, error) {
	if err := checkSubscribe(p); err != nil {
		return nil, err
	}
	return c.subscribe(ctx, p, func() {
		for _, f := range p.Filters {
			c.session.setRoute(f.Filter, h)
		}
	})
}

// subscribe calls route before the first message can come.
func (c *Client) subscribe(ctx context.Context, p *packet.Subscribe, route func()) (*packet.Suback, error) {
	if err := c.checkOffered(p); err != nil {
		return nil, err
	}
	q := *p
	answer, err := c.request(ctx, &q, packet.TypeSuback, func(id uint16) {
		q.PacketID = id
		route()
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	suback := answer.(*packet.Suback)
	if len(suback.Codes) != len(q.Filters) {
		err := violation(packet.ProtocolError, "MQTT-3.8.4-6", "SUBACK does not answer every filter")
		c.refuse(err)
		return suback, lost(err)
	}
	return suback, c.subscribed(&q, suback)
}

func subscribing(filter string) string { return fmt.Sprintf("subscribe %q", filter) }

// subscribed drops the handlers of refused filters.
func (c *Client) subscribed(p *packet.Subscribe, a *packet.Suback) error {
	var first error
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, code := range a.Codes {
		if !code.Failed() {
			continue
		}
		c.session.dropRoute(p.Filters[i].Filter)
		if first == nil {
			first = &Error{Op: subscribing(p.Filters[i].Filter), Code: code, Reason: a.ReasonString.Or("")}
		}
	}
	return first
}

// Unsubscribe ends subscriptions and returns when the server has answered. The handlers are forgotten then. That a
// subscription did not exist is no error; the codes of the UNSUBACK tell.
func (c *Client) Unsubscribe(ctx context.Context, p *packet.Unsubscribe) (*packet.Unsuback, error) {
	if err := checkUnsubscribe(p); err != nil {
		return nil, err
	}
	q := *p
	answer, err := c.request(ctx, &q, packet.TypeUnsuback, func(id uint16) { q.PacketID = id })
	if err != nil {
		return nil, fmt.Errorf("unsubscribe: %w", err)
	}
	a := answer.(*packet.Unsuback)
	c.mu.Lock()
	defer c.mu.Unlock()
	var first error
	for i, f := range q.Filters {
		if i < len(a.Codes) && a.Codes[i].Failed() {
			if first == nil {
				first = &Error{Op: fmt.Sprintf("unsubscribe %q", f), Code: a.Codes[i], Reason: a.ReasonString.Or("")}
			}
			continue
		}
		c.session.dropRoute(f)
	}
	return a, first
}

// request sends a packet with a fresh identifier and waits for the answer to it. prepare runs under the lock.
func (c *Client) request(ctx context.Context, p packet.Packet, want packet.Type, prepare func(id uint16)) (packet.Packet, error) {
	if c.inHandler(ctx) {
		return nil, ErrInHandler
	}
	if err := c.lockToSend(ctx); err != nil {
		return nil, err
	}
	id, err := c.session.claim(c.control)
	if err != nil {
		c.mu.Unlock()
		return nil, err
	}
	prepare(id)
	if err := c.checkSize(p.Type().String(), len(p.Append(nil, c.v))); err != nil {
		c.mu.Unlock()
		return nil, err
	}
	w := &control{want: want, answer: make(chan packet.Packet, 1)}
	if c.control == nil {
		c.control = make(map[uint16]*control)
	}
	c.control[id] = w
	c.send(p)
	c.mu.Unlock()
	// When the caller gives up, the identifier stays taken until the answer comes: it is not unused before.
	select {
	case answer := <-w.answer:
		return answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.stop:
		return nil, lost(c.Err())
	}
}
