package disk

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/storetest"
)

var (
	powerLosses = flag.Int("powerlosses", 2000, "how many power losses TestPowerLoss plays")
	powerSeed   = flag.Uint64("powerseed", 1, "the first seed of TestPowerLoss")
)

// quick reports whether a part of the rounds must do.
func quick() bool { return testing.Short() || raceEnabled }

// smallOptions make tables and logs turn over within a few hundred submissions.
func smallOptions(fs vfs.FS) Options {
	return Options{FS: fs, MemTableSize: 64 << 10, CacheSize: 1 << 20}
}

// fingerprint is the state of a store in text.
func fingerprint(s store.Store) (string, error) {
	st, err := storetest.Observe(s)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(st)
	return string(b), err
}

// history is a store under traffic, with all that was submitted to it.
type history struct {
	*Store
	traffic *storetest.Traffic
	log     [][]store.Record // by ticket
	twin    *store.Memory    // has what is in log up to the ticket at
	at      store.Ticket
	after   map[store.Ticket]string // the state after a ticket, where it was asked for
}

func newHistory(s *Store, rng *rand.Rand) *history {
	return &history{
		Store: s, traffic: storetest.NewTraffic(rng), log: make([][]store.Record, 1),
		twin: store.NewMemory(), after: map[store.Ticket]string{},
	}
}

// submit makes one submission.
func (h *history) submit() (store.Ticket, error) {
	return h.submitRecords(h.traffic.Next())
}

func (h *history) submitRecords(recs []store.Record) (store.Ticket, error) {
	ticket, err := h.Submit(recs...)
	if err != nil {
		return 0, err
	}
	if int(ticket) != len(h.log) {
		return 0, fmt.Errorf("ticket %d after %d submissions", ticket, len(h.log)-1)
	}
	h.log = append(h.log, recs)
	h.traffic.Submitted(recs)
	return ticket, nil
}

// expect works out the states after the tickets from low to high. It is asked
// for rising ones.
func (h *history) expect(low, high store.Ticket) error {
	for {
		if _, known := h.after[h.at]; !known && h.at >= low {
			text, err := fingerprint(h.twin)
			if err != nil {
				return err
			}
			h.after[h.at] = text
		}
		if h.at >= high {
			return nil
		}
		h.at++
		if _, err := h.twin.Submit(h.log[h.at]...); err != nil {
			return err
		}
	}
}

// check opens the directory and finds out after which ticket its state is. It
// must be the one after low, high, or one between.
func (h *history) check(o Options, low, high store.Ticket) (*Store, error) {
	if err := h.expect(low, high); err != nil {
		return nil, err
	}
	var damage []Damage
	o.Damage = func(d Damage) { damage = append(damage, d) }
	s, err := Open("data", o)
	if err != nil {
		return nil, err
	}
	if len(damage) > 0 {
		return s, fmt.Errorf("damage was found: %v", damage)
	}
	got, err := fingerprint(s)
	if err != nil {
		return s, err
	}
	for t := low; t <= high; t++ {
		if h.after[t] == got {
			return s, nil
		}
	}
	for t, text := range h.after {
		if text == got {
			return s, fmt.Errorf("the state is that after ticket %d, want one of %d to %d", t, low, high)
		}
	}
	return s, fmt.Errorf("the state is that after no ticket known, want one of %d to %d:\n%s", low, high, got)
}

// TestPowerLoss: the power goes at random moments, and all, some or nothing of
// what was not synced is lost. What was durable is there, a submission is there
// whole or not at all, and when the power goes again while the store is opened,
// nothing changes. [MQTT-4.3.2-4] [MQTT-4.3.3-8] rest on it.
func TestPowerLoss(t *testing.T) {
	n := *powerLosses
	if quick() {
		n = min(n, 75)
	}
	for seed := *powerSeed; n > 0; seed++ {
		n -= powerLossRound(t, seed, min(n, 25))
		if t.Failed() {
			return
		}
	}
}

func powerLossRound(t *testing.T, seed uint64, losses int) int {
	rng := rand.New(rand.NewPCG(seed, 0))
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, "data", smallOptions(fs))
	defer s.Close()
	w := newWindow(s)
	h := newHistory(s, rng)
	for lost := 0; lost < losses; {
		ticket, err := h.submit()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		switch rng.IntN(16) {
		case 0, 1: // sometimes everything is durable
			if err := w.wait(ticket); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		case 2:
			lost++
			low := s.Durable()
			clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * rng.IntN(3), RNG: rng})
			if err := recoverTwice(h, clone, low, ticket, rng); err != nil {
				t.Errorf("seed %d, loss %d: %v; the file systems are in %s", seed, lost, err, saveFS(t, clone))
				return losses
			}
		}
	}
	return losses
}

// recoverTwice opens a clone while the power goes again, opens what that left,
// and once more.
func recoverTwice(h *history, fs *vfs.MemFS, low, high store.Ticket, rng *rand.Rand) error {
	var mu sync.Mutex // guards again and left
	var again *vfs.MemFS
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * rng.IntN(3), RNG: rand.New(rand.NewPCG(rng.Uint64(), 0))}
	left := rng.IntN(40)
	during := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && again == nil {
			if left--; left < 0 {
				again = fs.CrashClone(cfg)
			}
		}
		return nil
	}))
	first, err := h.check(smallOptions(during), low, high)
	if first != nil {
		defer first.Close()
	}
	if err != nil {
		return fmt.Errorf("opened: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if again == nil {
		again = fs.CrashClone(cfg)
	}
	second, err := h.check(smallOptions(again), low, high)
	if err != nil {
		return fmt.Errorf("opened after the power went while it was opened: %w", err)
	}
	return second.Close()
}

// saveFS writes the files of a failed round where they can be looked at.
func saveFS(t *testing.T, fs vfs.FS) string {
	dir, err := os.MkdirTemp("", "powerloss-")
	if err == nil {
		_, err = vfs.Clone(fs, vfs.Default, "data", filepath.Join(dir, "data"))
	}
	if err != nil {
		t.Log(err)
	}
	return dir
}
