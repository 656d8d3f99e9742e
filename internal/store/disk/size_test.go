package disk

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// directory is how many bytes the files below dir have.
func directory(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // removed meanwhile
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// must submits and waits until it is durable.
func (w *window) must(t *testing.T, s *Store, recs ...store.Record) {
	t.Helper()
	ticket, err := s.Submit(recs...)
	if err == nil {
		err = w.wait(ticket)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestStoredOnce: 200 messages of 8 KiB that 1,000 absent sessions wait for take
// megabytes, not gigabytes.
func TestStoredOnce(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	defer s.Close()
	w := newWindow(s)
	to := openSessions(t, s, 1000)
	var pub message.Publication
	payload := noise(8 << 10)
	for i := range 200 {
		w.must(t, s, &store.Published{Message: keep(&pub, i, payload), To: to})
	}
	if st := s.Stats(); st.Messages != 200 || st.Queued != 200_000 {
		t.Errorf("%+v", st)
	}
	if n := directory(t, dir); n > 64<<20 {
		t.Errorf("the directory has %d MiB", n>>20)
	} else {
		t.Logf("the directory has %d KiB", n>>10)
	}
}

// TestDirectoryShrinks: what was delivered does not stay in the directory.
func TestDirectoryShrinks(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{MemTableSize: 1 << 20})
	defer s.Close()
	w := newWindow(s)
	to := openSessions(t, s, 100)
	var pub message.Publication
	for i := range 5000 {
		if _, err := s.Submit(&store.Published{Message: keep(&pub, i, noise(8<<10)), To: to[i%100 : i%100+1]}); err != nil {
			t.Fatal(err)
		}
		if i%500 == 0 {
			w.must(t, s)
		}
	}
	w.must(t, s)
	full := directory(t, dir)
	if live := s.Stats().MessageBytes; full > 2*live || s.wasteful(slack/2) {
		t.Errorf("with %d MiB of messages the directory has %d MiB", live>>20, full>>20)
	}
	for i, r := range to {
		if i%2 == 0 { // half of them expire, the others fetch what waits
			w.must(t, s, &store.SessionRemoved{Session: r.Session})
			continue
		}
		list, err := s.Queue(nil, r.Session, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var recs []store.Record
		for _, e := range list {
			recs = append(recs, &store.Done{Session: r.Session, Seq: e.Seq})
		}
		w.must(t, s, recs...)
	}
	if err := s.tidy(); err != nil {
		t.Fatal(err)
	}
	s.db.TestOnlyWaitForCleaning()
	m := s.db.Metrics()
	total := m.Total()
	if total.TablesSize > 1<<20 || s.wasteful(slack/2) {
		t.Errorf("without messages the tables have %d MiB, the directory %d MiB", total.TablesSize>>20, m.DiskSpaceUsage()>>20)
	}
	t.Logf("full: %d MiB, drained: %d KiB", full>>20, directory(t, dir)>>10)
}

// noise does not compress.
func noise(n int) []byte {
	rng := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%032d", n))))
	b := make([]byte, n)
	_, _ = rng.Read(b) // it never fails
	return b
}
