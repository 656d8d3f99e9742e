package crash

import (
	"fmt"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// TestWillOnce: a will that was published does not come again after a crash,
// and that of a client that the crash has cut off does come.
func TestWillOnce(t *testing.T) {
	s := newSite(t, build(t, "../..", ""))
	s.start()
	watcher, _ := s.connect("watcher", nil)
	s.subscribe(watcher, "will/#", 1)
	first, _ := s.connect("first", &packet.Will{Topic: "will/first", QoS: 1})
	if err := first.hangUp(); err != nil {
		t.Fatal(err)
	}
	s.will(watcher, "will/first") // [MQTT-3.1.2-8]
	for i := range 3 {
		name := fmt.Sprintf("later%d", i)
		w, _ := s.connect(name, &packet.Will{Topic: "will/" + name, QoS: 1})
		for range 20 {
			s.publish(w, "nothing", "x", true)
		}
		s.p.kill()
		s.start()
		var present bool
		if watcher, present = s.connect("watcher", nil); !present {
			t.Fatal("the session of the watcher is lost")
		}
		s.will(watcher, "will/"+name)
	}
}

// will expects a will and nothing before it, and acknowledges it.
func (s *site) will(w *wire, topic string) {
	s.Helper()
	p := s.ask(w, nil, packet.TypePublish).(*packet.Publish)
	if string(p.Topic) != topic {
		s.Fatalf("instead of %s: %s", topic, describe(p))
	}
	if _, err := w.send(&packet.Puback{PacketID: p.PacketID}); err != nil {
		s.Fatal(err)
	}
	s.ask(w, &packet.Pingreq{}, packet.TypePingresp)
}

// TestWillOfTheTakenOver: the will of a connection comes, and once, that another one has
// taken over, also if the broker is killed when the disk has one of the batches that this
// makes, and nothing yet of what came after it. [MQTT-3.1.2-8] [MQTT-3.1.2-10]
func TestWillOfTheTakenOver(t *testing.T) {
	s := newSite(t, build(t, "../..", "failpoint"))
	s.start()
	watcher, _ := s.connect("watcher", nil)
	s.subscribe(watcher, "will/#", 2)
	s.stop()
	for _, clean := range []bool{false, true} {
		told := 0
		for n := 1; n <= 5; n++ { // one of them is the takeover's
			name := fmt.Sprintf("clean=%v,%d", clean, n)
			accepted := s.takenOverAt(n, name, clean)
			s.start()
			times := s.willsOf(name)
			if accepted {
				told++
			}
			if accepted && times != 1 || times > 1 {
				t.Errorf("%s: the will came %d times", name, times)
			}
			s.stop()
		}
		if told < 3 {
			t.Errorf("clean=%v: only %d of the clients were connected", clean, told)
		}
	}
}

// takenOverAt starts the broker so that it ends when its n-th batch is on the disk.
// Meanwhile a client with a will connects twice. It reports whether the first connection
// was told that it has a session.
func (s *site) takenOverAt(n int, name string, clean bool) bool {
	s.Helper()
	p, err := start(s.bin, s.data, s.c.log, fmt.Sprintf("NIGHTJAR_FAILPOINT=durable.before:%d", n))
	if err != nil {
		s.Fatal(err)
	}
	s.p = p
	defer p.kill()
	if s.c.addr, err = p.address(); err != nil {
		return false // it has ended while it started
	}
	open := func(clean bool, will *packet.Will) *wire {
		w, err := dial(s.c, name, s.c.addr)
		if err != nil {
			return nil
		}
		s.Cleanup(func() { w.Close() })
		k := &packet.Connect{Version: packet.V5, ClientID: name, CleanStart: clean, SessionExpiry: packet.Some[uint32](3600), Will: will}
		if _, err := w.open(k); err != nil {
			return nil
		}
		return w
	}
	if open(false, &packet.Will{Topic: "will/" + name, QoS: 2}) == nil {
		return false
	}
	for w := open(clean, nil); w != nil; { // more batches, until it ends
		if _, err := w.ask(&packet.Publish{Topic: []byte("nothing"), Payload: []byte("x"), QoS: 1, PacketID: 7, Retain: true}); err != nil {
			break
		}
	}
	return true
}

// willsOf counts how often the watcher gets the will, until somebody says that this was
// all.
func (s *site) willsOf(name string) (times int) {
	s.Helper()
	late, _ := s.connect(name, nil) // at once, which withdraws no will that is due
	watcher, _ := s.connect("watcher", nil)
	s.publish(late, "will/end", "x", false)
	open, last := map[uint16]bool{}, false
	for !last || len(open) > 0 {
		k, err := watcher.next()
		if err != nil {
			s.Fatal(err)
		}
		var answer packet.Packet
		switch k := k.(type) {
		case *packet.Pubrel:
			answer = &packet.Pubcomp{PacketID: k.PacketID}
			delete(open, k.PacketID)
		case *packet.Publish:
			answer = &packet.Puback{PacketID: k.PacketID}
			if k.QoS == 2 {
				answer = &packet.Pubrec{PacketID: k.PacketID}
				open[k.PacketID] = true
			}
			last = last || string(k.Topic) == "will/end"
			if string(k.Topic) == "will/"+name {
				times++
			}
		}
		if _, err := watcher.send(answer); err != nil {
			s.Fatal(err)
		}
	}
	s.ask(watcher, &packet.Pingreq{}, packet.TypePingresp) // it knows
	return times
}
