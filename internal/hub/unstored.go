package hub

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/timer"
	"github.com/nightjarmq/nightjar/packet"
)

// refusal is the reason code for what the store did not take. A full disk, and one
// that does not keep up, heal: the client may try again later. A disk that failed
// does not. [MQTT-4.13.2-1]
func refusal(err error) packet.Code {
	if heals(err) {
		return packet.QuotaExceeded
	}
	return packet.ImplementationSpecificError
}

// heals reports whether a store that has refused something may take it later.
func heals(err error) bool {
	return errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrOverloaded)
}

// unstored counts a message that the store refused, and says so.
func (l *Local) unstored(pub *message.Publication, err error) error {
	l.Stats.Dropped[StoreFailed]++
	l.reason = notStored
	return fmt.Errorf("store message for %q: %w", pub.Topic, err)
}

// notStored is what a client is told then.
const notStored = "it cannot be stored at present"

// unstored makes err one that a client is told with a code: the reason of a
// DISCONNECT.
func unstored(err error) error {
	return fmt.Errorf("%w: %w", &packet.Error{Code: refusal(err), Clause: "4.13", Msg: notStored}, err)
}

// unopened is unstored for a CONNACK, which knows that a server is not available.
// [MQTT-3.1.4-2]
func unopened(err error) error {
	code := refusal(err)
	if code == packet.ImplementationSpecificError {
		code = packet.ServerUnavailable
	}
	return fmt.Errorf("%w: %w", &packet.Error{Code: code, Clause: "MQTT-3.1.4-2", Msg: "the session cannot be stored at present"}, err)
}

// owed are the ends of connections, of sessions, of wills and of deliveries that came
// while the store took nothing. They are stored when it does, and before anything else
// about sessions: a session that ended must not come back, nor a will that was
// published or discarded. [MQTT-3.1.2-10]
type owed struct {
	store store.Store
	some  atomic.Bool // there are any; spares the lock
	timer timer.Entry

	mu   sync.Mutex
	list []store.Record // guarded by mu
}

// owe keeps what of the records must not be forgotten. A session that has left something for others is removed when they
// have it; see remains.
func (h *Hub) owe(recs ...store.Record) {
	h.owed.add(recs)
	if h.owed.some.Load() {
		h.timers.Schedule(&h.owed.timer, &h.owed, h.cfg.Now()+remainsRetry)
	}
}

func (o *owed) add(recs []store.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range recs {
		switch r.(type) {
		case *store.SessionRemoved, *store.SessionClosed, *store.WillTaken, *store.Done:
			o.list = append(o.list, r)
			o.some.Store(true)
		}
	}
}

// Expire settles, also when nobody else has anything to store.
func (o *owed) Expire(now int64) (next int64) {
	if o.settle() != nil {
		return now + remainsRetry
	}
	return 0
}

// settle submits what is owed. With an error it is owed still.
func (o *owed) settle() error {
	if !o.some.Load() {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.list) == 0 {
		return nil
	}
	if _, err := o.store.Submit(o.list...); err != nil {
		return err
	}
	o.list = nil
	o.some.Store(false)
	return nil
}
