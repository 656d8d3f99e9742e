package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// subscription is one filter that the server has granted and that the next server shall grant as well.
type subscription struct {
	filter packet.SubscribeFilter
	id     packet.Opt[uint32]
	user   []packet.UserProperty
}

// subscriptionChange is a call of Subscribe or Unsubscribe that the server has not answered.
type subscriptionChange struct {
	subscribe   *packet.Subscribe   // or nil
	unsubscribe *packet.Unsubscribe // or nil
	answer      chan changeAnswer   // has room for one
}

type changeAnswer struct {
	suback   *packet.Suback
	unsuback *packet.Unsuback
	err      error
}

// Subscribe asks for messages, now or when there is a connection, and returns when the server has answered. The
// subscription and its handler survive the loss of the connection: where the server has kept the session nothing is asked
// anew, else the Keeper subscribes again before it sends what was queued. Messages that a server kept while there was no
// connection reach the handlers as well; those that match none go to Options.Handler.
//
// What p and h mean and which errors there are is said at Client.Subscribe. If ctx ends first the subscription is made as
// soon as possible nevertheless; Unsubscribe takes it back.
func (k *Keeper) Subscribe(ctx context.Context, p *packet.Subscribe, h Handler) (*packet.Suback, error) {
	if err := checkSubscribe(p); err != nil {
		return nil, err
	}
	q := *p
	q.Filters = slices.Clone(p.Filters)
	answer, err := k.change(ctx, &subscriptionChange{subscribe: &q}, func() {
		for _, f := range q.Filters {
			k.session.setRoute(f.Filter, h)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return answer.suback, answer.err
}

// Unsubscribe ends subscriptions, now or when there is a connection, and returns when the server has answered.
func (k *Keeper) Unsubscribe(ctx context.Context, p *packet.Unsubscribe) (*packet.Unsuback, error) {
	if err := checkUnsubscribe(p); err != nil {
		return nil, err
	}
	q := *p
	q.Filters = slices.Clone(p.Filters)
	answer, err := k.change(ctx, &subscriptionChange{unsubscribe: &q}, func() {})
	if err != nil {
		return nil, fmt.Errorf("unsubscribe: %w", err)
	}
	return answer.unsuback, answer.err
}

// change queues a change and waits for its answer. prepare runs when it is certain that it will be made.
func (k *Keeper) change(ctx context.Context, ch *subscriptionChange, prepare func()) (changeAnswer, error) {
	if k.inHandler(ctx) {
		return changeAnswer{}, ErrInHandler
	}
	ch.answer = make(chan changeAnswer, 1)
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return changeAnswer{}, ErrClosed
	}
	prepare()
	k.changes = append(k.changes, ch)
	k.mu.Unlock()
	select {
	case k.wakeSubs <- struct{}{}:
	default:
	}
	select {
	case a := <-ch.answer:
		return a, nil
	case <-ctx.Done():
		return changeAnswer{}, ctx.Err()
	}
}

// changeLoop asks the server for the changes, one after the other, until the connection or ctx ends. A change whose answer
// did not come stays the first.
func (k *Keeper) changeLoop(ctx context.Context, c *Client) {
	for {
		k.mu.Lock()
		var ch *subscriptionChange
		if len(k.changes) > 0 {
			ch = k.changes[0]
		}
		k.mu.Unlock()
		if ch == nil {
			select {
			case <-k.wakeSubs:
				continue
			case <-c.stop:
			case <-ctx.Done():
			}
			return
		}
		var a changeAnswer
		if ch.subscribe != nil {
			a.suback, a.err = c.subscribe(ctx, ch.subscribe, func() {})
		} else {
			a.unsuback, a.err = c.Unsubscribe(ctx, ch.unsubscribe)
		}
		if c.Err() != nil && a.suback == nil && a.unsuback == nil || ctx.Err() != nil {
			return
		}
		k.mu.Lock()
		k.changes = k.changes[1:]
		k.applied(ch, a)
		k.mu.Unlock()
		ch.answer <- a
	}
}

// applied updates the list of what to restore. The caller holds the lock.
func (k *Keeper) applied(ch *subscriptionChange, a changeAnswer) {
	if ch.unsubscribe != nil {
		for _, f := range ch.unsubscribe.Filters {
			k.forget(f)
		}
		return
	}
	for i, f := range ch.subscribe.Filters {
		k.forget(f.Filter)
		if a.suback != nil && i < len(a.suback.Codes) && !a.suback.Codes[i].Failed() {
			k.subs = append(k.subs, &subscription{f, ch.subscribe.SubscriptionID, ch.subscribe.User})
		}
	}
}

// forget drops a subscription from the list of what to restore. The caller holds the lock.
func (k *Keeper) forget(filter string) {
	k.subs = slices.DeleteFunc(k.subs, func(s *subscription) bool { return s.filter.Filter == filter })
}

// maxFilters is how many filters one SUBSCRIBE restores.
const maxFilters = 100

// resubscribe restores the subscriptions if the server has lost them. It reports false if the connection is of no use.
func (k *Keeper) resubscribe(ctx context.Context, c *Client) bool {
	if c.Connack().SessionPresent {
		return true
	}
	k.mu.Lock()
	list := slices.Clone(k.subs)
	k.mu.Unlock()
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.whileQuiet(k.o.ConnectTimeout, cancel)()
	most := maxFilters
	for len(list) > 0 {
		p, n := together(list[:min(len(list), most)])
		a, err := c.subscribe(bounded, p, func() {})
		var refused *Error
		switch {
		case err == nil:
		case a != nil && errors.As(err, &refused):
			k.refused(p, a, packet.Success)
		case a == nil && errors.As(err, &refused) && c.Err() == nil && n > 1: // because of one of them
			most = 1
			continue
		case a == nil && errors.As(err, &refused) && c.Err() == nil: // larger than the server takes, or not offered
			k.refused(p, nil, refused.Code)
		case ctx.Err() != nil:
			return false
		default:
			c.fail(fmt.Errorf("the server does not answer SUBSCRIBE: %w", err))
			return false
		}
		list = list[n:]
	}
	return true
}

// whileQuiet calls cancel when the server has sent no message for so long. A SUBACK may come behind retained messages, and
// wait for their handlers.
func (c *Client) whileQuiet(limit time.Duration, cancel func()) (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(limit)
		defer timer.Stop()
		for seen := c.handled.Load(); ; {
			select {
			case <-stopped:
				return
			case <-timer.C:
			}
			now := c.handled.Load()
			if running := now%2 == 1; now == seen && !running {
				cancel()
				return
			}
			seen = now
			timer.Reset(limit)
		}
	}()
	return func() {
		close(stopped)
		<-ended
	}
}

// together makes one SUBSCRIBE of the subscriptions at the front that can share one, and says how many they are.
func together(list []*subscription) (*packet.Subscribe, int) {
	first := list[0]
	p := &packet.Subscribe{SubscriptionID: first.id, User: first.user}
	n := 0
	for _, s := range list {
		if s.id != first.id || !slices.Equal(s.user, first.user) {
			break
		}
		p.Filters = append(p.Filters, s.filter)
		n++
	}
	return p, n
}

// refused gives up the subscriptions that a server does not grant any more; with a nil answer all of them, for one reason.
func (k *Keeper) refused(p *packet.Subscribe, a *packet.Suback, all packet.Code) {
	for i, f := range p.Filters {
		code, reason := all, ""
		if a != nil {
			code, reason = a.Codes[i], a.ReasonString.Or("")
		}
		if !code.Failed() {
			continue
		}
		k.mu.Lock()
		k.forget(f.Filter)
		k.mu.Unlock()
		k.session.dropRoute(f.Filter)
		k.o.OnEvent(Event{Kind: NotSubscribed, Filter: f.Filter,
			Err: &Error{Op: subscribing(f.Filter), Code: code, Reason: reason}})
	}
}
