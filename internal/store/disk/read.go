package disk

import (
	"fmt"
	"slices"
	"weak"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// Resume implements [store.Store].
func (s *Store) Resume(id store.SessionID) (*store.Resumption, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.reading.Done()
	res := &store.Resumption{}
	var want []entry
	s.mu.Lock()
	res.Last = s.lastSeq
	if ses := s.sessions[id]; ses != nil {
		res.Incoming = slices.Clone(ses.incoming)
		res.Queued, res.Bytes = ses.waiting(), ses.waitingBytes
		left := ses.inflight
		want = make([]entry, 0, left)
		ses.queue.from(place{}, func(e *entry) bool {
			if left == 0 {
				return false
			}
			if e.pid != 0 {
				want = append(want, *e)
				left--
			}
			return true
		})
	}
	s.mu.Unlock()
	var err error
	res.Inflight, err = s.entries(make([]store.Entry, 0, len(want)), id, want)
	if err != nil {
		return nil, fmt.Errorf("read what is in flight for session %d: %w", id, err)
	}
	return res, nil
}

// Queue implements [store.Store].
func (s *Store) Queue(dst []store.Entry, id store.SessionID, after store.Seq, most int) ([]store.Entry, error) {
	if err := s.begin(); err != nil {
		return dst, err
	}
	defer s.reading.Done()
	var want []entry
	s.mu.Lock()
	if ses := s.sessions[id]; ses != nil && most > 0 {
		want = make([]entry, 0, min(most, ses.waiting()))
		at, _ := ses.queue.seek(after + 1)
		ses.queue.from(at, func(e *entry) bool {
			if e.pid == 0 {
				want = append(want, *e)
			}
			return len(want) < most
		})
	}
	s.mu.Unlock()
	dst, err := s.entries(dst, id, want)
	if err != nil {
		return dst, fmt.Errorf("read the queue of session %d: %w", id, err)
	}
	return dst, nil
}

// Waiting implements [store.Store].
func (s *Store) Waiting(dst []store.Waiting, id store.SessionID, after store.Seq, most int) []store.Waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.sessions[id]
	if ses == nil || most <= 0 {
		return dst
	}
	at, _ := ses.queue.seek(after + 1)
	ses.queue.from(at, func(e *entry) bool {
		if e.pid != 0 {
			return true
		}
		w := store.Waiting{Seq: e.seq, Size: int(e.size), Expires: e.expires}
		if e.flags&entryShared != 0 {
			w.Expires = s.shares[e.seq].expires
		}
		dst = append(dst, w)
		most--
		return most > 0
	})
	return dst
}

// nearby is up to how many keys are stepped over rather than sought past.
const nearby = 8

// entries reads those of the session's deliveries that are still there.
func (s *Store) entries(dst []store.Entry, id store.SessionID, want []entry) ([]store.Entry, error) {
	if len(want) == 0 {
		return dst, nil
	}
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: appendSeqKey(nil, id, kindDelivery, want[0].seq),
		UpperBound: appendSeqKey(nil, id, kindDelivery, want[len(want)-1].seq+1),
	})
	if err != nil {
		return dst, err
	}
	defer it.Close()
	var key []byte
	it.First()
	for i := range want {
		w := &want[i]
		if w.flags&entryReleased != 0 {
			dst = append(dst, store.Entry{Seq: w.seq, PacketID: w.pid, Released: true})
			continue
		}
		found, err := stepTo(it, &key, id, w.seq)
		if err != nil {
			return dst, err
		}
		if !found {
			continue // it has ended meanwhile
		}
		e, err := s.entry(it, w)
		if err != nil {
			return dst, err
		}
		if e.Message != nil {
			dst = append(dst, e)
		}
	}
	return dst, it.Error()
}

// stepTo moves the iterator, which is not behind it, to the delivery.
func stepTo(it *pebble.Iterator, key *[]byte, id store.SessionID, seq store.Seq) (bool, error) {
	for range nearby {
		at, kind, ok := current(it)
		if !ok || at > seq {
			return false, it.Error()
		}
		if at == seq && kind == kindDelivery {
			return true, nil
		}
		it.Next()
	}
	*key = appendSeqKey((*key)[:0], id, kindDelivery, seq)
	it.SeekGE(*key)
	at, kind, ok := current(it)
	return ok && at == seq && kind == kindDelivery, it.Error()
}

// current is the delivery, or the progress of one, under the iterator.
func current(it *pebble.Iterator) (seq store.Seq, kind byte, ok bool) {
	if !it.Valid() {
		return 0, 0, false
	}
	k, ok := parseSessionKey(it.Key())
	if !ok {
		return 0, 0, false
	}
	return k.seq(), k.kind, true
}

// entry reads the delivery under the iterator. It has no message if that has
// ended meanwhile.
func (s *Store) entry(it *pebble.Iterator, w *entry) (store.Entry, error) {
	b, err := it.ValueAndErr()
	if err != nil {
		return store.Entry{}, err
	}
	var d delivery
	if err := d.decode(b); err != nil {
		return store.Entry{}, err
	}
	if d.shared {
		if d.msg, err = s.sharedMessage(w.seq); err != nil {
			return store.Entry{}, err
		}
	}
	return store.Entry{Seq: w.seq, Message: d.msg, PacketID: w.pid, QoS: d.qos, Retain: d.retain, IDs: d.ids, Share: d.group}, nil
}

// sharedMessage returns a message that is stored apart: the copy that somebody
// else holds, or one that is read; nil when it has ended.
func (s *Store) sharedMessage(seq store.Seq) (*message.Message, error) {
	s.mu.Lock()
	sh := s.shares[seq]
	var m *message.Message
	if sh != nil {
		m = sh.msg.Value()
	}
	s.mu.Unlock()
	if sh == nil || m != nil {
		return m, nil
	}
	b, closer, err := s.db.Get(appendSharedKey(nil, seq))
	if err == pebble.ErrNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	if m, err = decodeSized(b); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := sh.msg.Value(); held != nil { // another reader was faster
		return held, nil
	}
	sh.msg = weak.Make(m)
	return m, nil
}

// Retained implements [store.Store].
func (s *Store) Retained(yield func(*message.Message) bool) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.reading.Done()
	return s.db.scan([]byte{spaceRetained}, []byte{spaceRetained + 1}, func(_, value []byte) (bool, error) {
		m, err := decodeSized(value)
		return err == nil && yield(m), err
	})
}

// scan calls f with the keys from lo to below hi until it returns false.
func (e *engine) scan(lo, hi []byte, f func(key, value []byte) (bool, error)) (err error) {
	it, err := e.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if more, err := f(it.Key(), value); err != nil || !more {
			return err
		}
	}
	return it.Error()
}

// Sessions implements [store.Store].
func (s *Store) Sessions(yield func(*store.SessionInfo) bool) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.reading.Done()
	s.mu.Lock()
	ids := make([]store.SessionID, 0, len(s.sessions))
	for id := range s.sessions {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	slices.Sort(ids)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceSession}, UpperBound: []byte{spaceSession + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	var key []byte
	for _, id := range ids {
		info := s.info(id)
		if info == nil {
			continue // removed meanwhile
		}
		key = appendKey(key[:0], id, 0)
		if err := fill(info, it, key); err != nil {
			return fmt.Errorf("read session %d: %w", id, err)
		}
		if !yield(info) {
			return nil
		}
	}
	return it.Error()
}

// info is what the index has of a session; nil if there is none.
func (s *Store) info(id store.SessionID) *store.SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.sessions[id]
	if ses == nil {
		return nil
	}
	return &store.SessionInfo{
		Session:     id,
		Epoch:       ses.epoch,
		Expiry:      ses.expiry,
		Opened:      ses.opened,
		Closed:      ses.closed,
		Queued:      ses.queue.n,
		QueuedBytes: ses.waitingBytes + ses.inflightBytes,
		Shares:      ses.grouped > 0,
	}
}

// fill reads what the index does not have of a session; key is its first.
func fill(info *store.SessionInfo, it *pebble.Iterator, key []byte) error {
	for it.SeekGE(key); it.Valid(); it.Next() {
		k, ok := parseSessionKey(it.Key())
		if !ok || k.id != info.Session || k.kind > kindSubscription {
			break
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		switch k.kind {
		case kindIdentity:
			info.ClientID, info.User, err = decodeIdentity(value)
		case kindWill:
			info.Will, err = store.DecodeWill(value)
		case kindSubscription:
			var sub store.Subscription
			sub, err = decodeSubscription(value)
			info.Subscriptions = append(info.Subscriptions, sub)
		}
		if err != nil {
			return err
		}
	}
	slices.SortFunc(info.Subscriptions, func(a, b store.Subscription) int {
		if a.Filter < b.Filter {
			return -1
		}
		return 1
	})
	return it.Error()
}
