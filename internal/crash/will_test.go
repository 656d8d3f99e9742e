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
