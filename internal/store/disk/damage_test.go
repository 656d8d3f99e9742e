package disk

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/storetest"
)

var (
	flipsFlag = flag.Int("flips", 1000, "how many bytes TestFlippedBytes damages, of all stores together; 0: every byte")
	flipSeed  = flag.Uint64("flipseed", 7, "the first seed of TestFlippedBytes")
	flipSeeds = flag.Int("flipseeds", 4, "how many stores TestFlippedBytes damages, closed and killed")
)

// files lists the files below a directory.
func files(t *testing.T, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			all = append(all, files(t, fs, path)...)
		} else {
			all = append(all, path)
		}
	}
	return all
}

func content(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func copyFS(t *testing.T, fs *vfs.MemFS) *vfs.MemFS {
	t.Helper()
	to := vfs.NewMem()
	if _, err := vfs.Clone(fs, to, "data", "data"); err != nil {
		t.Fatal(err)
	}
	return to
}

// small makes a store with something of everything, in tables and in the log,
// and returns its files and states. Each submission was durable before the next.
func small(t *testing.T, clean bool, seed uint64) (*vfs.MemFS, *history) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, "data", smallOptions(fs))
	w := newWindow(s)
	h := newHistory(s, rand.New(rand.NewPCG(7, seed)))
	for range 400 {
		recs := h.traffic.Next()
		ticket, err := h.submitRecords(recs[:min(len(recs), 10)]) // Pebble is slow with long damaged ones
		if err == nil {
			err = w.wait(ticket)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// what is last is a change, so that the record that is last in the log is its
	ticket, err := h.submitRecords([]store.Record{&store.SessionOpened{Session: 1, Epoch: 77}})
	if err == nil {
		err = w.wait(ticket)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !clean {
		defer s.Close() // which works on its files meanwhile: a copy of one after the other would be none of a moment
		return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(7, 7))}), h
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return fs, h
}

// TestFlippedBytes damages one byte after the other of a small store. The
// damage is found, or does no harm; what is left is as it was, or all as it was
// at a former time; the store opens; and only the last submission before a crash may be taken for one that was cut
// short.
func TestFlippedBytes(t *testing.T) {
	outcomes := map[string]int{}
	for seed := *flipSeed; seed < *flipSeed+uint64(*flipSeeds); seed++ {
		for _, clean := range []bool{true, false} {
			flipAll(t, clean, seed, outcomes)
		}
	}
	t.Log(outcomes)
}

func flipAll(t *testing.T, clean bool, seed uint64, outcomes map[string]int) {
	fs, h := small(t, clean, seed)
	if err := h.expect(0, store.Ticket(len(h.log)-1)); err != nil {
		t.Fatal(err)
	}
	whole, err := storetest.Observe(h.twin)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, name := range files(t, fs, "data") {
		total += len(content(t, fs, name))
	}
	step := flipStep(total)
	at := int(seed) % step // another place in each store
	for _, name := range files(t, fs, "data") {
		size := len(content(t, fs, name))
		for ; at < size; at += step {
			outcome, err := flip(t, fs, name, at, h, whole)
			if err != nil {
				t.Errorf("seed %d, closed %t, %s, byte %d: %s: %v", seed, clean, name, at, outcome, err)
			}
			outcomes[outcome]++
		}
		at -= size
	}
}

// flipStep is the distance between the bytes that are damaged in one store.
func flipStep(total int) int {
	n := *flipsFlag
	if n == 0 {
		return 1
	}
	if quick() {
		n = min(n, 120)
	}
	return max(1, total*2**flipSeeds/n)
}

// TestFormatMarkerGone: a file without content is gone, and nothing with it.
func TestFormatMarkerGone(t *testing.T) {
	fs, h := small(t, true, 7)
	gone := 0
	for _, name := range files(t, fs, "data") {
		if strings.HasPrefix(fs.PathBase(name), "marker.format-version") {
			gone++
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if gone != 1 {
		t.Fatalf("%d markers of the format", gone)
	}
	last := store.Ticket(len(h.log) - 1)
	s, err := h.check(smallOptions(fs), last, last)
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

// flip opens a copy with one bit wrong.
func flip(t *testing.T, fs *vfs.MemFS, name string, at int, h *history, whole *storetest.State) (string, error) {
	t.Helper()
	damaged := copyFS(t, fs)
	b := content(t, fs, name)
	b[at] ^= 1 << (at % 8)
	if err := writeFile(damaged, name, b); err != nil {
		t.Fatal(err)
	}
	var found []Damage
	o := smallOptions(damaged)
	o.Damage = func(d Damage) { found = append(found, d) }
	s, err := Open("data", o)
	if err != nil {
		return "refused", err
	}
	defer s.Close()
	got, err := fingerprint(s)
	if err != nil {
		return "unreadable", err
	}
	last := store.Ticket(len(h.log) - 1)
	switch {
	case got == h.after[last] && len(found) == 0:
		return "no harm", nil
	case got == h.after[last]:
		return "found, nothing lost", nil
	case len(found) == 0 && got == h.after[last-1] && strings.HasSuffix(name, ".log"):
		return "taken for cut short", nil
	case len(found) == 0:
		return "not found", fmt.Errorf("the state is another one and nothing was found: %s", got)
	}
	if _, err := damaged.Stat(found[0].Kept); err != nil {
		return "not kept", err
	}
	if n := s.Metrics().Damaged; n != len(found) {
		return "not counted", fmt.Errorf("%d directories are counted for %v", n, found)
	}
	for _, text := range h.after {
		if got == text {
			return "found, a former state", nil // the end of the log is lost
		}
	}
	left, err := storetest.Observe(s)
	if err == nil {
		err = within(left, whole)
	}
	return "found, something lost", err
}

// TestUnreadable: each reading of a file at the start fails once. Then the store
// does not open, for what cannot be read may be sound: nothing is changed, and when
// it can be read everything is there.
func TestUnreadable(t *testing.T) {
	made, h := small(t, false, 7)
	last := store.Ticket(len(h.log) - 1)
	refused := 0
	for n := 0; ; n++ {
		fs := copyFS(t, made)
		var left atomic.Int64
		left.Store(int64(n))
		failing := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind != errorfs.OpFileRead && op.Kind != errorfs.OpFileReadAt || left.Add(-1) != -1 {
				return nil
			}
			return &os.PathError{Op: "read", Path: op.Path, Err: syscall.EIO}
		}))
		o := smallOptions(failing)
		o.Damage = func(d Damage) { t.Errorf("reading %d failed, and that was taken for damage: %+v", n, d) }
		s, err := Open("data", o)
		failed := left.Load() < 0
		if err == nil {
			err = s.Close()
		} else {
			refused++
			var where *os.PathError
			if !errors.Is(err, syscall.EIO) || !errors.As(err, &where) {
				t.Errorf("reading %d failed: %v", n, err)
			}
			err = nil
		}
		if err != nil {
			t.Errorf("reading %d failed: Close: %v", n, err)
		}
		again, err := h.check(smallOptions(fs), last, last)
		if err != nil {
			t.Fatalf("after reading %d failed: %v", n, err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if !failed {
			t.Logf("%d readings, %d refused", n, refused)
			return
		}
	}
}

// within reports what of left is not in whole.
func within(left, whole *storetest.State) error {
	had := map[store.SessionID]*storetest.SessionState{}
	for i := range whole.Sessions {
		had[whole.Sessions[i].Info.Session] = &whole.Sessions[i]
	}
	for i := range left.Sessions {
		ss := &left.Sessions[i]
		was := had[ss.Info.Session]
		if was == nil {
			return fmt.Errorf("session %d was not there", ss.Info.Session)
		}
		in, win := *ss.Info, *was.Info
		if in.Will != nil && !reflect.DeepEqual(in.Will, win.Will) || !subset(in.Subscriptions, win.Subscriptions) {
			return fmt.Errorf("session %d is %+v, was %+v", in.Session, in, win)
		}
		in.Will, in.Subscriptions, in.Queued, in.QueuedBytes, in.Shares = win.Will, win.Subscriptions, win.Queued, win.QueuedBytes, win.Shares
		if !reflect.DeepEqual(in, win) {
			return fmt.Errorf("session %d is %+v, was %+v", in.Session, in, win)
		}
		if !subset(ss.Waiting, was.Waiting) || !subset(ss.Resume.Inflight, was.Resume.Inflight) || !subset(ss.Resume.Incoming, was.Resume.Incoming) {
			return fmt.Errorf("session %d has what it did not have:\n%+v\n%+v", in.Session, ss, was)
		}
	}
	if !subset(left.Retained, whole.Retained) {
		return fmt.Errorf("retained messages are %+v, were %+v", left.Retained, whole.Retained)
	}
	return nil
}

func subset[T any](a, b []T) bool {
	for i := range a {
		found := false
		for j := range b {
			found = found || reflect.DeepEqual(a[i], b[j])
		}
		if !found {
			return false
		}
	}
	return true
}
