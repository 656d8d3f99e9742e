package disk

import (
	"bytes"
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/packet"
)

// The bytes are on disks: they must not change.
func TestValueFormats(t *testing.T) {
	m := &message.Message{Topic: "t", Payload: []byte("pp"), QoS: 1}
	ses := &session{epoch: 2, expiry: 300, opened: 5, closed: -1}
	sub := &store.Subscription{Filter: "a/#", ID: 7, Options: packet.Options{QoS: 2, NoLocal: true, RetainHandling: 1}}
	cases := []struct {
		name, got, want string
	}{
		{"delivery", string((&delivery{qos: 1, pid: 300, size: 5, msg: m}).append(nil)), "\x01\xac\x02\x05\x01t\x02pp\x00\x00\x01\x00"},
		{"shared delivery", string((&delivery{qos: 2, retain: true, shared: true, size: 5, ids: []uint32{1, 128}}).append(nil)), "\x1e\x00\x05\x02\x01\x80\x01"},
		{"delivery of a group", string((&delivery{qos: 1, size: 5, ids: []uint32{1}, group: "g/t", msg: m}).append(nil)), "\x31\x00\x05\x01\x01\x03g/t\x01t\x02pp\x00\x00\x01\x00"},
		{"progress", string(appendProgress(nil, 300, true)), "\x01\xac\x02"},
		{"shared message", string(appendSized(nil, m)), "\x83\x01\x01t\x02pp\x00\x00\x01\x00"},
		{"identity", string(appendIdentity(nil, "c", "u")), "\x01c\x01u"},
		{"state", string(ses.appendState(nil)), "\x02\xac\x02\x0a\x01"},
		{"subscription", string(appendSubscription(nil, sub)), "\x16\x07a/#"},
		{"key of a delivery", string(appendSeqKey(nil, 1, kindDelivery, 258)), "s\x00\x00\x00\x00\x00\x00\x00\x01\x06\x00\x00\x00\x00\x00\x00\x01\x02"},
		{"key of a shared message", string(appendSharedKey(nil, 258)), "g\x00\x00\x00\x00\x00\x00\x01\x02"},
		{"key of a retained message", string(appendRetainedKey(nil, "a/b")), "ra/b"},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%s is written as %q, want %q", c.name, c.got, c.want)
		}
	}
}

// FuzzValues reads anything as each kind of value: what is read is written as it
// was, or at least nothing breaks and no memory is claimed for what is not there.
func FuzzValues(f *testing.F) {
	m := &message.Message{Topic: "t", Payload: []byte("pp"), QoS: 1}
	f.Add((&delivery{qos: 1, pid: 300, size: 5, msg: m}).append(nil))
	f.Add((&delivery{qos: 2, shared: true, size: 5, ids: []uint32{1, 128}}).append(nil))
	f.Add((&delivery{qos: 1, size: 5, ids: []uint32{1}, group: "g/t", msg: m}).append(nil))
	f.Add(appendProgress(nil, 300, true))
	f.Add(appendSized(nil, m))
	f.Add(appendIdentity(nil, "c", "u"))
	f.Add((&session{epoch: 2}).appendState(nil))
	f.Add(appendSubscription(nil, &store.Subscription{Filter: "a", ID: 7}))
	f.Add(store.AppendWill(nil, &store.Will{Message: m, Expiry: packet.Some[uint32](3)}))
	f.Add(appendSeqKey(nil, 1, kindDelivery, 258))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d delivery
		if d.decode(b) == nil {
			var again delivery
			if err := again.decode(d.append(nil)); err != nil {
				t.Errorf("a delivery cannot be read again: %v", err)
			}
		}
		if pid, released, err := decodeProgress(b); err == nil && len(b) == len(appendProgress(nil, pid, released)) && !bytes.Equal(appendProgress(nil, pid, released), b) {
			t.Errorf("progress %q is written as %q", b, appendProgress(nil, pid, released))
		}
		if m, err := decodeSized(b); err == nil {
			_ = appendSized(nil, m)
		}
		if client, user, err := decodeIdentity(b); err == nil {
			if c, u, err := decodeIdentity(appendIdentity(nil, client, user)); c != client || u != user || err != nil {
				t.Errorf("identity %q, %q comes back as %q, %q, %v", client, user, c, u, err)
			}
		}
		var s session
		if s.decodeState(b) == nil {
			var again session
			if err := again.decodeState(s.appendState(nil)); err != nil || again.epoch != s.epoch || again.closed != s.closed {
				t.Errorf("state %+v comes back as %+v, %v", &s, &again, err)
			}
		}
		if sub, err := decodeSubscription(b); err == nil {
			if again, err := decodeSubscription(appendSubscription(nil, &sub)); err != nil || again != sub {
				t.Errorf("subscription %+v comes back as %+v, %v", sub, again, err)
			}
		}
		if k, ok := parseSessionKey(b); ok && !bytes.HasPrefix(b, appendKey(nil, k.id, min(k.kind, kindDelivery))) {
			t.Errorf("key %q is of session %d, kind %d", b, k.id, k.kind)
		}
		if w, err := store.DecodeWill(b); err == nil && !bytes.Equal(store.AppendWill(nil, w), b) {
			t.Errorf("will %q is written as %q", b, store.AppendWill(nil, w))
		}
		_ = witnessed(b, 0, 0, readable(b, 0).last)
		_, _ = firstUnflushed(b)
		_ = readBatches(b, 0, func([]byte) error { return nil })
	})
}
