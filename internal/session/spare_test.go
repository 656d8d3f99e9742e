package session

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// TestRest: what a session needs only while messages are under way goes when none is, and comes again without an allocation.
// Identifiers go on where they were.
func TestRest(t *testing.T) {
	var spare Spare
	s := New(Params{Version: packet.V5, Spare: &spare})
	m := msg("x")
	var fx Effects
	last := uint16(0)
	round := func() {
		fx.Reset()
		id, v := s.Offer(&Entry{Message: m, QoS: 1}, true)
		if v != Transmit || id != nextID(last) {
			t.Fatalf("verdict %v, identifier %d behind %d", v, id, last)
		}
		last = id
		if isNew, err := s.Publish(&packet.Publish{QoS: 2, PacketID: 7}); !isNew || err != nil {
			t.Fatal(isNew, err)
		}
		if s.Rest(); s.outbound == nil || s.incoming == nil {
			t.Fatal("it rests in the middle of a delivery")
		}
		s.Puback(id, &fx)
		s.Pubrel(7, &fx)
		if s.Rest(); s.outbound != nil || s.incoming != nil {
			t.Fatal("it keeps memory for messages that are gone")
		}
	}
	round()
	if n := testing.AllocsPerRun(100, round); n >= 2 { // a packet for Publish; the pool may lose something
		t.Errorf("%v allocations", n)
	}
}

// TestNoRest: something waits for a message that is not under way.
func TestNoRest(t *testing.T) {
	var fx Effects
	for what, begin := range map[string]func(s *Session){
		"queued":   func(s *Session) { s.Offer(&Entry{Message: msg("x"), QoS: 1}, false) },
		"held":     func(s *Session) { s.HoldBehind(s.End()) },
		"opened":   func(s *Session) { s.Publish(&packet.Publish{QoS: 2, PacketID: 7}) },
		"resumed":  func(s *Session) { s.Resume([]uint16{7}, nil, nil, Stored{}, &fx) },
		"released": func(s *Session) { s.Resume(nil, []Entry{{QoS: 2, PacketID: 7}}, []bool{true}, Stored{}, &fx) },
	} {
		s := New(Params{Version: packet.V5})
		begin(s)
		if s.Rest(); s.outbound == nil && s.incoming == nil {
			t.Errorf("%s: it has forgotten that", what)
		}
	}
}
