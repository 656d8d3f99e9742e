package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

func TestLockNamesTheProcess(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"disk": vfs.Default, "memory": vfs.NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir, Options{FS: fs})
			_, err := Open(dir, Options{FS: fs})
			if !errors.Is(err, ErrLocked) || !strings.Contains(fmt.Sprint(err), fmt.Sprint("process ", os.Getpid())) {
				t.Errorf("Open of an open store: %v, want ErrLocked with the process", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := mustOpen(t, dir, Options{FS: fs}).Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A file in place of the directory is told as such, and stays as it is.
func TestFileIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); err == nil || !strings.Contains(err.Error(), "it is a file: name a directory") {
		t.Errorf("Open of a file: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file is %q afterwards, %v", b, err)
	}
}

// Nobody but its owner looks into the store, also in a directory that was there
// before and is open to all.
func TestFilesAreTheOwners(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are not bits of the file there")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir, Options{})
	defer s.Close()
	switch info, err := os.Stat(filepath.Join(dir, live)); {
	case err != nil:
		t.Error(err)
	case info.Mode().Perm()&0o077 != 0:
		t.Errorf("the files are in a directory with %v", info.Mode())
	}
}

// A directory that cannot be locked is not one that somebody has.
func TestLockErrors(t *testing.T) {
	fs := vfs.NewMem()
	if err := writeFile(fs, "pid", []byte("4711")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err    error
		locked bool
		says   string
	}{
		{syscall.EAGAIN, true, "process 4711"},
		{os.ErrPermission, false, "permission"},
		{syscall.EROFS, false, "read-only"},
		{syscall.ENOTDIR, false, "it is a file"},
	} {
		err := lockError(fs, "pid", c.err)
		if errors.Is(err, ErrLocked) != c.locked || !strings.Contains(err.Error(), c.says) || !errors.Is(err, c.err) {
			t.Errorf("%v is told as %q", c.err, err)
		}
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, "data", Options{FS: fs})
	if err := s.db.Set(keyVersion, binary.BigEndian.AppendUint64(nil, version+1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first leaves it as it is
		if _, err := Open("data", Options{FS: fs}); !errors.Is(err, ErrNewer) {
			t.Fatalf("Open of a newer version: %v, want ErrNewer", err)
		}
	}
}

// TestCheckpoint copies a store under way, and opens the copy.
func TestCheckpoint(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, "data", smallOptions(fs))
	h := newHistory(s, rand.New(rand.NewPCG(9, 9)))
	var at store.Ticket
	for i := range 300 {
		ticket, err := h.submit()
		if err != nil {
			t.Fatal(err)
		}
		if i == 150 {
			at = ticket
			if err := s.Checkpoint("copies/1"); err != nil {
				t.Fatal(err)
			}
			if err := s.Checkpoint("copies/1"); err == nil {
				t.Fatal("a copy was written over another")
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fs.Rename("data", "old"); err != nil {
		t.Fatal(err)
	}
	if err := fs.Rename("copies/1", "data"); err != nil {
		t.Fatal(err)
	}
	again, err := h.check(smallOptions(fs), at, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNumbersAreNotGivenOutTwice: not even those of what is gone, when the store
// was killed.
func TestNumbersAreNotGivenOutTwice(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, "data", Options{FS: fs})
	defer s.Close()
	w := newWindow(s)
	id := s.NewSession()
	p := &store.Published{Message: &message.Message{Topic: "a", Payload: []byte("1")}, To: []store.Recipient{{Session: id, QoS: 1}}}
	ticket, err := s.Submit(&store.SessionOpened{Session: id, Epoch: 1}, p, &store.SessionRemoved{Session: id})
	if err == nil {
		err = w.wait(ticket)
	}
	if err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, "data", Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
	defer again.Close()
	q := &store.Published{Message: p.Message}
	if _, err := again.Submit(q); err != nil {
		t.Fatal(err)
	}
	if next := again.NewSession(); next <= id || q.Seq <= p.Seq {
		t.Fatalf("after session %d and message %d came session %d and message %d", id, p.Seq, next, q.Seq)
	}
}

// TestMissingFiles: what is lost with a whole file is noticed.
func TestMissingFiles(t *testing.T) {
	fs, h := small(t, false, 7)
	if err := h.expect(0, store.Ticket(len(h.log)-1)); err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, fs, "data") {
		if base := fs.PathBase(name); base == "pid" || base == "LOCK" || isLog(base) {
			continue // a log that is gone as a whole leaves no trace
		}
		damaged := copyFS(t, fs)
		if err := damaged.Remove(name); err != nil {
			t.Fatal(err)
		}
		found := 0
		o := smallOptions(damaged)
		o.Damage = func(Damage) { found++ }
		s, err := Open("data", o)
		if err != nil {
			t.Errorf("without %s: %v", name, err)
			continue
		}
		got, err := fingerprint(s)
		if err != nil {
			t.Errorf("without %s: %v", name, err)
		}
		if last := h.after[store.Ticket(len(h.log)-1)]; got != last && found == 0 {
			t.Errorf("without %s the state is another one, and nothing was found", name)
		}
		if err := s.Close(); err != nil {
			t.Errorf("without %s: Close: %v", name, err)
		}
	}
}

func TestSubmissionsWithoutChangeNeedNoDisk(t *testing.T) {
	f := &faults{syncs: true}
	s := mustOpen(t, "data", Options{FS: errorfs.Wrap(vfs.NewMem(), f)})
	w := newWindow(s)
	before := f.count()
	for range 10 {
		ticket, err := s.Submit(&store.Done{Session: 7, Seq: 7})
		if err == nil {
			err = w.wait(ticket)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := f.count() - before; n != 0 {
		t.Errorf("submissions that change nothing made %d changes of files", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// TestReadersDuringStall: any number of readings during one fsync hand over what
// was submitted, even while those who are told of durability wait for a reader.
func TestReadersDuringStall(t *testing.T) {
	var stall sync.Mutex // held: an fsync waits
	s := mustOpen(t, "data", Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			stall.Lock()
			defer stall.Unlock()
		}
		return nil
	}))})
	var client sync.Mutex // as a client's: held while it reads, and wanted when something is durable
	told := make(chan store.Ticket, 1000)
	s.OnDurable(func(ticket store.Ticket, _ error) {
		client.Lock()
		defer client.Unlock()
		told <- ticket
	})
	id := s.NewSession()
	stall.Lock()
	client.Lock()
	var last store.Ticket
	for n := range 100 {
		if n == 50 {
			stall.Unlock()
		}
		ticket, err := s.Submit(&store.SessionOpened{Session: id, Epoch: uint32(n + 1)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Resume(id); err != nil {
			t.Fatal(err)
		}
		last = ticket
	}
	client.Unlock()
	for <-told != last {
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
