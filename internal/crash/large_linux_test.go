package crash

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

var largeFlag = flag.Int("large", 300, "MiB of messages in the queue of TestLargeQueue")

// largePayload is the size of its payloads, largeMemory the most bytes of memory that
// the program may take for any such queue.
const (
	largePayload = 16 << 10
	largeMemory  = 160 << 20
)

// TestLargeQueue: the queue of an absent client is larger than what the broker takes
// of memory, while it is filled, after a start, and while it is drained; nothing of
// it is lost, and all comes in order. [MQTT-4.6.0-6]
func TestLargeQueue(t *testing.T) {
	s := newSite(t, build(t, "../..", ""))
	s.serveUnlimited()
	w, _ := s.connect("reader", nil)
	s.subscribe(w, "large", 1)
	if err := w.leave(&packet.Disconnect{}); err != nil {
		t.Fatal(err)
	}
	many := *largeFlag << 20 / largePayload
	s.fillLarge(many)
	s.wantMemory("filled")
	s.p.kill()
	s.serveUnlimited()
	s.wantMemory("started again")
	s.drainLarge(many)
	s.wantMemory("drained")
	s.stop()
}

// serveUnlimited starts the broker with no limit for queues.
func (s *site) serveUnlimited() {
	s.Helper()
	dir := s.TempDir()
	conf, socket := filepath.Join(dir, "nightjar.toml"), filepath.Join(dir, "socket")
	text := fmt.Sprintf("data = %q\nuser = 'root'\n[limits]\nqueued_messages = 'none'\nqueued_bytes = 'none'\n[[listener]]\naddress = 'unix:%s'\nanonymous = true\n", s.data, socket)
	err := os.WriteFile(conf, []byte(text), 0o600)
	if err == nil {
		s.p, err = serve(s.bin, []string{"-c", conf}, s.c.log)
	}
	if err == nil {
		_, err = s.p.address()
	}
	if err != nil {
		s.Fatal(err)
	}
	s.c.addr = socket
}

// large is the payload of message n, which does not compress.
func large(n int) []byte {
	b := make([]byte, largePayload)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b) // it never fails
	binary.BigEndian.PutUint32(b, uint32(n))
	return b
}

// fillLarge publishes so many messages, some of them at a time, and waits for all
// acknowledgements.
func (s *site) fillLarge(many int) {
	s.Helper()
	const under = 256
	w, _ := s.connect("writer", nil)
	for n := range many + under {
		if n >= under {
			if ack := s.ask(w, nil, packet.TypePuback).(*packet.Puback); int(ack.PacketID) != (n-under)%60000+1 || ack.Code != packet.Success {
				s.Fatalf("message %d: %s", n-under, describe(ack))
			}
		}
		if n < many {
			if _, err := w.send(&packet.Publish{Topic: []byte("large"), Payload: large(n), QoS: 1, PacketID: uint16(n%60000 + 1)}); err != nil {
				s.Fatal(err)
			}
		}
	}
	if err := w.leave(&packet.Disconnect{SessionExpiry: packet.Some[uint32](0)}); err != nil {
		s.Fatal(err)
	}
}

// drainLarge takes and acknowledges so many messages, and no more.
func (s *site) drainLarge(many int) {
	s.Helper()
	w, present := s.connect("reader", nil)
	if !present {
		s.Fatal("the session is not there")
	}
	for n := range many {
		p := s.ask(w, nil, packet.TypePublish).(*packet.Publish)
		if !bytes.Equal(p.Payload, large(n)) {
			s.Fatalf("in the place of message %d: %s", n, describe(p))
		}
		if _, err := w.send(&packet.Puback{PacketID: p.PacketID}); err != nil {
			s.Fatal(err)
		}
	}
	s.ask(w, &packet.Pingreq{}, packet.TypePingresp)
}

// wantMemory sees that the process has never had much in memory.
func (s *site) wantMemory(when string) {
	s.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.p.cmd.Process.Pid))
	if err != nil {
		s.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.Atoi(kib)
	if err != nil {
		s.Fatal(err)
	}
	s.Logf("%s: %d MiB at most", when, n>>10)
	if n<<10 > largeMemory {
		s.Errorf("%s: the process had %d MiB in memory, for a queue of %d MiB", when, n>>10, *largeFlag)
	}
}
