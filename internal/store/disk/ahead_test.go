package disk

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nightjarmq/nightjar/internal/store"
)

// newestLog is what the log that is written to has.
func newestLog(t *testing.T, fs vfs.FS) (name string, b []byte) {
	t.Helper()
	for _, f := range files(t, fs, "data") {
		if strings.HasSuffix(f, ".log") && f > name {
			name = f
		}
	}
	return name, content(t, fs, name)
}

// TestLogGrowsInStrides: what is written to a log changes its content and not its
// length, until a stride is full; a log that is used again keeps the length it has. Nobody takes
// the zeros for damage.
func TestLogGrowsInStrides(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := smallOptions(fs)
	stride := int(o.MemTableSize / strides)
	s := mustOpen(t, "data", o)
	defer s.Close()
	w := newWindow(s)
	h := newHistory(s, rand.New(rand.NewPCG(3, 3)))
	same, grown := 0, 0 // submissions
	var name string
	var before int
	for i := 0; same < 100 || grown < 20 || s.db.Metrics().WAL.ObsoleteFiles == 0; i++ {
		ticket, err := h.submit()
		if err == nil {
			err = w.wait(ticket)
		}
		if err != nil {
			t.Fatal(err)
		}
		now, b := newestLog(t, fs)
		tail := len(b) - len(bytes.TrimRight(b, "\x00"))
		switch {
		case now != name:
		case len(b) == before:
			same++
		case tail > stride || tail < stride-8: // its last bytes may be zeros, too
			t.Fatalf("submission %d: %s has grown from %d to %d bytes and has %d zeros, want %d", i, now, before, len(b), tail, stride)
		default:
			grown++
		}
		name, before = now, len(b)
	}
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	again, err := h.check(smallOptions(left), s.Durable(), s.Durable())
	if again != nil {
		defer again.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

// TestLogCannotGrow: where there is no space for zeros, a log grows as it is written.
func TestLogCannotGrow(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var failed atomic.Int32
	o := smallOptions(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWriteAt && strings.HasSuffix(op.Path, ".log") {
			failed.Add(1)
			return syscall.ENOSPC
		}
		return nil
	})))
	s := mustOpen(t, "data", o)
	defer s.Close()
	w := newWindow(s)
	h := newHistory(s, rand.New(rand.NewPCG(4, 4)))
	var last store.Ticket
	for failed.Load() < 3 {
		var err error
		if last, err = h.submit(); err == nil {
			err = w.wait(last)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	again, err := h.check(smallOptions(mem.CrashClone(vfs.CrashCloneCfg{})), last, last)
	if again != nil {
		defer again.Close()
	}
	if err != nil {
		t.Error(err)
	}
}
