package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// load opens the journal and gives its records as text.
func load(t *testing.T, path string) (*Journal, []string, Cut) {
	t.Helper()
	var got []string
	j, cut, err := Open(path, func(r Record) error {
		got = append(got, fmt.Sprintf("%d %d %s", r.Kind, r.Seq, r.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, got, cut
}

func put(t *testing.T, j *Journal, seqs ...uint64) {
	t.Helper()
	var last Ticket
	for _, s := range seqs {
		last = j.Append(Record{Kind: 1, Seq: s, Data: fmt.Appendf(nil, "data %d", s)})
	}
	if err := j.Commit(last); err != nil {
		t.Fatal(err)
	}
}

func want(seqs ...uint64) (list []string) {
	for _, s := range seqs {
		list = append(list, fmt.Sprintf("1 %d data %d", s, s))
	}
	return list
}

// What was committed is there again; what was only appended is not.
func TestCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := load(t, path)
	put(t, j, 1, 2, 300)
	put(t, j, 1<<40)
	j.Append(Record{Kind: 1, Seq: 9})
	if _, _, err := Open(path, func(Record) error { return nil }); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Error("a second opener:", err)
	}
	j.Close()
	j, got, cut := load(t, path)
	if !slices.Equal(got, want(1, 2, 300, 1<<40)) || cut != (Cut{}) {
		t.Error(got, cut)
	}
	j.Close()
	if err := j.Commit(j.Append(Record{})); err == nil {
		t.Error("Commit after Close succeeds")
	}
}

// Wherever a crash cuts the file, the whole records before are found, the rest is cut, and writing goes on.
func TestTornAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := load(t, path)
	put(t, j, 1, 2, 3)
	j.Close()
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	one := len(Record{Kind: 1, Seq: 1, Data: []byte("data 1")}.Append(nil))
	for n := range len(all) {
		if err := os.WriteFile(path, all[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j, got, cut := load(t, path)
		whole := max(n-len(magic), 0) / one
		if !slices.Equal(got, want(1, 2, 3)[:whole]) || cut.Bytes > 0 && cut.Saved == "" {
			t.Fatal(n, got, cut)
		}
		put(t, j, 7)
		j.Close()
		j, got, cut = load(t, path)
		if !slices.Equal(got, append(want(1, 2, 3)[:whole], want(7)...)) || cut != (Cut{}) {
			t.Fatal(n, got, cut)
		}
		j.Close()
	}
}

// A flipped bit ends the replay at its record, and what follows is saved, not thrown away.
func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := load(t, path)
	put(t, j, 1, 2, 3)
	j.Close()
	all, _ := os.ReadFile(path)
	one := (len(all) - len(magic)) / 3
	for i := len(magic) + one; i < len(magic)+2*one; i++ {
		bad := bytes.Clone(all)
		bad[i] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(path + ".damaged")
		j, got, cut := load(t, path)
		j.Close()
		if !slices.Equal(got, want(1)) || cut.Bytes != int64(2*one) {
			t.Fatal(i, got, cut)
		}
		if saved, _ := os.ReadFile(path + ".damaged"); !bytes.Equal(saved, bad[len(magic)+one:]) {
			t.Fatal(i, "the saved bytes differ")
		}
	}
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), "not a journal") {
		t.Error(err)
	}
}

// What was saved of one damage stays when there is another; the same is not saved twice.
func TestDamagedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := load(t, path)
	put(t, j, 1)
	j.Close()
	good, _ := os.ReadFile(path)
	ends := []string{"first", "second", "third", "second"}
	names := []string{".damaged", ".damaged-2", ".damaged-3", ".damaged-2"}
	for i, end := range ends {
		if err := os.WriteFile(path, append(bytes.Clone(good), end...), 0o600); err != nil {
			t.Fatal(err)
		}
		j, got, cut := load(t, path)
		j.Close()
		if !slices.Equal(got, want(1)) || cut.Saved != path+names[i] {
			t.Errorf("%s: records %v, saved in %s", end, got, cut.Saved)
		}
	}
	for i, end := range ends {
		if saved, _ := os.ReadFile(path + names[i]); string(saved) != end {
			t.Errorf("%s has %q, want %q", names[i], saved, end)
		}
	}
}

// A compacted journal holds the snapshot and what was appended after it.
func TestCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := load(t, path)
	put(t, j, 1, 2, 3)
	before := j.Size()
	pending := j.Append(Record{Kind: 1, Seq: 4, Data: []byte("data 4")}) // the snapshot stands for it
	var after Ticket
	err := j.Compact(func(cut func()) []Record {
		cut()
		after = j.Append(Record{Kind: 1, Seq: 5, Data: []byte("data 5")})
		return []Record{{Kind: 1, Seq: 3, Data: []byte("data 3")}}
	})
	if err != nil || j.Size() >= before {
		t.Fatal(err, j.Size())
	}
	for _, ticket := range []Ticket{pending, after} {
		if err := j.Commit(ticket); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	if _, got, _ := load(t, path); !slices.Equal(got, want(3, 5)) {
		t.Error(got)
	}
}

// Many writers at once, with compactions between: each finds his own record again.
func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := load(t, path)
	var mu sync.Mutex // as in the Keeper: appending and the state change together
	var live []Record
	var work sync.WaitGroup
	for w := range 8 {
		work.Go(func() {
			for i := range 20 {
				r := Record{Kind: 1, Seq: uint64(w*100 + i)}
				mu.Lock()
				ticket := j.Append(r)
				live = append(live, r)
				mu.Unlock()
				if err := j.Commit(ticket); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Go(func() {
		for range 10 {
			err := j.Compact(func(cut func()) []Record {
				mu.Lock()
				defer mu.Unlock()
				cut()
				return slices.Clone(live)
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
	j.Close()
	_, got, _ := load(t, path)
	if len(got) != 160 {
		t.Error(len(got), "records")
	}
}

// FuzzDecode: nothing makes it panic, and what it reads is what would be written.
func FuzzDecode(f *testing.F) {
	f.Add(Record{Kind: 3, Seq: 300, Data: []byte("x")}.Append(nil))
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 0, 1, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, err := Decode(b)
		if err != nil {
			return
		}
		again, m, err := Decode(r.Append(nil))
		if err != nil || again.Kind != r.Kind || again.Seq != r.Seq || !bytes.Equal(again.Data, r.Data) || m > n {
			t.Error(r, again, err)
		}
		for i := range m {
			if _, _, err := Decode(r.Append(nil)[:i]); err != errShort && err != errDamaged {
				t.Error("a prefix is accepted:", i)
			}
		}
	})
}
