package broker

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nightjarmq/nightjar/internal/store/disk"
	"github.com/nightjarmq/nightjar/packet"
)

// syncs decides what becomes of an fsync.
type syncs struct {
	mu   sync.Mutex
	next func() error // guarded by mu; nil: it succeeds
}

func (s *syncs) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
	default:
		return nil
	}
	s.mu.Lock()
	f := s.next
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f()
}

func (s *syncs) String() string { return "syncs" }

func (s *syncs) set(f func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = f
}

// onDisk runs a broker whose store is in memory and whose fsyncs are at s.
func onDisk(t *testing.T, s *syncs) *Broker {
	t.Helper()
	cfg := Config{SysInterval: -1}
	b := &Broker{cfg: cfg, live: cfg, log: slog.New(slog.DiscardHandler)}
	var err error
	if b.store, err = disk.Open("data", disk.Options{FS: errorfs.Wrap(vfs.NewMem(), s)}); err != nil {
		t.Fatal(err)
	}
	if err := b.assemble(nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.Run(ctx) // it says so when the store has failed
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return b
}

// TestStall: the disk takes its time over an fsync. Until it has ended nothing is
// acknowledged, and QoS 0 goes on, on the same connection too. [MQTT-4.3.2-4]
func TestStall(t *testing.T) {
	s := new(syncs)
	b := onDisk(t, s)
	c := pipe(t, b)
	exchange(t, c, &packet.Connect{Version: packet.V5, ClientID: "c", SessionExpiry: packet.Some[uint32](60)}, "")
	read(t, c)
	exchange(t, c, &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "live"}}}, "\x90\x04\x00\x01\x00\x00")
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.set(func() error {
		once.Do(func() { close(reached) })
		<-goOn
		return nil
	})
	exchange(t, c, &packet.Publish{Topic: []byte("kept"), Payload: []byte("x"), QoS: 1, PacketID: 2, Retain: true}, "")
	<-reached
	low := b.store.Durable()
	for range 3 {
		exchange(t, c, &packet.Publish{Topic: []byte("live"), Payload: []byte("y")}, "\x30\x08\x00\x04live\x00y") // no PUBACK before
	}
	if now := b.store.Durable(); now != low {
		t.Errorf("during the stall %d became durable", now)
	}
	close(goOn)
	if ack, ok := read(t, c).(*packet.Puback); !ok || ack.PacketID != 2 {
		t.Errorf("instead of the acknowledgement: %+v", ack)
	}
}

// TestFencedStore: an fsync fails. What hung on it is not acknowledged, but its
// connection closed; nothing is stored any more; and QoS 0 lives on. A message of
// QoS 2 whose identifier cannot be stored reaches nobody, because it comes again.
// [MQTT-4.3.3-10]
func TestFencedStore(t *testing.T) {
	s := new(syncs)
	b := onDisk(t, s)
	c, w := pipe(t, b), pipe(t, b)
	exchange(t, c, &packet.Connect{Version: packet.V5, ClientID: "c", CleanStart: true, RequestProblemInfo: packet.Some[byte](0)}, "")
	read(t, c)
	exchange(t, c, &packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "live"}}}, "\x90\x04\x00\x01\x00\x00")
	exchange(t, w, &packet.Connect{Version: packet.V5, ClientID: "w", CleanStart: true}, "")
	read(t, w)
	twice := pipe(t, b)
	exchange(t, twice, &packet.Connect{Version: packet.V311, ClientID: "twice"}, "\x20\x02\x00\x00")
	s.set(func() error { return syscall.EIO })
	kept := &packet.Publish{Topic: []byte("kept"), Payload: []byte("x"), QoS: 1, PacketID: 2, Retain: true}
	exchange(t, w, kept, "")
	if n, err := w.Read(make([]byte, 10)); n > 0 {
		t.Errorf("the publisher got %d bytes, %v", n, err)
	}
	s.set(nil) // an fsync that succeeds later means nothing
	exchange(t, c, kept, "\x40\x03\x00\x02\x83")
	exchange(t, twice, &packet.Publish{Topic: []byte("live"), Payload: []byte("x"), QoS: 2, PacketID: 3}, "")
	if n, err := twice.Read(make([]byte, 10)); n > 0 {
		t.Errorf("a message that was not stored is answered with %d bytes, %v", n, err)
	}
	exchange(t, c, &packet.Publish{Topic: []byte("live"), Payload: []byte("y")}, "\x30\x08\x00\x04live\x00y")
	late := pipe(t, b)
	exchange(t, late, &packet.Connect{Version: packet.V5, ClientID: "late", SessionExpiry: packet.Some[uint32](60)}, "")
	if ack := read(t, late).(*packet.Connack); ack.Code != packet.ServerUnavailable {
		t.Errorf("a new session is answered with %v", ack.Code)
	}
}

// TestUnreadableStore: a broker whose store the disk does not give back does not
// start with less than it had, and says what it could not read.
func TestUnreadableStore(t *testing.T) {
	err := advise(&fs.PathError{Op: "read", Path: "data/db/000007.sst", Err: syscall.EIO})
	if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "000007.sst") || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("%v", err)
	}
}
