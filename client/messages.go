package client

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/nightjarmq/nightjar/packet"
)

// Overrun is the error that a loop over Messages gets in place of QoS 0 messages that it was too slow for.
type Overrun struct{ Messages int }

// Error gives one line.
func (o *Overrun) Error() string {
	return fmt.Sprintf("%d messages with QoS 0 were dropped, because the loop was too slow", o.Messages)
}

// maxUnread bounds the QoS 0 messages that wait for a loop over Messages, in bytes. Those with QoS 1 and 2 are bounded by
// the server, which sends only so many without an acknowledgement.
const maxUnread = 1 << 20

// Messages subscribes and gives the messages one by one:
//
//	for m, err := range c.Messages(ctx, client.To("sensors/#", 1)) {
//		if err != nil {
//			return err
//		}
//		err := c.Publish(ctx, answer(m)) // unlike a handler, a loop may wait for its client
//	}
//
// A message is acknowledged when the loop body has ended, so that one that the program dies over comes again (QoS 1 and 2
// in a session that is resumed). It belongs to the loop body, which may keep it.
//
// The loop ends when the body leaves it or the connection ends, which is an error, as is a refused subscription; the end of
// ctx is none. An *Overrun is an error after which the loop goes on. When the loop has ended it unsubscribes, and messages
// that had come and were not looked at are acknowledged.
func (c *Client) Messages(ctx context.Context, p *packet.Subscribe) iter.Seq2[*packet.Publish, error] {
	return func(yield func(*packet.Publish, error) bool) {
		messages(ctx, c, c.done, func() error { return lost(c.Err()) }, p, yield)
	}
}

// Messages is that of Client, but goes on when the connection is lost and made again. It ends with Run.
func (k *Keeper) Messages(ctx context.Context, p *packet.Subscribe) iter.Seq2[*packet.Publish, error] {
	return func(yield func(*packet.Publish, error) bool) {
		messages(ctx, k, k.ended, func() error { return ErrClosed }, p, yield)
	}
}

// subscriber is what a loop needs of a Client or a Keeper.
type subscriber interface {
	Subscribe(context.Context, *packet.Subscribe, Handler) (*packet.Suback, error)
	Unsubscribe(context.Context, *packet.Unsubscribe) (*packet.Unsuback, error)
}

func messages(ctx context.Context, s subscriber, ended <-chan struct{}, why func() error, p *packet.Subscribe,
	yield func(*packet.Publish, error) bool) {
	in := &unread{ready: make(chan struct{}, 1)}
	defer in.close()
	if _, err := s.Subscribe(ctx, p, in.handle); err != nil {
		if ctx.Err() == nil {
			yield(nil, err)
		}
		return
	}
	defer unsubscribe(ctx, s, p)
	for {
		r, dropped, ok := in.take()
		switch {
		case dropped > 0:
			if !yield(nil, &Overrun{dropped}) {
				return
			}
		case ok:
			more := yield(r.message, nil)
			r.acknowledge()
			if !more {
				return
			}
		default:
			select {
			case <-in.ready:
			case <-ctx.Done():
				return
			case <-ended:
				if ctx.Err() == nil {
					yield(nil, why())
				}
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// unsubscribe says that the loop has ended, without waiting long for a server that does not react.
func unsubscribe(ctx context.Context, s subscriber, p *packet.Subscribe) {
	q := new(packet.Unsubscribe)
	for _, f := range p.Filters {
		q.Filters = append(q.Filters, f.Filter)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	s.Unsubscribe(ctx, q)
}

// unread is the messages that wait for a loop.
type unread struct {
	ready chan struct{} // there is something; capacity 1

	mu      sync.Mutex
	list    []received // guarded by mu
	bytes   int        // guarded by mu: of those with QoS 0
	dropped int        // guarded by mu: since the last take
	closed  bool       // guarded by mu
}

type received struct {
	message     *packet.Publish
	acknowledge func()
}

func (u *unread) handle(ctx context.Context, m *packet.Publish) {
	u.mu.Lock()
	switch size := len(m.Topic) + len(m.Payload); {
	case u.closed:
	case m.QoS == 0 && u.bytes+size > maxUnread && u.bytes > 0:
		u.dropped++
	default:
		if m.QoS == 0 {
			u.bytes += size
		}
		u.list = append(u.list, received{Clone(m), Hold(ctx)})
	}
	u.mu.Unlock()
	select {
	case u.ready <- struct{}{}:
	default:
	}
}

// take gives the next message, or how many were dropped behind the last one.
func (u *unread) take() (r received, dropped int, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.list) == 0 {
		dropped, u.dropped = u.dropped, 0
		return r, dropped, false
	}
	r = u.list[0]
	u.list[0] = received{}
	u.list = u.list[1:]
	if r.message.QoS == 0 {
		u.bytes -= len(r.message.Topic) + len(r.message.Payload)
	}
	return r, 0, true
}

func (u *unread) close() {
	u.mu.Lock()
	list := u.list
	u.list, u.closed = nil, true
	u.mu.Unlock()
	for _, r := range list {
		r.acknowledge()
	}
}
