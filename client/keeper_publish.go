package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// Publish sends a message, now or when there is a connection. With QoS 0 it returns when the message is buffered for
// sending or queued, with QoS 1 and 2 when the server has acknowledged it, on whatever connection that happens; a refusal
// is an *Error. If ctx ends first the message stays in the queue and may still arrive. p is as in Client.Publish, but
// cannot have a TopicAlias, because an alias ends with a connection.
func (k *Keeper) Publish(ctx context.Context, p *packet.Publish) error {
	if p.QoS == 0 {
		return k.PublishAsync(ctx, p, nil)
	}
	if k.inHandler(ctx) {
		return ErrInHandler
	}
	w := &waiter{answer: make(chan error, 1)}
	if err := k.PublishAsync(ctx, p, w.done); err != nil {
		return err
	}
	select {
	case err := <-w.answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish: %w", ctx.Err())
	}
}

// PublishAsync returns when the message is in the queue, and with a journal and QoS 1 or 2 when it is on disk. It waits
// only for room in the queue, with Block. If and only if it returns nil, done is called once: with QoS 0 when the message
// is buffered for sending, else with the server's answer, or with ErrDropped, ErrExpired, ErrAbandoned or ErrClosed. done may run on
// the reading goroutine and must not wait for this Keeper; if it is nil, the loss of a message is an event.
func (k *Keeper) PublishAsync(ctx context.Context, p *packet.Publish, done func(packet.Ack, error)) error {
	if p.QoS == 0 && !p.TopicAlias.Set {
		if c := k.direct(); c != nil {
			if k.o.Queue.WhenFull == Block { // who may wait for room in the queue may wait for room in the buffer
				if err := c.PublishAsync(ctx, p, done); err == nil || c.Err() == nil {
					return err
				}
			} else if sent, err := c.publishNow(p, done); sent || err != nil {
				return err
			}
		}
	}
	q, err := k.newQueued(p, done)
	if err != nil {
		return err
	}
	dropped, err := k.admit(ctx, q)
	for _, old := range dropped {
		k.tell(old, packet.Ack{}, ErrDropped)
	}
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := k.record(q); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// direct gives the connection if a message may go there past the queue: when there is nothing to overtake.
func (k *Keeper) direct() *Client {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sending || len(k.out.waiting) > 0 {
		return nil
	}
	return k.client
}

// newQueued copies a message, after checking what does not depend on a server.
func (k *Keeper) newQueued(p *packet.Publish, done func(packet.Ack, error)) (*queued, error) {
	refuse := func(code packet.Code, reason string) (*queued, error) {
		return nil, &Error{Op: "publish", Code: code, Reason: reason}
	}
	if p.TopicAlias.Set {
		return refuse(packet.TopicAliasInvalid, "an alias does not outlive a connection; set Options.TopicAliases instead")
	}
	if err := topic.ValidateNameDepth(p.Topic, topic.MaxLength); err != nil {
		return refuse(packet.TopicNameInvalid, err.Error())
	}
	if p.QoS > 2 {
		return refuse(packet.QoSNotSupported, "QoS is 0, 1 or 2")
	}
	if len(p.SubscriptionIDs) > 0 { // [MQTT-3.3.4-6]
		return refuse(packet.ProtocolError, "a client sends no Subscription Identifier")
	}
	if err := checkProperties(p); err != nil {
		return nil, err
	}
	message, encoded, err := encodeMessage(p)
	if err != nil {
		return refuse(packet.MalformedPacket, err.Error())
	}
	return &queued{keeper: k, message: message, encoded: encoded, since: time.Now(), done: done}, nil
}

// admit takes room for q, by the rule of WhenFull. It gives the messages that had to go.
func (k *Keeper) admit(ctx context.Context, q *queued) (dropped []*queued, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		if k.closed {
			return dropped, ErrClosed
		}
		if k.out.room(q.size()) {
			k.out.admit(q.size())
			return dropped, nil
		}
		switch k.o.Queue.WhenFull {
		case Refuse:
			return dropped, ErrQueueFull
		case DropOldest:
			old := k.out.oldest()
			if old == nil {
				return dropped, ErrQueueFull
			}
			k.recordDone(old)
			dropped = append(dropped, old)
			continue
		}
		if k.inHandler(ctx) {
			return dropped, ErrInHandler
		}
		changed := k.watch()
		k.mu.Unlock()
		select {
		case <-changed:
			k.mu.Lock()
		case <-ctx.Done():
			k.mu.Lock()
			return dropped, ctx.Err()
		}
	}
}

// push makes an admitted message wait for the sender.
func (k *Keeper) push(q *queued) {
	k.mu.Lock()
	closed := k.closed
	if closed {
		delete(k.out.writing, q)
		k.out.leave(q.size())
	} else {
		k.out.push(q)
	}
	k.mu.Unlock()
	if closed { // Run ended since; what is in the journal is for the next one
		k.tell(q, packet.Ack{}, ErrClosed)
		return
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// watch gives a channel that is closed when the queue shrinks. The caller holds the lock.
func (k *Keeper) watch() <-chan struct{} {
	if k.changed == nil {
		k.changed = make(chan struct{})
	}
	return k.changed
}

// shrunk tells those who watch. The caller holds the lock.
func (k *Keeper) shrunk() {
	if k.changed != nil {
		close(k.changed)
		k.changed = nil
	}
}

// tell reports the end of a message, to its publisher or, if it is bad and nobody waits, as an event.
func (k *Keeper) tell(q *queued, ack packet.Ack, err error) {
	switch {
	case q.done != nil:
		q.done(ack, err)
	case err != nil && !errors.Is(err, ErrClosed):
		k.o.OnEvent(Event{Kind: MessageDropped, Topic: string(q.message.Topic), Message: q.message, Err: err})
	}
}

// acknowledged is the end of a message that flew: the server has answered.
func (q *queued) acknowledged(ack packet.Ack, err error) { q.keeper.finish(q, ack, err) }

// finish takes a flying message out of the queue.
func (k *Keeper) finish(q *queued, ack packet.Ack, err error) {
	k.mu.Lock()
	ok := k.out.remove(q)
	if ok {
		k.recordDone(q)
		k.shrunk()
	}
	k.mu.Unlock()
	if ok {
		k.tell(q, ack, err)
	}
}

// takeOrphans decides about messages whose session the server does not have: those it had taken are delivered, the others
// are sent again as new ones.
func (k *Keeper) takeOrphans() {
	list := k.session.orphans
	k.session.orphans = nil
	var again []*queued
	for _, o := range list {
		if o.taken {
			k.finish(o.q, packet.Ack{}, nil)
		} else {
			again = append(again, o.q)
		}
	}
	k.mu.Lock()
	k.out.putBack(again...)
	k.mu.Unlock()
}

// sendLoop sends what waits, in order, until the connection or ctx ends.
func (k *Keeper) sendLoop(ctx context.Context, c *Client) {
	for {
		k.mu.Lock()
		q := k.out.pop()
		k.sending = q != nil
		k.mu.Unlock()
		if q == nil {
			select {
			case <-k.wake:
				continue
			case <-c.stop:
			case <-ctx.Done():
			}
			return
		}
		if !k.transmit(ctx, c, q) {
			return
		}
	}
}

// transmit sends one message. It reports false when the connection cannot send any more; the message waits then.
func (k *Keeper) transmit(ctx context.Context, c *Client, q *queued) bool {
	p, err := q.aged(time.Now())
	if err == nil {
		err = c.publishQueued(ctx, p, q, k.numberer(q))
	}
	var refused *Error
	switch {
	case err == nil && p.QoS == 0:
		k.finish(q, packet.Ack{}, nil)
	case err == nil: // acknowledged will come
	case errors.Is(err, ErrExpired), c.Err() == nil && errors.As(err, &refused):
		k.finish(q, packet.Ack{}, err)
	default:
		k.mu.Lock()
		k.out.putBack(q)
		k.sending = false
		k.mu.Unlock()
		if c.Err() == nil && ctx.Err() == nil {
			k.o.OnEvent(Event{Kind: JournalFailed, Err: err})
			c.fail(err)
		}
		return false
	}
	return true
}

// aged is the message with what is left of its Message Expiry Interval.
func (q *queued) aged(now time.Time) (*packet.Publish, error) {
	p := q.message
	if !p.MessageExpiry.Set {
		return p, nil
	}
	waited := max(now.Sub(q.since), 0) / time.Second
	if waited > 0 && waited >= time.Duration(p.MessageExpiry.Value) {
		return nil, ErrExpired
	}
	aged := *p
	aged.MessageExpiry.Value -= uint32(waited)
	return &aged, nil
}

// inHandler reports whether ctx is that of a handler which this Keeper's connection runs.
func (k *Keeper) inHandler(ctx context.Context) bool {
	c := FromContext(ctx)
	return c != nil && c.opt.keeper == k
}
