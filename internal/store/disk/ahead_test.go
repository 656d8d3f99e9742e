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

// reserving notes what is reserved of a file.
type reserving struct {
	vfs.File
	n int64
}

func (f *reserving) Preallocate(_, n int64) error {
	f.n = n
	return nil
}

// TestSmallDisk: a log takes for later no more than a share of what is free when it is begun.
func TestSmallDisk(t *testing.T) {
	const logSize = 9 << 20
	for _, c := range []struct {
		free             uint64
		reserved, stride int64
	}{
		{1 << 40, logSize, 128 << 10},
		{32 << 20, 1 << 20, 128 << 10},
		{1 << 20, 32 << 10, 32 << 10},
		{100 << 10, 0, 0},
		{0, 0, 0},
	} {
		mem := vfs.NewMem()
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: c.free, TotalBytes: 1 << 40})
		f := newFaultFS(mem, 0, func(err error) { t.Error(err) })
		f.stride = 128 << 10
		file, err := mem.Create("1.log", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		to := &reserving{File: file}
		log := f.newLog(to, "1.log")
		if err := log.Preallocate(0, logSize); err != nil || to.n != c.reserved {
			t.Errorf("%d bytes free: %d are reserved, %v, want %d", c.free, to.n, err, c.reserved)
		}
		if _, err := log.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if info, err := log.Stat(); err != nil || info.Size() != 1+c.stride {
			t.Errorf("%d bytes free: the log has %d bytes, %v, want 1 and %d", c.free, info.Size(), err, c.stride)
		}
	}
}
