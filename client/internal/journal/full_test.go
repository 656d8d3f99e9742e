package journal

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// fullDisk takes no bytes while full is set.
type fullDisk struct {
	disk
	full bool
}

func (d *fullDisk) WriteAt(b []byte, at int64) (int, error) {
	if d.full {
		n, _ := d.disk.WriteAt(b[:len(b)/2], at)
		return n, syscall.ENOSPC
	}
	return d.disk.WriteAt(b, at)
}

// When a write fails, everybody whose record went with it is told, whoever asked for the write, and also when the disk has
// room again meanwhile. What is written later is there, and nothing else.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _, _ := load(t, path)
	put(t, j, 1)
	full := &fullDisk{disk: j.file}
	j.file = full
	record := func(seq uint64) Record { return Record{Kind: 1, Seq: seq, Data: []byte("lost")} }
	full.full = true
	first, second := j.Append(record(2)), j.Append(record(3))
	if j.Commit(first) == nil {
		t.Error("the first record is said to be durable")
	}
	third := j.Append(record(4))
	if j.Commit(third) == nil {
		t.Error("the third record is said to be durable")
	}
	full.full = false
	put(t, j, 5)
	for i, ticket := range []Ticket{first, second, third} {
		if j.Commit(ticket) == nil {
			t.Errorf("lost record %d is said to be durable", i+1)
		}
	}
	put(t, j, 6)
	j.Close()
	j, got, cut := load(t, path)
	if !slices.Equal(got, want(1, 5, 6)) || cut != (Cut{}) {
		t.Error(got, cut)
	}
	j.Close()
	if _, err := os.Stat(path + ".damaged"); err == nil {
		t.Error("something was cut")
	}
}

// A compaction makes up for what was lost: the snapshot stands for everything before.
func TestCompactAfterDiskFull(t *testing.T) {
	j, _, _ := load(t, filepath.Join(t.TempDir(), "j"))
	full := &fullDisk{disk: j.file, full: true}
	j.file = full
	lost := j.Append(Record{Kind: 1, Seq: 2})
	other := j.Append(Record{Kind: 1, Seq: 3})
	if j.Commit(lost) == nil {
		t.Error("durable on a full disk")
	}
	err := j.Compact(func(cut func()) []Record {
		cut()
		return []Record{{Kind: 1, Seq: 3}}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Commit(other); err != nil {
		t.Error(err)
	}
}
