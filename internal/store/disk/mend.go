package disk

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nightjarmq/nightjar/internal/store"
)

// mender looks for what cannot stay after something else was lost: it reads all
// keys in order, and deletes what contradicts the rest.
type mender struct {
	v     *salvager
	batch *pebble.Batch

	there   map[store.Seq]bool // shared messages, and whether a delivery of a session that stays needs it
	maxSeq  store.Seq
	session mending
	maxID   store.SessionID
}

// mending is the session at hand.
type mending struct {
	id              store.SessionID
	identity, state bool
	shared          []store.Seq // messages that its deliveries need
	last            delivered   // the delivery before the key at hand
}

// delivered is a delivery whose progress, if it has any, is the next key.
type delivered struct {
	seq    store.Seq // 0: none
	shared bool
}

// mend makes what was saved a state that could have come about.
func (v *salvager) mend() error {
	if err := v.convert(v.to); err != nil {
		return err
	}
	m := &mender{v: v, batch: v.to.NewBatch(), there: map[store.Seq]bool{}}
	err := v.to.scan([]byte{spaceShared}, []byte{spaceShared + 1}, func(key, value []byte) (bool, error) {
		if _, err := decodeSized(value); err != nil || len(key) != 9 {
			m.drop(key)
			return true, nil
		}
		m.there[store.Seq(binary.BigEndian.Uint64(key[1:]))] = false
		return true, nil
	})
	if err == nil {
		err = v.to.scan([]byte{spaceSession}, []byte{spaceSession + 1}, m.key)
	}
	m.end()
	if err == nil {
		err = v.to.scan([]byte{spaceRetained}, []byte{spaceRetained + 1}, func(key, value []byte) (bool, error) {
			if _, err := decodeSized(value); err != nil {
				m.drop(key)
			}
			return true, nil
		})
	}
	if err != nil {
		return err
	}
	for seq, needed := range m.there {
		if !needed {
			m.drop(appendSharedKey(nil, seq))
		}
	}
	if err := m.numbers(); err != nil {
		return err
	}
	return v.apply(m.batch)
}

func (m *mender) drop(key []byte) {
	m.v.mended++
	_ = m.batch.Delete(key, nil)
}

func (m *mender) key(key, value []byte) (bool, error) {
	k, ok := parseSessionKey(key)
	if !ok {
		m.drop(key)
		return true, nil
	}
	if k.id != m.session.id {
		m.end()
		m.session = mending{id: k.id}
		m.maxID = max(m.maxID, k.id)
	}
	if !m.keep(&k, value) {
		m.drop(key)
	}
	return true, nil
}

// keep reports whether the key can stay.
func (m *mender) keep(k *sessionKey, value []byte) bool {
	ses := &m.session
	var err error
	switch k.kind {
	case kindIdentity:
		_, _, err = decodeIdentity(value)
		ses.identity = err == nil
	case kindState:
		err = new(session).decodeState(value)
		ses.state = err == nil
	case kindWill:
		_, err = store.DecodeWill(value)
	case kindSubscription:
		var sub store.Subscription
		sub, err = decodeSubscription(value)
		if digestOf(sub.Filter) != digest(k.rest) {
			return false
		}
	case kindDelivery:
		m.settle(true)
		return m.keepDelivery(k.seq(), value)
	case kindProgress:
		return m.keepProgress(k.seq(), value)
	}
	return err == nil
}

func (m *mender) keepDelivery(seq store.Seq, value []byte) bool {
	m.maxSeq = max(m.maxSeq, seq)
	var d delivery
	if err := d.decode(value); err != nil {
		return false
	}
	if d.shared {
		if _, there := m.there[seq]; !there {
			return false
		}
	}
	m.session.last = delivered{seq, d.shared}
	return true
}

// keepProgress reports whether the progress can stay, and drops the delivery that
// it contradicts.
func (m *mender) keepProgress(seq store.Seq, value []byte) bool {
	m.maxSeq = max(m.maxSeq, seq)
	_, released, err := decodeProgress(value)
	whole := m.session.last.seq == seq
	if whole && (err != nil || released) {
		m.drop(appendSeqKey(nil, m.session.id, kindDelivery, seq))
		m.session.last = delivered{}
	}
	m.settle(!whole)
	return err == nil && (whole || released)
}

// settle ends the delivery before the key at hand. When it has no progress and that
// may be lost, nobody knows whether the message was sent, and with which
// identifier: it goes.
func (m *mender) settle(alone bool) {
	ses := &m.session
	last := ses.last
	ses.last = delivered{}
	switch {
	case last.seq == 0:
	case alone && m.v.mayHold(appendSeqKey(nil, ses.id, kindProgress, last.seq)):
		m.v.unsure++
		m.drop(appendSeqKey(nil, ses.id, kindDelivery, last.seq))
	case last.shared:
		ses.shared = append(ses.shared, last.seq)
	}
}

// end judges the session at hand when all of it was read: without identity or
// state it goes.
func (m *mender) end() {
	ses := &m.session
	if ses.id == 0 {
		return
	}
	m.settle(true)
	if !ses.identity || !ses.state {
		m.v.mended++
		_ = m.batch.DeleteRange(appendKey(nil, ses.id, 0), appendKey(nil, ses.id, kinds), nil)
		return
	}
	for _, seq := range ses.shared {
		m.there[seq] = true
	}
}

// numbers makes sure that no number is given out twice.
func (m *mender) numbers() error {
	seq, _, err := m.v.to.number(keySeq)
	if err != nil {
		return err
	}
	id, _, err := m.v.to.number(keySession)
	if err != nil {
		return err
	}
	seq = max(seq, uint64(m.maxSeq)) + 1<<32 // what is lost may have had higher ones
	id = max(id, uint64(m.maxID)) + 1<<32
	_ = m.batch.Set(keySeq, binary.BigEndian.AppendUint64(nil, seq), nil)
	_ = m.batch.Set(keySession, binary.BigEndian.AppendUint64(nil, id), nil)
	return m.batch.Set(keyVersion, binary.BigEndian.AppendUint64(nil, version), nil)
}
