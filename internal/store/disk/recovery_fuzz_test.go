package disk

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/storetest"
)

// FuzzRecovery puts foreign bytes into a file of a store that was killed, in place
// of some of its own. The store opens, with nothing in it that was not there: what
// is lost was found to be damaged, or was the end of a log. It opens the second
// time as it did the first.
func FuzzRecovery(f *testing.F) {
	for which := range uint8(8) {
		f.Add(which, uint16(0), uint16(0), []byte{})                   // as it was
		f.Add(which, uint16(0), uint16(1<<16-1), []byte{})             // nothing is left
		f.Add(which, uint16(40), uint16(3), []byte("\x00\xff\x7f"))    // some bytes are others
		f.Add(which, uint16(1<<16-1), uint16(0), make([]byte, 40))     // something follows
		f.Add(which, uint16(100), uint16(0), []byte("between others")) // all behind it is moved
	}
	var once sync.Once
	var made *vfs.MemFS
	var h *history
	var whole *storetest.State
	f.Fuzz(func(t *testing.T, which uint8, at, out uint16, in []byte) {
		once.Do(func() {
			made, h = small(t, false, 7)
			if err := h.expect(0, store.Ticket(len(h.log)-1)); err != nil {
				t.Fatal(err)
			}
			var err error
			if whole, err = storetest.Observe(h.twin); err != nil {
				t.Fatal(err)
			}
		})
		damaged := copyFS(t, made)
		all := files(t, damaged, "data")
		name := all[int(which)%len(all)]
		if err := writeFile(damaged, name, splice(content(t, damaged, name), int(at), int(out), in)); err != nil {
			t.Fatal(err)
		}
		first := recover1(t, damaged, name, h, whole)
		if second := recover1(t, damaged, "", h, whole); second != first {
			t.Errorf("%s: opened again it is another one:\n%s\n%s", name, first, second)
		}
	})
}

// splice replaces bytes of b.
func splice(b []byte, at, out int, in []byte) []byte {
	at = min(at, len(b))
	out = min(out, len(b)-at)
	return append(append(append([]byte(nil), b[:at]...), in...), b[at+out:]...)
}

// recover1 opens a store that may be damaged in one file and returns what is in it.
func recover1(t *testing.T, fs *vfs.MemFS, name string, h *history, whole *storetest.State) string {
	t.Helper()
	found := 0
	o := smallOptions(fs)
	o.Damage = func(Damage) { found++ }
	s, err := Open("data", o)
	if errors.Is(err, ErrNewer) {
		return "" // it says so, and nothing is changed
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer s.Close()
	got, err := fingerprint(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if former(h, got) {
		if found == 0 && got != h.after[store.Ticket(len(h.log)-1)] && name != "" && !strings.HasSuffix(name, ".log") {
			t.Errorf("%s: something is lost and nothing was found", name)
		}
		return got
	}
	if found == 0 && name != "" {
		t.Errorf("%s: the state is another one and nothing was found:\n%s", name, got)
	}
	left, err := storetest.Observe(s)
	if err == nil {
		err = within(left, whole)
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return got
}

func former(h *history, got string) bool {
	for _, text := range h.after {
		if got == text {
			return true
		}
	}
	return false
}
