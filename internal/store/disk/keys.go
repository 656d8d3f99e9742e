package disk

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/nightjarmq/nightjar/internal/store"
)

// The first byte of a key says what it is.
//
//	m name                        a number of the store's own
//	s session 0                   identity: client identifier and user
//	s session 1                   state: epoch, expiry, times
//	s session 2                   will
//	s session 3 digest            subscription; the digest is that of its filter
//	s session 4 packetID          open QoS 2 identifier
//	s session 6 seq               delivery, with its message or a reference
//	s session 6 seq 0             its progress: packet identifier, released
//	g seq                         message with several recipients
//	r topic                       retained message
//
// Progress is apart from the delivery so that the message is not written again
// when it is sent, and next to it so that one pass reads both, and that no more
// than one delivery is left of which nobody knows how far it has come when a
// stretch of keys is lost. Version 1 had it at s session 5 seq; see convert.
const (
	spaceMeta     = 'm'
	spaceSession  = 's'
	spaceShared   = 'g'
	spaceRetained = 'r'
)

const (
	kindIdentity = iota
	kindState
	kindWill
	kindSubscription
	kindIncoming
	kindOldProgress // of version 1
	kindDelivery
	kinds

	kindProgress = 255 // begins no key: it is behind that of its delivery
)

// Names of the store's own numbers.
var (
	keyVersion = []byte{spaceMeta, 'v'}
	keySeq     = []byte{spaceMeta, 'q'} // no sequence number above it was given out
	keySession = []byte{spaceMeta, 's'} // no session number above it was given out
	keyLatest  = []byte{spaceMeta, 't'} // see Clock
	keyBehind  = []byte{spaceMeta, 'b'} // likewise
)

// sessionPrefix is the length of what all keys of a session's kind begin with.
const sessionPrefix = 10

// digest stands for a filter, of any length, in keys and in the index.
type digest [16]byte

func digestOf(filter string) digest {
	sum := sha256.Sum256([]byte(filter))
	return digest(sum[:16])
}

// appendKey begins a key of the session. kind may be kinds, for the end of all.
func appendKey(dst []byte, id store.SessionID, kind byte) []byte {
	dst = append(dst, spaceSession)
	dst = binary.BigEndian.AppendUint64(dst, uint64(id))
	return append(dst, kind)
}

func appendSeqKey(dst []byte, id store.SessionID, kind byte, seq store.Seq) []byte {
	if kind == kindProgress {
		return append(appendSeqKey(dst, id, kindDelivery, seq), 0)
	}
	return binary.BigEndian.AppendUint64(appendKey(dst, id, kind), uint64(seq))
}

func appendSharedKey(dst []byte, seq store.Seq) []byte {
	return binary.BigEndian.AppendUint64(append(dst, spaceShared), uint64(seq))
}

func appendRetainedKey(dst []byte, topic string) []byte {
	return append(append(dst, spaceRetained), topic...)
}

// sessionKey is a key of a session taken apart; rest is borrowed from it.
type sessionKey struct {
	id   store.SessionID
	kind byte
	rest []byte
}

// parseSessionKey reports whether the key has a form that is written.
func parseSessionKey(key []byte) (k sessionKey, ok bool) {
	if len(key) < sessionPrefix || key[0] != spaceSession {
		return k, false
	}
	k = sessionKey{store.SessionID(binary.BigEndian.Uint64(key[1:])), key[9], key[10:]}
	if k.kind == kindDelivery && len(k.rest) == 9 && k.rest[8] == 0 {
		k.kind, k.rest = kindProgress, k.rest[:8]
		return k, k.id != 0
	}
	want := 0
	switch k.kind {
	case kindSubscription:
		want = len(digest{})
	case kindIncoming:
		want = 2
	case kindOldProgress, kindDelivery:
		want = 8
	}
	return k, k.kind < kinds && len(k.rest) == want && k.id != 0
}

func (k *sessionKey) seq() store.Seq { return store.Seq(binary.BigEndian.Uint64(k.rest)) }
func (k *sessionKey) pid() uint16    { return binary.BigEndian.Uint16(k.rest) }
