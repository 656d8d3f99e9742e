package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/nightjarmq/nightjar/internal/store"
)

// faults makes operations that change something fail.
type faults struct {
	mu    sync.Mutex
	at    int   // the operation to fail, from 1; 0 for none
	lasts bool  // and all after it
	err   error // with what
	syncs bool  // an fsync can fail, too
	seen  int
	hit   string // which it was
}

func (f *faults) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if isSync(op) && !f.syncs {
		return nil
	}
	f.seen++
	if f.at == 0 || f.seen != f.at && !(f.lasts && f.seen > f.at) {
		return nil
	}
	if f.hit == "" {
		f.hit = fmt.Sprintf("%d %s", op.Kind, op.Path)
	}
	return f.err
}

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

func (f *faults) String() string { return "faults" }

// count returns how many changes there were.
func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

func (f *faults) set(at int, lasts bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.lasts, f.err = at, lasts, err
}

// TestEveryOperationFails: the Nth change of a file fails, once or from there
// on, for every N of a fixed workload. A ticket that became durable is durable,
// nothing becomes durable after a failed sync, the failure is told once, and what
// is opened afterwards is a state between the last durable and the last
// submitted.
func TestEveryOperationFails(t *testing.T) {
	step := 1
	if quick() {
		step = 11
	}
	for n := 1; ; n += step {
		for _, lasts := range []bool{false, true} {
			hit, err := failAt(t, n, lasts)
			if err != nil {
				t.Fatalf("operation %d (%s) failed, and all after it: %t: %v", n, hit, lasts, err)
			}
			if hit == "" {
				t.Logf("%d operations", n-1)
				return
			}
		}
	}
}

// TestFencedCloseLeavesNothing: when writing the log has failed, or its fsync, Close
// ends every goroutine, and changes nothing any more.
func TestFencedCloseLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, n := range []int{1, 3} { // the write, the fsync; what makes the log longer between them may fail
		mem := vfs.NewCrashableMem()
		f := &faults{syncs: true}
		o := smallOptions(errorfs.Wrap(mem, f))
		o.LetGo = time.Minute
		s := mustOpen(t, "data", o)
		w := newWindow(s)
		h := newHistory(s, rand.New(rand.NewPCG(7, uint64(n))))
		f.set(f.count()+n, false, syscall.EIO)
		var last store.Ticket
		for {
			ticket, err := h.submit()
			if err == nil {
				last = ticket
				err = w.wait(ticket)
			}
			if err == nil {
				continue // not all there is needs the disk
			}
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("operation %d: %v", n, err)
			}
			break
		}
		changes := f.count()
		if err := s.Close(); !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d: Close: %v", n, err)
		}
		if f.count() != changes {
			t.Errorf("operation %d: %d changes behind the failure", n, f.count()-changes)
		}
		again, err := h.check(smallOptions(mem), 0, last)
		if err == nil {
			err = again.Close()
		}
		if err != nil {
			t.Errorf("operation %d: opened again: %v", n, err)
		}
	}
}

func failAt(t *testing.T, n int, lasts bool) (hit string, err error) {
	mem := vfs.NewCrashableMem()
	f := &faults{syncs: true}
	f.set(n, lasts, syscall.EIO)
	o := smallOptions(errorfs.Wrap(mem, f))
	o.LetGo = time.Millisecond // what stays then is no matter here
	s, err := Open("data", o)
	if err != nil {
		if f.hit == "" || !errors.Is(err, syscall.EIO) {
			return f.hit, fmt.Errorf("open: %w", err)
		}
		empty, err := (&history{log: make([][]store.Record, 1), twin: store.NewMemory(), after: map[store.Ticket]string{}}).check(smallOptions(mem), 0, 0)
		if err == nil {
			err = empty.Close()
		}
		return f.hit, err
	}
	told := make(chan error, 10)
	w := newWindow(s)
	w.mu.Lock()
	w.failed = func(err error) { told <- err }
	w.mu.Unlock()
	h := newHistory(s, rand.New(rand.NewPCG(3, 3)))
	var last store.Ticket
	for range 200 {
		ticket, err := h.submit()
		if err != nil {
			if !errors.Is(err, store.ErrFenced) {
				return f.hit, fmt.Errorf("submit: %w", err)
			}
			break
		}
		last = ticket
		if w.wait(ticket) != nil {
			break
		}
	}
	low := s.Durable()
	if _, err := s.Resume(1); err != nil {
		return f.hit, fmt.Errorf("read after the failure: %w", err)
	}
	failed := w.failedErr() != nil
	closing := s.Close()
	if s.Durable() != low || failed && closing == nil {
		return f.hit, fmt.Errorf("after the failure ticket %d became durable, and Close returned %v", s.Durable(), closing)
	}
	if len(told) > 1 {
		return f.hit, fmt.Errorf("the failure was told %d times", len(told))
	}
	for _, percent := range []int{0, 50, 100} {
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(n), 1))})
		again, err := h.check(smallOptions(clone), low, last)
		if err != nil {
			return f.hit, fmt.Errorf("opened with %d%% of what was not synced: %w", percent, err)
		}
		if err := again.Close(); err != nil {
			return f.hit, err
		}
	}
	return f.hit, nil
}

// TestFullDisk: while there is no space, or no file can be opened, nothing is
// accepted and nothing becomes durable; when there is, everything goes on, and
// nothing is lost.
func TestFullDisk(t *testing.T) {
	for i, n := range []int{1, 2, 3, 5, 8, 13, 21} { // after so many changes from here on
		lack := [...]error{syscall.ENOSPC, syscall.EMFILE, syscall.EDQUOT, syscall.ENFILE}[i%4]
		f := &faults{}
		mem := vfs.NewMem()
		o := smallOptions(errorfs.Wrap(mem, f))
		o.RetryFull = time.Millisecond
		s := mustOpen(t, "data", o)
		w := newWindow(s)
		h := newHistory(s, rand.New(rand.NewPCG(5, uint64(n))))
		f.mu.Lock()
		f.at, f.lasts, f.err = f.seen+n, true, lack
		f.mu.Unlock()
		for refused := false; !refused; {
			_, err := h.submit()
			if err != nil && !errors.Is(err, store.ErrNoSpace) {
				t.Fatalf("submit on a full disk: %v", err)
			}
			refused = err != nil
		}
		if w.failedErr() != nil {
			t.Fatalf("a full disk fenced the store: %v", w.failedErr())
		}
		if err := s.Checkpoint("copy"); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("a copy on a full disk: %v", err)
		}
		f.set(0, false, nil) // there is space
		last := store.Ticket(len(h.log) - 1)
		if err := w.wait(last); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			ticket, err := h.submit()
			if errors.Is(err, store.ErrNoSpace) { // the waiting operation has not looked again
				continue
			}
			if err == nil {
				err = w.wait(ticket)
			}
			if err != nil {
				t.Fatalf("submit after the disk was full: %v", err)
			}
		}
		last = store.Ticket(len(h.log) - 1)
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		again, err := h.check(smallOptions(mem), last, last)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenOnFullDisk: what is in the log becomes a table at the start. Where that finds no space the store does not open,
// which is said at once; nothing is changed, and when there is space everything is there.
func TestOpenOnFullDisk(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, "data", smallOptions(mem))
	defer s.Close()
	w := newWindow(s)
	h := newHistory(s, rand.New(rand.NewPCG(6, 6)))
	var last store.Ticket
	for range 20 {
		var err error
		if last, err = h.submit(); err == nil {
			err = w.wait(last)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	full := errorfs.Wrap(left, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".sst") {
			return syscall.ENOSPC
		}
		return nil
	}))
	for range 2 {
		if _, err := Open("data", smallOptions(full)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Open on a full disk: %v", err)
		}
	}
	again, err := h.check(smallOptions(left), last, last)
	if again != nil {
		defer again.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

// TestFailureBeforeRunning: what Pebble does in the background fails when all has been read and the store does not run yet. Open
// fails, in time, with that, and the next start has everything.
func TestFailureBeforeRunning(t *testing.T) {
	for name, fails := range map[string]func(op errorfs.Op) bool{
		"to make a table":  func(op errorfs.Op) bool { return op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") },
		"to write a table": func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".sst") },
		"to sync a table":  func(op errorfs.Op) bool { return isSync(op) && strings.HasSuffix(op.Path, ".sst") },
		"to write the manifest": func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, "MANIFEST")
		},
		"to sync the manifest": func(op errorfs.Op) bool { return isSync(op) && strings.Contains(op.Path, "MANIFEST") },
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			s := mustOpen(t, "data", smallOptions(mem))
			h := newHistory(s, rand.New(rand.NewPCG(9, 9)))
			var last store.Ticket
			for range 20 {
				var err error
				if last, err = h.submit(); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			var read atomic.Bool
			o := smallOptions(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if read.Load() && fails(op) {
					return syscall.EIO
				}
				return nil
			})))
			o.Progress = func(int, int) {
				read.Store(true)
				if err := s.db.Set(keyVersion, binary.BigEndian.AppendUint64(nil, version), pebble.Sync); err != nil {
					t.Error(err)
				}
				if _, err := s.db.AsyncFlush(); err != nil {
					t.Error(err)
				}
				<-s.fenced
			}
			s = newStore("data", o)
			if err := s.open(); !errors.Is(err, syscall.EIO) {
				t.Errorf("open: %v", err)
			}
			again, err := h.check(smallOptions(mem), last, last)
			if err == nil {
				err = again.Close()
			}
			if err != nil {
				t.Errorf("opened again: %v", err)
			}
		})
	}
}

// TestFullDiskIsToldOnce: that there is still no space is no news.
func TestFullDiskIsToldOnce(t *testing.T) {
	f := newFaultFS(vfs.NewMem(), time.Microsecond, func(err error) { t.Error(err) })
	f.running.Store(true)
	var told []error
	f.onFull = func(err error) { told = append(told, err) }
	tries := 0
	err := f.patiently(func() error {
		if tries++; tries > 1 && !f.full() {
			t.Error("not full while an operation waits for space")
		}
		if tries < 6 {
			return syscall.ENOSPC
		}
		return nil
	})
	if err != nil || tries != 6 || !slices.Equal(told, []error{syscall.ENOSPC, nil}) || f.full() {
		t.Errorf("%v after %d tries, told %v", err, tries, told)
	}
}

// TestCloseOnFullDisk: Close does not wait for space, and returns an error that the log does not have.
func TestCloseOnFullDisk(t *testing.T) {
	f := &faults{}
	mem := vfs.NewMem()
	var log bytes.Buffer
	o := smallOptions(errorfs.Wrap(mem, f))
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	s := mustOpen(t, "data", o)
	h := newHistory(s, rand.New(rand.NewPCG(5, 5)))
	f.set(1, true, syscall.ENOSPC)
	for {
		if _, err := h.submit(); err != nil {
			break
		}
	}
	low := s.Durable()
	if err := s.Close(); err == nil || strings.Count(err.Error(), syscall.ENOSPC.Error()) != 1 {
		t.Fatalf("Close on a full disk: %v, want one error", err)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "the disk is full") {
		t.Errorf("the log has besides that the disk is full:\n%s", &log)
	}
	again, err := h.check(smallOptions(mem), low, store.Ticket(len(h.log)-1))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// shortFS writes half of what it is given, without an error.
type shortFS struct {
	vfs.FS
	on bool
}

type shortFile struct {
	vfs.File
	fs *shortFS
}

func (s *shortFS) ReuseForWrite(a, b string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.ReuseForWrite(a, b, c)
	return &shortFile{f, s}, err
}

func (s *shortFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(name, c)
	return &shortFile{f, s}, err
}

func (f *shortFile) Write(p []byte) (int, error) {
	if f.fs.on {
		return f.File.Write(p[:len(p)/2])
	}
	return f.File.Write(p)
}

func TestShortWrite(t *testing.T) {
	fs := &shortFS{FS: vfs.NewMem()}
	s := mustOpen(t, "data", smallOptions(fs))
	w := newWindow(s)
	fs.on = true
	ticket, err := s.Submit(&store.SessionOpened{Session: 1, Epoch: 1})
	if err == nil {
		err = w.wait(ticket)
	}
	if !errors.Is(err, io.ErrShortWrite) || s.Durable() != 0 {
		t.Fatalf("a short write: %v, Durable is %d", err, s.Durable())
	}
	if err := s.Close(); !errors.Is(err, io.ErrShortWrite) {
		t.Fatalf("Close: %v", err)
	}
}
