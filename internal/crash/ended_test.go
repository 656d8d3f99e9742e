package crash

import (
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// TestEndedSession: a session that a Clean Start has ended is not there after a
// crash either, once its CONNACK has come. [MQTT-3.1.2-4]
func TestEndedSession(t *testing.T) {
	s := newSite(t, build(t, "../..", ""))
	s.start()
	w, _ := s.connect("c", nil)
	s.subscribe(w, "t", 1)
	if err := w.leave(&packet.Disconnect{}); err != nil {
		t.Fatal(err)
	}
	clean, err := dial(s.c, "c", s.c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer clean.Close()
	ack, err := clean.open(&packet.Connect{Version: packet.V5, ClientID: "c", CleanStart: true})
	if err != nil || ack.SessionPresent {
		t.Fatalf("%+v, %v", ack, err)
	}
	s.p.kill()
	s.start()
	if _, present := s.connect("c", nil); present {
		t.Error("the session is back")
	}
	s.stop()
}
