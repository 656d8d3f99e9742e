package session

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// waited resumes a session with n messages that wait, "00" to "n-1", and returns it with what loads them when it asks.
func waited(p Params, n int) (s *Session, pump func(now int64) []string) {
	p.Version, p.Durable, p.LiveFirst = packet.V5, true, true
	s = New(p)
	var fx Effects
	s.Resume(nil, nil, nil, Stored{Messages: n, Bytes: n * msg("00").Size(), Last: uint64(n)}, &fx)
	return s, func(now int64) (came []string) {
		for {
			fx.Reset()
			s.Pump(1<<20, now, &fx)
			for b := fx.Out; len(b) > 0; {
				h, _, _ := packet.ReadHeader(b)
				var p packet.Publish
				if err := p.Decode(h.Flags, b[h.Size:h.Size+h.Remaining], packet.V5); err != nil {
					panic(err)
				}
				b = b[h.Size+h.Remaining:]
				came = append(came, string(p.Payload))
				s.Puback(p.PacketID, &fx)
			}
			if fx.Refill == 0 {
				return came
			}
			var list []Entry
			for i := int(s.Cursor()); i < n && len(list) < fx.Refill; i++ {
				list = append(list, Entry{Message: msg(fmt.Sprintf("%02d", i)), QoS: 1, Seq: uint64(i + 1)})
			}
			s.Loaded(list, len(list) == fx.Refill)
		}
	}
}

// PastRate holds back what waited, and nothing else; what a late call has missed is made up for, as far as a quarter of a
// second goes.
func TestPastRate(t *testing.T) {
	const start = 1_000_000
	s, pump := waited(Params{PastRate: 10}, 30)
	came := len(pump(start))
	if came < 1 || came > 4 {
		t.Fatalf("%d messages at once", came)
	}
	for i, want := range []int{0, 1, 2, 3} {
		if n := len(pump(start + int64(100*i))); i == 0 && n != 0 || i > 0 && n != 1 {
			t.Errorf("after %d ms %d messages more, want %d in all", 100*i, n, want)
		}
	}
	if n := len(pump(start + 10_300)); n < 2 || n > 4 {
		t.Errorf("%d messages after ten seconds without a call", n)
	}
	for i := range 5 {
		if _, v := offer(t, s, 1, "new", true); v != Transmit {
			t.Errorf("live message %d waits", i)
		}
	}
	var fx Effects
	if s.Pump(1<<20, start+10_300, &fx); fx.Due <= start+10_300 || fx.Due > start+10_400 || fx.Sent != 0 {
		t.Errorf("%d messages, and more at %d", fx.Sent, fx.Due)
	}
	last := pump(start + 10_300)
	for now := int64(start + 10_400); s.past != nil; now += 100 {
		if got := pump(now); len(got) > 0 {
			last = got
		}
	}
	if n, bytes := s.Waiting(); n != 0 || bytes != 0 || last[len(last)-1] != "29" {
		t.Errorf("%q was the last, %d of %d bytes wait", last, n, bytes)
	}
}

// Few messages of the past are under way when a live one comes.
func TestPastLeavesRoom(t *testing.T) {
	p := Params{Version: packet.V5, Durable: true, LiveFirst: true}
	s := New(p)
	var fx Effects
	s.Resume(nil, nil, nil, Stored{Messages: 1000, Bytes: 1000 * msg("old").Size(), Last: 1000}, &fx)
	var list []Entry
	for i := range 1000 {
		list = append(list, Entry{Message: msg("old"), QoS: 1, Seq: uint64(i + 1)})
	}
	s.Loaded(list, false)
	if s.Pump(1<<20, 0, &fx); fx.Sent != pastFlying {
		t.Errorf("%d messages are under way, want %d", fx.Sent, pastFlying)
	}
	if _, v := offer(t, s, 1, "new", true); v != Transmit {
		t.Error("a live message waits for the others")
	}
	fx.Reset()
	for id := range uint16(2) {
		s.Puback(id+1, &fx)
	}
	if s.Pump(1<<20, 0, &fx); fx.Sent != 1 {
		t.Errorf("%d messages for two that have come and one that was added", fx.Sent)
	}
}

// Limits count both lanes; what is given up first is the oldest.
func TestPastCounts(t *testing.T) {
	p := Params{Version: packet.V5, Durable: true, LiveFirst: true, QueueMessages: 4, SendMaximum: 1}
	s := New(p)
	var fx Effects
	s.Resume(nil, nil, nil, Stored{Messages: 2, Bytes: 2 * msg("1").Size(), Last: 2}, &fx)
	s.Pump(1<<20, 0, &fx)
	s.Loaded([]Entry{{Message: msg("1"), QoS: 1, Seq: 1}, {Message: msg("2"), QoS: 1, Seq: 2}}, false)
	s.Pump(1<<20, 0, &fx)
	want(t, out(t, &fx, packet.V5), `PUBLISH t "1" qos=1 id=1`)
	for _, v := range []Verdict{Store, Store, Store, QueueFull} {
		if _, got := offer(t, s, 1, "3", true); got != v {
			t.Fatalf("verdict %d, want %d", got, v)
		}
		if v == Store {
			s.Filed()
		}
	}
	if n, bytes := s.Waiting(); n != 4 || bytes != 4*msg("1").Size() {
		t.Errorf("%d messages of %d bytes wait", n, bytes)
	}
	if seq, ok := s.Oldest(); !ok || seq != 2 {
		t.Errorf("the oldest is %d, %t", seq, ok)
	}
	s.DropOldest()
	if behind, ok := s.Backlog(); !ok || behind != 2 {
		t.Errorf("the oldest is behind %d, %t", behind, ok)
	}
	s.DropStored(msg("3").Size())
	if n, bytes := s.Waiting(); n != 2 || bytes != 2*msg("1").Size() || s.past != nil {
		t.Errorf("%d messages of %d bytes wait", n, bytes)
	}
}

// What was sent is sent again in the order of sending, whichever its place in the queue. [MQTT-4.6.0-1]
func TestBySending(t *testing.T) {
	for _, c := range []struct{ ids, want []uint16 }{
		{nil, nil},
		{[]uint16{7}, []uint16{7}},
		{[]uint16{3, 1, 2}, []uint16{1, 2, 3}},
		{[]uint16{1, 65534, 2, 65535, 9}, []uint16{65534, 65535, 1, 2, 9}},
		{[]uint16{30000, 60000, 20}, []uint16{60000, 20, 30000}},
	} {
		var list []Entry
		for _, id := range c.ids {
			list = append(list, Entry{PacketID: id})
		}
		bySending(list)
		var got []uint16
		for i := range list {
			got = append(got, list[i].PacketID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v became %v, want %v", c.ids, got, c.want)
		}
	}
}

// Everybody's message that waited is asked about when that is in doubt, whatever overtakes it.
func TestPastDoubt(t *testing.T) {
	s, pump := waited(Params{}, 3)
	s.Doubt()
	if _, v := offer(t, s, 1, "new", false); v != Store || !s.Doubted() {
		t.Fatal("nothing is in doubt")
	}
	s.Withdraw(0, msg("new").Size())
	pump(0)
	if s.Doubted() {
		t.Error("all were asked about, and some are still in doubt")
	}
}
