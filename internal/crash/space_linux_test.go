package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// mount gives a small file system to the test.
func mount(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("nightjar", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a file system: %v", err)
		}
		t.Skipf("mount a file system, which root may: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk fills a real file system. While it is full, nothing is
// acknowledged, publishers and new sessions hear why, and QoS 0 and clients
// without a stored session live on. When there is space again, everything goes on
// in the same process, and what was acknowledged is there after a crash.
// [MQTT-4.1.0-1] [MQTT-4.3.2-4]
func TestFullDisk(t *testing.T) {
	dir := mount(t, "96m")
	s := newSite(t, build(t, "../..", ""))
	s.data = filepath.Join(dir, "data")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 76<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	absent, _ := s.connect("absent", nil)
	s.subscribe(absent, "stored/#", 1)
	if err := absent.leave(&packet.Disconnect{}); err != nil {
		t.Fatal(err)
	}
	watcher := s.transient("watcher")
	s.subscribe(watcher, "live", 0)
	s.subscribe(watcher, "$SYS/broker/store/full", 0)
	s.await(watcher, "0")
	w := s.transient("publisher")
	const many = 2000
	for n := range many {
		if _, err := w.send(s.message(n)); err != nil {
			t.Fatal(err)
		}
	}
	s.await(watcher, "1")

	s.publishLive(watcher)
	if code := s.refusedSession("late"); code != packet.QuotaExceeded { // [MQTT-3.1.4-2]
		t.Errorf("a new session on a full disk is answered with %v", code)
	}
	other := s.transient("other")
	if code := s.ask(other, s.message(0), packet.TypePuback).(*packet.Puback).Code; code != packet.QuotaExceeded {
		t.Errorf("a message on a full disk is answered with %v", code)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	var acked []string
	for n := range many {
		if s.ask(w, nil, packet.TypePuback).(*packet.Puback).Code == packet.Success {
			acked = append(acked, name(n))
		}
	}
	s.await(watcher, "0")
	if _, present := s.connect("late", nil); present { // [MQTT-3.2.2-2]
		t.Error("the session that was refused is there")
	}
	if code := s.ask(other, s.message(many), packet.TypePuback).(*packet.Puback).Code; code != packet.Success {
		t.Errorf("a message is answered with %v when there is space again", code)
	}
	acked = append(acked, name(many))
	t.Logf("%d messages acknowledged, %d refused", len(acked), many+1-len(acked))
	s.p.kill()
	s.start()
	absent, present := s.connect("absent", nil)
	if !present {
		t.Fatal("the session is lost")
	}
	s.receives(absent, acked)
}

func name(n int) string { return fmt.Sprintf("message %d", n) }

// message is one for the absent session, of 16 KiB.
func (s *site) message(n int) *packet.Publish {
	return &packet.Publish{
		Topic: []byte("stored/x"), Payload: []byte(name(n) + strings.Repeat(".", 16<<10)),
		QoS: 1, PacketID: uint16(n + 1),
	}
}

// await awaits that the broker says how the disk is.
func (s *site) await(w *wire, full string) {
	s.Helper()
	p := s.ask(w, nil, packet.TypePublish).(*packet.Publish)
	if string(p.Topic) != "$SYS/broker/store/full" || string(p.Payload) != full {
		s.Fatalf("instead of full %s: %s %s", full, describe(p), p.Payload)
	}
}

// publishLive expects that QoS 0 comes back.
func (s *site) publishLive(w *wire) {
	s.Helper()
	p := s.ask(w, &packet.Publish{Topic: []byte("live"), Payload: []byte("x")}, packet.TypePublish).(*packet.Publish)
	if string(p.Topic) != "live" {
		s.Errorf("instead of a message of QoS 0: %s", describe(p))
	}
}

// transient connects a client whose session ends with its connection.
func (s *site) transient(id string) *wire {
	s.Helper()
	w, err := dial(s.c, id, s.c.addr)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { w.Close() })
	if _, err := w.open(&packet.Connect{Version: packet.V5, CleanStart: true, ClientID: id}); err != nil {
		s.Fatal(err)
	}
	return w
}

// refusedSession asks for a session and returns what it is refused with.
func (s *site) refusedSession(id string) packet.Code {
	s.Helper()
	w, err := dial(s.c, id, s.c.addr)
	if err != nil {
		s.Fatal(err)
	}
	defer w.Close()
	w.v = packet.V5
	ack := s.ask(w, &packet.Connect{Version: packet.V5, ClientID: id, SessionExpiry: packet.Some[uint32](3600)}, packet.TypeConnack)
	return ack.(*packet.Connack).Code
}

// receives expects the messages, in order, and nothing between or behind them
// but what was not acknowledged.
func (s *site) receives(w *wire, names []string) {
	s.Helper()
	for i := 0; i < len(names); {
		p := s.ask(w, nil, packet.TypePublish).(*packet.Publish)
		name, _, _ := strings.Cut(string(p.Payload), "..")
		if name == names[i] {
			i++
		}
		if _, err := w.send(&packet.Puback{PacketID: p.PacketID}); err != nil {
			s.Fatal(err)
		}
	}
}

// TestReadOnlyDisk: a broker that cannot write says so and does not start; when
// it can, everything is there.
func TestReadOnlyDisk(t *testing.T) {
	dir := mount(t, "40m")
	s := newSite(t, build(t, "../..", ""))
	s.data = filepath.Join(dir, "data")
	s.start()
	s.fill()
	s.stop()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s.refused("read-only", "serve", "--listen", "mqtt://127.0.0.1:0", "--data", s.data)
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=40m"); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.filled(s.data)
}
