package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/storetest"
)

// TestQueueWithGap: of a queue that is partly sent, damage takes what lies at one
// place and no more, and what is left is as it was: none that was sent waits as if
// it had not been, none that was received is there again, and none has another
// packet identifier. [MQTT-4.3.3-8]
func TestQueueWithGap(t *testing.T) {
	for name, apart := range map[string]bool{"one table": false, "two tables": true} {
		t.Run(name, func(t *testing.T) { queueWithGap(t, apart) })
	}
}

func queueWithGap(t *testing.T, apart bool) {
	fs := vfs.NewMem()
	whole := partlySent(t, fs, 400, apart)
	outcomes := map[string]int{}
	for _, name := range files(t, fs, "data") {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		for at := 0; at < len(content(t, fs, name)); at += 200 {
			damaged := copyFS(t, fs)
			b := content(t, fs, name)
			b[at] ^= 1
			if err := writeFile(damaged, name, b); err != nil {
				t.Fatal(err)
			}
			outcomes[gapped(t, damaged, at, whole)]++
		}
	}
	t.Log(outcomes)
	if outcomes["a part is lost"] < 5 {
		t.Errorf("the damage did this: %v", outcomes)
	}
}

// partlySent makes a store with one queue, in one table, or with its progress apart.
func partlySent(t *testing.T, fs vfs.FS, n int, apart bool) *storetest.State {
	t.Helper()
	s := mustOpen(t, "data", Options{FS: fs})
	id := s.NewSession()
	recs := []store.Record{&store.SessionOpened{Session: id, Epoch: 1, ClientID: "slow"}}
	for range n {
		recs = append(recs, &store.Published{Message: &message.Message{Topic: "a", Payload: bytes.Repeat([]byte("0123456789"), 8), QoS: 2}, To: []store.Recipient{{Session: id, QoS: 2}}})
	}
	if _, err := s.Submit(recs...); err != nil {
		t.Fatal(err)
	}
	if apart {
		err := s.begin()
		if err == nil {
			err = s.db.Flush()
			s.reading.Done()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range recs[1:] {
		p := r.(*store.Published)
		var err error
		switch {
		case i%4 == 1:
			_, err = s.Submit(&store.Received{Session: id, Seq: p.Seq, PacketID: uint16(i + 1)})
		case i < n/2 || i > n-n/4:
			_, err = s.Submit(&store.Sent{Session: id, Seq: p.Seq, PacketID: uint16(i + 1)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	whole, err := storetest.Observe(s)
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// gapped opens a damaged copy and says what has become of it.
func gapped(t *testing.T, fs vfs.FS, at int, whole *storetest.State) string {
	t.Helper()
	said := ""
	s := mustOpen(t, "data", Options{FS: fs, Damage: func(d Damage) { said = strings.Join(d.Lost, "; ") }})
	defer s.Close()
	left, err := storetest.Observe(s)
	if err == nil {
		err = within(left, whole)
	}
	if err != nil {
		t.Errorf("byte %d: %v", at, err)
		return "wrong"
	}
	lost := whole.Stats.Queued - left.Stats.Queued
	switch {
	case lost == 0:
		return "no harm"
	case said == "":
		t.Errorf("byte %d: %d deliveries are lost, and nothing is said", at, lost)
	case len(left.Sessions) == 0:
		return "the session is lost"
	case lost > 150:
		t.Errorf("byte %d: %d deliveries are lost: %s", at, lost, said)
	case !strings.Contains(said, `of session 1 (client "slow")`):
		t.Errorf("byte %d: it does not say what is lost: %s", at, said)
	}
	return "a part is lost"
}

// TestOldVersion: a directory of version 1 is brought up to date; to look only it
// is not opened.
func TestOldVersion(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, "data", Options{FS: fs})
	h := newHistory(s, rand.New(rand.NewPCG(4, 4)))
	for range 300 {
		if _, err := h.submit(); err != nil {
			t.Fatal(err)
		}
	}
	last := store.Ticket(len(h.log) - 1)
	if err := makeOld(s); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenView("data", Options{FS: fs}); !errors.Is(err, ErrOlder) {
		t.Errorf("OpenView of an old version: %v", err)
	}
	for range 2 {
		again, err := h.check(Options{FS: fs}, last, last)
		if err == nil {
			err = again.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	v, err := OpenView("data", Options{FS: fs})
	if err == nil {
		err = v.Close()
	}
	if err != nil {
		t.Errorf("OpenView of what is up to date: %v", err)
	}
}

// makeOld closes the store as one of version 1.
func makeOld(s *Store) error {
	if err := s.begin(); err != nil {
		return err
	}
	b := s.db.NewBatch()
	err := s.db.scan([]byte{spaceSession}, []byte{spaceSession + 1}, func(key, value []byte) (bool, error) {
		if k, ok := parseSessionKey(key); ok && k.kind == kindProgress {
			_ = b.Set(appendSeqKey(nil, k.id, kindOldProgress, k.seq()), value, nil)
			_ = b.Delete(key, nil)
		}
		return true, nil
	})
	if err == nil {
		_ = b.Set(keyVersion, binary.BigEndian.AppendUint64(nil, 1), nil)
		err = s.db.Apply(b, pebble.NoSync)
	}
	s.reading.Done()
	if err != nil {
		return err
	}
	return s.Close()
}
