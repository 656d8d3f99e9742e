package disk

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/storetest"
)

// twoLogs returns the files of a store that was killed with two logs that are not in
// tables.
func twoLogs(t *testing.T) (*vfs.MemFS, *history) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	var tables sync.Mutex // held: none is written
	o := smallOptions(errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			tables.Lock()
			defer tables.Unlock()
		}
		return nil
	})))
	s := mustOpen(t, "data", o)
	w := newWindow(s)
	h := newHistory(s, rand.New(rand.NewPCG(11, 11)))
	submit := func(recs []store.Record) {
		ticket, err := h.submitRecords(recs)
		if err == nil {
			err = w.wait(ticket)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for s.db.Metrics().Flush.Count < 2 { // so that the first logs are gone
		recs := h.traffic.Next()
		submit(recs[:min(len(recs), 10)])
	}
	for m := s.db.Metrics(); m.MemTable.Count > 1 || m.Flush.NumInProgress+m.Compact.NumInProgress > 0; m = s.db.Metrics() {
		runtime.Gosched()
	}
	tables.Lock()
	long := strings.Repeat("c", 1000)
	changed := func() []store.Record {
		return []store.Record{&store.SessionOpened{Session: 1, Epoch: uint32(len(h.log)), ClientID: long}, &store.Subscribed{Session: 1, Filter: long}}
	}
	for s.db.Metrics().MemTable.Count < 2 {
		submit(changed())
	}
	for range 5 { // the second log has something, too, but less than what makes a third
		submit(changed())
	}
	left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(7, 7))})
	tables.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return left, h
}

// TestLogCutShort: a log that is not the last one may end where a batch does, be
// empty, or be gone as a whole: it is found, and what is left is a former state.
func TestLogCutShort(t *testing.T) {
	fs, h := twoLogs(t)
	last := store.Ticket(len(h.log) - 1)
	if err := h.expect(0, last); err != nil {
		t.Fatal(err)
	}
	s, err := h.check(smallOptions(copyFS(t, fs)), last, last)
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	from, known, err := firstLog(fs, "data/db")
	if err != nil || !known {
		t.Fatalf("the first log is %d, known: %t, %v", from, known, err)
	}
	name := fs.PathJoin("data/db", fmt.Sprintf("%06d.log", from))
	whole := content(t, fs, name)
	cuts := batchEnds(whole, uint32(from))
	t.Logf("%d cuts of %s", len(cuts), name)
	for i, at := range append(cuts, -1) {
		if i%7 != 0 && at > 0 {
			continue
		}
		damaged := copyFS(t, fs)
		if at < 0 {
			err = damaged.Remove(name)
		} else {
			err = writeFile(damaged, name, whole[:at])
		}
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		o := smallOptions(damaged)
		o.Damage = func(d Damage) { said = d.What }
		s := mustOpen(t, "data", o)
		got, err := fingerprint(s)
		if err != nil {
			t.Fatal(err)
		}
		if said == "" || !former(h, got) {
			t.Errorf("cut at %d: it says %q, and the state is\n%s", at, said, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// batchEnds returns where batches of a log end, but for the last, and 0.
func batchEnds(b []byte, log uint32) []int {
	ends := []int{0}
	for at := 0; at < len(b); at = nextChunk(b, at) {
		c, ok := readChunk(b, at, log)
		if !ok {
			break
		}
		at += c.len
		if c.ends() {
			ends = append(ends, at)
		}
	}
	return ends[:len(ends)-1]
}

// TestDamagedFirstLog: the first log of a new store has another form than those
// behind it. Damage in it is found as well; only the last submission may be taken for
// one that was cut short.
func TestDamagedFirstLog(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, "data", Options{FS: fs})
	defer s.Close()
	w := newWindow(s)
	h := newHistory(s, rand.New(rand.NewPCG(13, 13)))
	for n := range 60 {
		recs := []store.Record{&store.SessionOpened{Session: 1, Epoch: uint32(n), ClientID: strings.Repeat("c", 1000)}}
		if n == 50 { // a batch over the end of a block
			for i := range 40 {
				recs = append(recs, &store.Subscribed{Session: 1, Filter: strings.Repeat("f", 1000+i)})
			}
		}
		ticket, err := h.submitRecords(recs)
		if err == nil {
			err = w.wait(ticket)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	last := store.Ticket(len(h.log) - 1)
	if err := h.expect(0, last); err != nil {
		t.Fatal(err)
	}
	whole, err := storetest.Observe(h.twin)
	if err != nil {
		t.Fatal(err)
	}
	left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(7, 7))})
	outcomes := map[string]int{}
	for _, name := range files(t, left, "data") {
		if !isLog(name) {
			continue
		}
		for at := 0; at < len(content(t, left, name)); at += 499 {
			outcome, err := flip(t, left, name, at, h, whole)
			if err != nil {
				t.Errorf("%s, byte %d: %s: %v", name, at, outcome, err)
			}
			outcomes[outcome]++
		}
	}
	t.Log(outcomes)
	if outcomes["found, a former state"] == 0 {
		t.Errorf("the damage did this: %v", outcomes)
	}
}

// TestWitnessAcrossBlocks: a batch is known by its number also where that lies in two blocks of the log. Else the log that
// follows would seem to follow on another one.
func TestWitnessAcrossBlocks(t *testing.T) {
	for size := logBlock - 300; size < logBlock; size += 5 {
		fs := vfs.NewMem()
		s := mustOpen(t, "data", Options{FS: fs})
		w := newWindow(s)
		for range 2 { // the log of a new store has other chunks than those that follow
			ticket, err := s.Submit(&store.Published{Retain: true, Message: &message.Message{Topic: "t", Payload: make([]byte, size)}})
			if err == nil {
				err = w.wait(ticket)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: "data/db"})
		if err != nil || len(logs) != 1 {
			t.Fatalf("logs %v, %v", logs, err)
		}
		_, name := logs[0].SegmentLocation(0)
		if r := readable(content(t, fs, name), uint32(logs[0].Num)); r.first != 1 || r.last != 2 {
			t.Errorf("payload of %d bytes: batches %d to %d, want 1 to 2", size, r.first, r.last)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
