package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/nightjarmq/nightjar/packet"
)

// Publisher is what Requester and Responder need; Client and Keeper both are one.
type Publisher interface {
	Publish(ctx context.Context, p *packet.Publish) error
	PublishAsync(ctx context.Context, p *packet.Publish, done func(packet.Ack, error)) error
	Subscribe(ctx context.Context, p *packet.Subscribe, h Handler) (*packet.Suback, error)
	Unsubscribe(ctx context.Context, p *packet.Unsubscribe) (*packet.Unsuback, error)
}

// Requester asks questions by messages (5.0 section 4.10): it publishes a request that carries a Response Topic and
// Correlation Data, and takes the message with the same data from that topic as the answer. Before 5.0 a message cannot
// carry these, so this needs 5.0. It is safe for concurrent use. Make it with NewRequester.
type Requester struct {
	p     Publisher
	topic []byte

	mu      sync.Mutex
	waiting map[string]chan *packet.Publish // guarded by mu: by Correlation Data; each has room for one
	next    uint64                          // guarded by mu
	prefix  string
}

// NewRequester subscribes to the topic of the responses, which should be this client's alone. With "" it makes one up,
// below the Response Information of the server if p is a Client and has got one (ask with Options.RequestResponseInfo).
func NewRequester(ctx context.Context, p Publisher, responseTopic string) (*Requester, error) {
	if responseTopic == "" {
		base := "response"
		if c, ok := p.(*Client); ok {
			base = c.connack.ResponseInfo.Or(base)
		}
		responseTopic = base + "/" + rand.Text()
	}
	r := &Requester{p: p, topic: []byte(responseTopic), waiting: make(map[string]chan *packet.Publish), prefix: rand.Text()[:8]}
	if _, err := p.Subscribe(ctx, To(responseTopic, 1), r.receive); err != nil {
		return nil, fmt.Errorf("response topic: %w", err)
	}
	return r, nil
}

// Request publishes a message and returns the response to it, which belongs to the caller. The Response Topic and the
// Correlation Data of p are replaced. A server of 5.0 that finds no subscriber says so with QoS 1 and 2, and the request
// fails at once; otherwise bound the wait for a responder that may not exist with ctx.
func (r *Requester) Request(ctx context.Context, p *packet.Publish) (*packet.Publish, error) {
	if in, ok := r.p.(interface{ inHandler(context.Context) bool }); ok && in.inHandler(ctx) {
		return nil, ErrInHandler // the response is read by the goroutine that runs the handler
	}
	answer := make(chan *packet.Publish, 1)
	r.mu.Lock()
	r.next++
	id := fmt.Sprintf("%s-%d", r.prefix, r.next)
	r.waiting[id] = answer
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.waiting, id)
		r.mu.Unlock()
	}()
	q := *p
	q.ResponseTopic, q.CorrelationData, q.Forward = r.topic, []byte(id), nil
	asked := make(chan error, 1)
	err := r.p.PublishAsync(ctx, &q, func(ack packet.Ack, err error) {
		if err == nil && ack.Code == packet.NoMatchingSubscribers {
			err = &Error{Op: "request", Code: ack.Code, Reason: "nobody answers on this topic"}
		}
		asked <- err
	})
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	for {
		select {
		case m := <-answer:
			return m, nil
		case err := <-asked:
			if err != nil {
				return nil, fmt.Errorf("request: %w", err)
			}
			asked = nil
		case <-ctx.Done():
			return nil, fmt.Errorf("request: %w", ctx.Err())
		}
	}
}

// receive hands a response to the request that waits for it. Others, such as late ones, are for nobody.
func (r *Requester) receive(_ context.Context, m *packet.Publish) {
	r.mu.Lock()
	answer := r.waiting[string(m.CorrelationData)]
	delete(r.waiting, string(m.CorrelationData))
	r.mu.Unlock()
	if answer != nil {
		answer <- Clone(m)
	}
}

// Close unsubscribes from the response topic.
func (r *Requester) Close(ctx context.Context) error {
	_, err := r.p.Unsubscribe(ctx, &packet.Unsubscribe{Filters: []string{string(r.topic)}})
	return err
}

// Responder makes a handler that answers requests with what respond gives, with the QoS of the request:
//
//	double := func(ctx context.Context, m *packet.Publish) (*packet.Publish, error) {
//		return &packet.Publish{Payload: slices.Repeat(m.Payload, 2)}, nil
//	}
//	c.Subscribe(ctx, client.To("double", 1), client.Responder(c, double, nil))
//
// Topic and Correlation Data of the response are filled in. Nothing is sent when respond returns nil or an error, or when
// the message has no Response Topic. respond is a handler, with all that a handler may not do; an error that it returns, or
// that the sending of the response returns, goes to failed, which may be nil.
func Responder(p Publisher, respond func(context.Context, *packet.Publish) (*packet.Publish, error), failed func(error)) Handler {
	if failed == nil {
		failed = func(error) {}
	}
	return func(ctx context.Context, m *packet.Publish) {
		answer, err := respond(ctx, m)
		if err != nil {
			failed(fmt.Errorf("respond on %s: %w", m.Topic, err))
			return
		}
		if answer == nil {
			return
		}
		if len(m.ResponseTopic) == 0 {
			failed(fmt.Errorf("respond on %s: %w", m.Topic, errors.New("the message has no Response Topic")))
			return
		}
		q := *answer
		q.Topic, q.QoS, q.CorrelationData, q.Forward = m.ResponseTopic, m.QoS, m.CorrelationData, nil
		err = p.PublishAsync(ctx, &q, func(_ packet.Ack, err error) {
			if err != nil {
				failed(fmt.Errorf("respond on %s: %w", m.ResponseTopic, err))
			}
		})
		if err != nil {
			failed(fmt.Errorf("respond on %s: %w", m.ResponseTopic, err))
		}
	}
}
