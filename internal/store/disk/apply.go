package disk

import (
	"encoding/binary"
	"weak"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// state is the index, and the batch that gathers what changes on the disk with
// it. The store's mutex guards it.
type state struct {
	batch    *pebble.Batch
	key, val []byte // memory for encoding

	lastSeq, seqLimit         store.Seq       // given out; on the disk, an upper bound
	lastSession, sessionLimit store.SessionID // likewise

	sessions map[store.SessionID]*session
	shares   map[store.Seq]*share
	retained map[string]uint32 // sizes, by topic
	stats    store.Stats
	clock    Clock
}

func newState() state {
	return state{
		sessions: make(map[store.SessionID]*session),
		shares:   make(map[store.Seq]*share),
		retained: make(map[string]uint32),
	}
}

// How many numbers are given out for one write of the bound.
const (
	seqStep     = 1 << 20
	sessionStep = 1 << 10
)

// nextSeq gives out a sequence number.
func (st *state) nextSeq() store.Seq {
	st.lastSeq++
	if st.lastSeq > st.seqLimit {
		st.seqLimit = st.lastSeq + seqStep
		st.setNumber(keySeq, uint64(st.seqLimit))
	}
	return st.lastSeq
}

// usedSession keeps the number from being given out again.
func (st *state) usedSession(id store.SessionID) {
	st.lastSession = max(st.lastSession, id)
	if id > st.sessionLimit {
		st.sessionLimit = id + sessionStep
		st.setNumber(keySession, uint64(st.sessionLimit))
	}
}

func (st *state) setNumber(key []byte, n uint64) {
	st.val = binary.BigEndian.AppendUint64(st.val[:0], n)
	st.set(key)
}

// set writes st.val under key. A batch is memory: its methods cannot fail.
func (st *state) set(key []byte) { _ = st.batch.Set(key, st.val, nil) }

// drop deletes a key. Pebble's single delete would leave less behind, but is no
// faster here, and ends the process when a compaction with one cannot read a
// table.
func (st *state) drop(key []byte) { _ = st.batch.Delete(key, nil) }

func (st *state) sessionKey(id store.SessionID, kind byte) []byte {
	st.key = appendKey(st.key[:0], id, kind)
	return st.key
}

func (st *state) seqKey(id store.SessionID, kind byte, seq store.Seq) []byte {
	st.key = appendSeqKey(st.key[:0], id, kind, seq)
	return st.key
}

func (st *state) subscriptionKey(id store.SessionID, d digest) []byte {
	st.key = append(appendKey(st.key[:0], id, kindSubscription), d[:]...)
	return st.key
}

func (st *state) incomingKey(id store.SessionID, pid uint16) []byte {
	st.key = binary.BigEndian.AppendUint16(appendKey(st.key[:0], id, kindIncoming), pid)
	return st.key
}

// apply makes the change that r stands for, in the index and in the batch. It
// depends on the index and on r alone, and reads no disk. A record for a session
// that is not there changes nothing of that session.
func (st *state) apply(r store.Record) {
	switch r := r.(type) {
	case *store.SessionOpened:
		st.sessionOpened(r)
	case *store.SessionClosed:
		st.sessionClosed(r)
	case *store.SessionRemoved:
		st.sessionRemoved(r)
	case *store.WillTaken:
		st.willTaken(r.Session)
	case *store.Subscribed:
		st.subscribed(r)
	case *store.Unsubscribed:
		st.unsubscribed(r)
	case *store.Published:
		st.published(r)
	case *store.Sent:
		st.progress(r.Session, r.Seq, r.PacketID, false)
	case *store.Received:
		st.progress(r.Session, r.Seq, r.PacketID, true)
	case *store.Done:
		st.done(r)
	case *store.Incoming:
		st.incoming(r.Session, r.PacketID)
	case *store.Released:
		st.released(r)
	}
}

func (st *state) sessionOpened(r *store.SessionOpened) {
	if r.Session == 0 {
		return
	}
	s := st.sessions[r.Session]
	if s == nil {
		s = &session{}
		st.sessions[r.Session] = s
		st.usedSession(r.Session)
		st.stats.Sessions++
		st.val = appendIdentity(st.val[:0], r.ClientID, r.User)
		st.set(st.sessionKey(r.Session, kindIdentity))
	}
	s.epoch, s.expiry, s.opened, s.closed = r.Epoch, r.Expiry, r.Time, 0
	st.putState(r.Session, s)
	if r.Will == nil {
		st.willTaken(r.Session)
		return
	}
	s.hasWill = true
	st.val = store.AppendWill(st.val[:0], r.Will)
	st.set(st.sessionKey(r.Session, kindWill))
}

func (st *state) putState(id store.SessionID, s *session) {
	st.val = s.appendState(st.val[:0])
	st.set(st.sessionKey(id, kindState))
}

func (st *state) sessionClosed(r *store.SessionClosed) {
	s := st.sessions[r.Session]
	if s == nil {
		return
	}
	s.expiry, s.closed = r.Expiry, r.Time
	st.putState(r.Session, s)
	if !r.KeepWill {
		st.willTaken(r.Session)
	}
}

func (st *state) willTaken(id store.SessionID) {
	if s := st.sessions[id]; s != nil && s.hasWill {
		s.hasWill = false
		st.drop(st.sessionKey(id, kindWill))
	}
}

func (st *state) sessionRemoved(r *store.SessionRemoved) {
	s := st.sessions[r.Session]
	if s == nil {
		return
	}
	delete(st.sessions, r.Session)
	st.stats.Sessions--
	st.stats.Subscriptions -= len(s.subs.list)
	st.stats.Queued -= s.queue.n
	s.queue.from(place{}, func(e *entry) bool {
		st.forget(e)
		return true
	})
	st.deleteSession(r.Session, s)
}

// fewKeys is up to how many keys of a session are deleted one by one: a range
// deletion is small, but makes reading costlier until it is compacted, and
// sessions that end are many.
const fewKeys = 256

func (st *state) deleteSession(id store.SessionID, s *session) {
	if len(s.subs.list)+len(s.incoming)+s.queue.n > fewKeys {
		end := appendKey(nil, id, kinds)
		_ = st.batch.DeleteRange(st.sessionKey(id, 0), end, nil)
		return
	}
	st.drop(st.sessionKey(id, kindIdentity))
	st.drop(st.sessionKey(id, kindState))
	if s.hasWill {
		st.drop(st.sessionKey(id, kindWill))
	}
	for _, d := range s.subs.list {
		st.drop(st.subscriptionKey(id, d))
	}
	for _, pid := range s.incoming {
		st.drop(st.incomingKey(id, pid))
	}
	s.queue.from(place{}, func(e *entry) bool {
		st.deleteEntry(id, e)
		return true
	})
}

// deleteEntry deletes what is stored of e, but for a message stored apart.
func (st *state) deleteEntry(id store.SessionID, e *entry) {
	if e.flags&entryReleased == 0 {
		st.drop(st.seqKey(id, kindDelivery, e.seq))
	}
	if e.flags&entryProgress != 0 {
		st.drop(st.seqKey(id, kindProgress, e.seq))
	}
}

func (st *state) subscribed(r *store.Subscribed) {
	s := st.sessions[r.Session]
	if s == nil {
		return
	}
	d := digestOf(r.Filter)
	if s.subs.add(d) {
		st.stats.Subscriptions++
	}
	st.val = appendSubscription(st.val[:0], &store.Subscription{Filter: r.Filter, Options: r.Options, ID: r.ID})
	st.set(st.subscriptionKey(r.Session, d))
}

func (st *state) unsubscribed(r *store.Unsubscribed) {
	d := digestOf(r.Filter)
	if s := st.sessions[r.Session]; s != nil && s.subs.remove(d) {
		st.stats.Subscriptions--
		st.drop(st.subscriptionKey(r.Session, d))
	}
}

func (st *state) published(r *store.Published) {
	if r.Retain {
		st.retain(r.Message)
	}
	st.enqueue(r)
	st.incoming(r.From, r.FromID)
}

func (st *state) retain(m *message.Message) {
	size, there := st.retained[m.Topic]
	if there {
		delete(st.retained, m.Topic) // with its key, which lies in the old message
		st.stats.Retained--
		st.stats.RetainedBytes -= int64(size)
	}
	st.key = appendRetainedKey(st.key[:0], m.Topic)
	if len(m.Payload) == 0 { // [MQTT-3.3.1-6]
		if there {
			st.drop(st.key)
		}
		return
	}
	st.retained[m.Topic] = uint32(m.Size()) // [MQTT-3.3.1-5]
	st.stats.Retained++
	st.stats.RetainedBytes += int64(m.Size())
	st.val = appendSized(st.val[:0], m)
	st.set(st.key)
}

// enqueue queues the message for each recipient that is there.
func (st *state) enqueue(r *store.Published) {
	d := delivery{size: uint32(r.Message.Size()), msg: r.Message, shared: len(r.To) > 1}
	queued := 0
	for i := range r.To {
		to := &r.To[i]
		s := st.sessions[to.Session]
		if s == nil || s.queue.last() == r.Seq {
			continue
		}
		queued++
		d.qos, d.retain, d.ids, d.group, d.pid = to.QoS, to.Retain, to.IDs, to.Share, 0
		if to.Epoch == s.epoch {
			d.pid = to.PacketID
		}
		e := entry{seq: r.Seq, size: d.size, pid: d.pid}
		if d.shared {
			e.flags = entryShared
		} else {
			e.expires = r.Message.Expires
		}
		if to.Share != "" {
			e.flags |= entryGroup
		}
		s.push(e)
		st.val = d.append(st.val[:0])
		st.set(st.seqKey(to.Session, kindDelivery, r.Seq))
	}
	if queued == 0 {
		return
	}
	st.stats.Queued += queued
	st.stats.Messages++
	st.stats.MessageBytes += int64(d.size)
	if d.shared {
		st.shares[r.Seq] = &share{refs: queued, expires: r.Message.Expires, size: d.size, msg: weak.Make(r.Message)}
		st.val = appendSized(st.val[:0], r.Message)
		st.key = appendSharedKey(st.key[:0], r.Seq)
		st.set(st.key)
	}
}

func (st *state) progress(id store.SessionID, seq store.Seq, pid uint16, release bool) {
	s := st.sessions[id]
	if s == nil || pid == 0 {
		return
	}
	at, ok := s.queue.seek(seq)
	if !ok {
		return
	}
	e := s.queue.get(at)
	released := e.flags&entryReleased != 0
	if released && (!release || e.pid == pid) || !release && e.pid == pid {
		return
	}
	s.send(e, pid)
	if release && !released {
		st.forget(e)
		s.ungroup(e)
		st.drop(st.seqKey(id, kindDelivery, seq))
		s.inflightBytes -= int64(e.size)
		e.size = 0
		e.flags = e.flags&^entryShared | entryReleased
	}
	e.flags |= entryProgress
	st.val = appendProgress(st.val[:0], pid, release)
	st.set(st.seqKey(id, kindProgress, seq))
}

func (st *state) done(r *store.Done) {
	s := st.sessions[r.Session]
	if s == nil {
		return
	}
	at, ok := s.queue.seek(r.Seq)
	if !ok {
		return
	}
	e := s.pop(at)
	st.stats.Queued--
	st.forget(&e)
	st.deleteEntry(r.Session, &e)
}

// forget counts e's message out when e was its last delivery, and deletes it if
// it is stored apart.
func (st *state) forget(e *entry) {
	if e.flags&entryReleased != 0 {
		return
	}
	if e.flags&entryShared != 0 {
		sh := st.shares[e.seq]
		sh.refs--
		if sh.refs > 0 {
			return
		}
		delete(st.shares, e.seq)
		st.key = appendSharedKey(st.key[:0], e.seq)
		st.drop(st.key)
	}
	st.stats.Messages--
	st.stats.MessageBytes -= int64(e.size)
}

// incoming opens a QoS 2 packet identifier. [MQTT-4.3.3-8]
func (st *state) incoming(id store.SessionID, pid uint16) {
	if s := st.sessions[id]; s != nil && pid != 0 && s.openID(pid) {
		st.val = st.val[:0]
		st.set(st.incomingKey(id, pid))
	}
}

func (st *state) released(r *store.Released) {
	if s := st.sessions[r.Session]; s != nil && s.releaseID(r.PacketID) {
		st.drop(st.incomingKey(r.Session, r.PacketID))
	}
}
