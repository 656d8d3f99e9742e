package session

import (
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
)

// With SendBytes what is under way is bounded in bytes, beyond one message of any
// size; an acknowledgement makes room.
func TestSendBytes(t *testing.T) {
	s := New(Params{Version: packet.V5, SendBytes: 1500})
	large := &message.Message{Topic: "a", Payload: make([]byte, 2000), QoS: 2}
	small := &message.Message{Topic: "a", Payload: make([]byte, 700), QoS: 2}
	id, v := s.Offer(&Entry{Message: large, QoS: 2}, true)
	if v != Transmit {
		t.Fatalf("the first message: %v", v)
	}
	for range 3 {
		if _, v := s.Offer(&Entry{Message: small, QoS: 1}, true); v != Queued {
			t.Fatalf("behind a large one: %v", v)
		}
	}
	var fx Effects
	if s.Pump(1<<20, 0, &fx); fx.Sent != 0 {
		t.Errorf("%d messages left while the large one is under way", fx.Sent)
	}
	s.Pubrec(id, packet.Success, &fx)
	s.Pubcomp(id, &fx)
	fx.Reset()
	if s.Pump(1<<20, 0, &fx); fx.Sent != 2 {
		t.Errorf("%d messages left after it, want 2", fx.Sent)
	}
}

// A message of QoS 0 that was queued for an absent client needs no window and no
// acknowledgement.
func TestQueuedQoS0(t *testing.T) {
	s := New(Params{Version: packet.V311, Durable: true, SendMaximum: 1})
	m := &message.Message{Topic: "a", Payload: []byte("x")}
	var fx Effects
	s.Resume(nil, nil, nil, Stored{Messages: 2, Bytes: 100}, &fx)
	if s.Pump(1<<20, 0, &fx); fx.Refill == 0 {
		t.Fatal("the store is not asked")
	}
	s.Loaded([]Entry{{Message: m, Seq: 1}, {Message: m, Seq: 2}}, false)
	fx.Reset()
	s.Pump(1<<20, 0, &fx)
	if fx.Sent != 2 || len(fx.Changes) != 2 || fx.Changes[0].Kind != Done || string(fx.Out) != "\x30\x04\x00\x01ax\x30\x04\x00\x01ax" {
		t.Errorf("%+v", fx)
	}
	if !s.Open() {
		t.Error("the window is not open after messages of QoS 0")
	}
}
