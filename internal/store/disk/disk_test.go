package disk

import (
	"flag"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/storetest"
)

// reopen closes the store and opens the directory again.
func reopen(t *testing.T, s store.Store) store.Store {
	t.Helper()
	old := s.(*Store)
	if err := old.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return mustOpen(t, old.dir, old.opts)
}

func mustOpen(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// checks sets how many sequences of random records are tried, unless the command
// line has said so, for the rest of the test.
func checks(t *testing.T, n int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	if err := flag.Set(f.Name, strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(f.Name, f.DefValue) }) // it was accepted before
}

func TestStore(t *testing.T) {
	if raceEnabled {
		checks(t, 10)
	}
	for name, d := range map[string]Durability{"sync": Sync, "relaxed": Relaxed, "none": None} {
		t.Run(name, func(t *testing.T) {
			if raceEnabled && d == None {
				t.Skip("its goroutines do a part of what those of relaxed do")
			}
			storetest.RunDurable(t, func(t *testing.T) store.Store {
				return mustOpen(t, "data", Options{FS: vfs.NewMem(), Durability: d})
			}, reopen)
		})
	}
}

func TestStoreOnDisk(t *testing.T) {
	if quick() {
		t.Skip("thousands of fsyncs")
	}
	checks(t, 15) // TestStore tries more; here each costs real fsyncs
	storetest.RunDurable(t, func(t *testing.T) store.Store { return mustOpen(t, t.TempDir(), Options{}) }, reopen)
}
