package packet_test

import (
	"bytes"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

func TestPublish(t *testing.T) { testPacket(t, packet.TypePublish) }

// Forward holds what travels with the message in its original order, whatever stands between
// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-18] [MQTT-3.3.2-20].
func TestPublishForward(t *testing.T) {
	const (
		alias  = "\x23\x00\x01"
		expiry = "\x02\x00\x00\x00\x09"
		id     = "\x0b\x05"
		format = "\x01\x01"
		kv     = "\x26\x00\x01k\x00\x01v"
		ct     = "\x03\x00\x01t"
	)
	for _, c := range []struct {
		name, props, forward string
		shared               bool // Forward is a part of body
	}{
		{"nothing to forward", alias + expiry + id, "", false},
		{"in front", kv + ct + alias, kv + ct, true},
		{"behind", alias + expiry + kv + ct + format, kv + ct + format, true},
		{"in the middle", alias + kv + ct + expiry, kv + ct, true},
		{"alone", kv, kv, true},
		{"in two runs", kv + alias + ct, kv + ct, false},
		{"in three runs", alias + kv + expiry + ct + id + kv + format, kv + ct + kv + format, false},
		{"in runs that end with another", kv + alias + ct + kv + expiry, kv + ct + kv, false},
	} {
		body := []byte("\x00\x01a" + string(rune(len(c.props))) + c.props + "payload")
		var p packet.Publish
		if err := p.Decode(0, body, packet.V5); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if string(p.Forward) != c.forward || (p.Forward == nil) != (c.forward == "") {
			t.Errorf("%s: Forward = % x, want % x", c.name, p.Forward, c.forward)
		}
		if string(p.Payload) != "payload" {
			t.Errorf("%s: payload %q", c.name, p.Payload)
		}
		clear(body)
		if shared := p.Forward != nil && string(p.Forward) != c.forward; shared != c.shared {
			t.Errorf("%s: Forward is part of body: %v", c.name, shared)
		}
	}
}

// With Forward set, it is what Append writes; without it, the fields are.
func TestPublishAppendForward(t *testing.T) {
	p := packet.Publish{Topic: []byte("a")}
	p.ContentType = []byte("t")
	p.MessageExpiry = packet.Some[uint32](1)
	if got, want := string(p.Append(nil, packet.V5)), "\x30\x0d\x00\x01a\x09\x02\x00\x00\x00\x01\x03\x00\x01t"; got != want {
		t.Errorf("fields: % x, want % x", got, want)
	}
	p.Forward = []byte("\x01\x01")
	if got, want := string(p.Append(nil, packet.V5)), "\x30\x0b\x00\x01a\x07\x02\x00\x00\x00\x01\x01\x01"; got != want {
		t.Errorf("Forward: % x, want % x", got, want)
	}
	if got, want := string(p.Append(nil, packet.V311)), "\x30\x03\x00\x01a"; got != want {
		t.Errorf("3.1.1: % x, want % x", got, want)
	}
}

// What Decode hands out cannot be made to grow over what follows it.
func TestPublishBorrowsSafely(t *testing.T) {
	body := []byte("\x00\x01a\x00\x01\x0b\x26\x00\x01k\x00\x01v\x03\x00\x01tpayload")
	want := bytes.Clone(body)
	var p packet.Publish
	if err := p.Decode(2, body, packet.V5); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{p.Topic, p.User[0].Key, p.User[0].Value, p.ContentType, p.Forward} {
		_ = append(b, "overwritten"...)
	}
	if !bytes.Equal(body, want) {
		t.Errorf("body is now %q", body)
	}
}
