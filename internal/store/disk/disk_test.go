package disk

import (
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

func TestStore(t *testing.T) {
	for name, d := range map[string]Durability{"sync": Sync, "relaxed": Relaxed, "none": None} {
		t.Run(name, func(t *testing.T) {
			storetest.RunDurable(t, func(t *testing.T) store.Store {
				return mustOpen(t, "data", Options{FS: vfs.NewMem(), Durability: d})
			}, reopen)
		})
	}
}

func TestStoreOnDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of fsyncs")
	}
	storetest.RunDurable(t, func(t *testing.T) store.Store { return mustOpen(t, t.TempDir(), Options{}) }, reopen)
}
