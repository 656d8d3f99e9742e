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

// TestWillOfTheTakenOver: the will of a connection comes that another one has taken over, also if the broker is killed when
// the log has the one, and nothing yet that came after it. [MQTT-3.1.3-9] [MQTT-3.1.2-8]
func TestWillOfTheTakenOver(t *testing.T) {
	s := newSite(t, build(t, "../..", "failpoint"))
	s.start()
	watcher, _ := s.connect("watcher", nil)
	s.subscribe(watcher, "will/#", 1)
	s.stop()
	told := 0
	for n := 1; n <= 6; n++ { // one of them is the takeover's
		name := fmt.Sprintf("old%d", n)
		if !s.takenOverAt(n, name) {
			continue // it came no further than the old one's CONNECT
		}
		told++
		s.start()
		watcher, _ = s.connect("watcher", nil)
		for heard := ""; heard != "will/"+name; {
			p := s.ask(watcher, nil, packet.TypePublish).(*packet.Publish)
			heard = string(p.Topic)
			if _, err := watcher.send(&packet.Puback{PacketID: p.PacketID}); err != nil {
				t.Fatal(err)
			}
		}
		s.stop()
	}
	if told < 2 {
		t.Errorf("only %d of the clients were connected", told)
	}
}

// takenOverAt starts the broker so that it ends behind its n-th batch. Meanwhile a client with a will connects twice. It
// reports whether the first connection was told that it has a session.
func (s *site) takenOverAt(n int, name string) bool {
	s.Helper()
	p, err := start(s.bin, s.data, s.c.log, fmt.Sprintf("NIGHTJAR_FAILPOINT=batch.after:%d", n))
	if err != nil {
		s.Fatal(err)
	}
	s.p = p
	defer p.kill()
	if s.c.addr, err = p.address(); err != nil {
		return false // it has ended while it started
	}
	open := func(will *packet.Will) *wire {
		w, err := dial(s.c, name, s.c.addr)
		if err != nil {
			return nil
		}
		s.Cleanup(func() { w.Close() })
		if _, err := w.open(&packet.Connect{Version: packet.V5, ClientID: name, SessionExpiry: packet.Some[uint32](3600), Will: will}); err != nil {
			return nil
		}
		return w
	}
	if open(&packet.Will{Topic: "will/" + name, QoS: 1}) == nil {
		return false
	}
	for w := open(nil); w != nil; { // more batches, until it ends
		if _, err := w.ask(&packet.Publish{Topic: []byte("nothing"), Payload: []byte("x"), QoS: 1, PacketID: 7, Retain: true}); err != nil {
			break
		}
	}
	return true
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
