package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Journal is an open file of records. It is safe for concurrent use. One process at a time may have it open.
type Journal struct {
	path string
	lock *os.File

	mu       sync.Mutex
	buf      []byte // guarded by mu: appended and not written
	appended Ticket // guarded by mu

	syncing sync.Mutex // held while the file is written, which is what it is for
	file    disk       // guarded by syncing
	size    int64      // guarded by syncing: bytes of whole records
	written Ticket     // guarded by syncing: the last that was tried, with or without success
	lost    []span     // guarded by syncing: those that a failed write took along, in order
	failed  error      // guarded by syncing: the file can no longer be trusted
	spare   []byte     // guarded by syncing
}

// disk is what a journal does with its file.
type disk interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// span is the tickets behind after, up to last.
type span struct {
	after, last Ticket
	err         error
}

// Ticket stands for a record that was appended; tickets grow.
type Ticket uint64

// Cut tells what Open had to remove from the end of the file.
type Cut struct {
	Bytes int64  // 0: nothing
	Saved string // the file that keeps them
}

// Open reads the file at path, which is made if need be, and calls replay for every record in the order of writing.
func Open(path string, replay func(Record) error) (*Journal, Cut, error) {
	j := &Journal{path: path}
	cut, err := j.open(replay)
	if err != nil {
		j.Close()
		return nil, cut, fmt.Errorf("journal %s: %w", path, err)
	}
	return j, cut, nil
}

func (j *Journal) open(replay func(Record) error) (cut Cut, err error) {
	if j.lock, err = lockFile(j.path + ".lock"); err != nil {
		return cut, err
	}
	all, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(all) < len(magic) && magic[:len(all)] == string(all) {
		file, size, err := writeNew(j.path, []byte(magic))
		if file != nil {
			j.file, j.size = file, size
		}
		return cut, err
	}
	if err != nil {
		return cut, err
	}
	if !bytes.HasPrefix(all, []byte(magic)) {
		return cut, errors.New("not a journal: it begins with other bytes; give another path")
	}
	good, err := replayAll(all, replay)
	if err != nil {
		return cut, err
	}
	if rest := all[good:]; len(rest) > 0 {
		cut.Bytes = int64(len(rest))
		if cut.Saved, err = j.save(rest); err != nil {
			return cut, fmt.Errorf("save the damaged end: %w", err)
		}
	}
	file, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if err != nil {
		return cut, err
	}
	j.file, j.size = file, int64(good)
	return cut, j.truncate()
}

// save writes what is cut to a file of its own, and gives its name. What was saved before stays as it is; the
// same bytes, of an Open that has come no further, are not saved again.
func (j *Journal) save(rest []byte) (name string, err error) {
	for n := 1; ; n++ {
		name = j.path + ".damaged"
		if n > 1 {
			name = fmt.Sprintf("%s-%d", name, n)
		}
		had, err := os.ReadFile(name)
		switch {
		case err == nil && bytes.Equal(had, rest):
			return name, nil
		case err == nil:
			continue
		case !errors.Is(err, fs.ErrNotExist):
			return name, err
		}
		file, _, err := writeNew(name, rest)
		if file != nil {
			err = errors.Join(err, file.Close())
		}
		return name, err
	}
}

// replayAll reads records up to the first that is not whole, and says where that begins.
func replayAll(all []byte, replay func(Record) error) (good int, err error) {
	for good = len(magic); good < len(all); {
		r, n, broken := Decode(all[good:])
		if broken != nil {
			break
		}
		if err := replay(r); err != nil {
			return good, fmt.Errorf("record at byte %d: %w", good, err)
		}
		good += n
	}
	return good, nil
}

// truncate removes what stands behind the whole records, durably.
func (j *Journal) truncate() error {
	if err := j.file.Truncate(j.size); err != nil {
		return err
	}
	return j.file.Sync()
}

// Append takes a record into memory. It becomes durable by a Commit of its ticket or of a later one.
func (j *Journal) Append(r Record) Ticket {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buf = r.Append(j.buf)
	j.appended++
	return j.appended
}

// Commit returns when the record of t is on disk. After an error it is unknown whether the next Open will find it; all
// that were to be written with it share its fate, and whoever waits for one of them gets the error too. A full disk may be
// better the next time; a disk that fails to sync is never trusted again.
func (j *Journal) Commit(t Ticket) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.written >= t {
		return j.fate(t)
	}
	if j.failed != nil {
		return j.failed
	}
	b, end := j.take(j.spare)
	j.spare = b
	if cap(b) > 1<<20 {
		j.spare = nil
	}
	if _, err := j.file.WriteAt(b, j.size); err != nil {
		if terr := j.truncate(); terr != nil {
			j.failed = fmt.Errorf("journal %s: %w", j.path, terr)
		}
		err = fmt.Errorf("journal %s: %w", j.path, err)
		j.lose(end, err)
		return err
	}
	if err := j.file.Sync(); err != nil {
		j.failed = fmt.Errorf("journal %s: sync: %w", j.path, err)
		return j.failed
	}
	j.size += int64(len(b))
	j.written = end
	return nil
}

// lose notes that the records up to end are in nobody's hands any more. Others wait for a Commit of theirs.
func (j *Journal) lose(end Ticket, err error) {
	if n := len(j.lost); n > 0 && j.lost[n-1].last == j.written {
		j.lost[n-1].last = end
	} else {
		j.lost = append(j.lost, span{j.written, end, err})
	}
	j.written = end
}

// fate says what became of a record that was tried.
func (j *Journal) fate(t Ticket) error {
	for _, s := range j.lost {
		if t > s.after && t <= s.last {
			return s.err
		}
	}
	return nil
}

// take exchanges the buffer for an empty one.
func (j *Journal) take(spare []byte) ([]byte, Ticket) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.buf
	j.buf = spare[:0]
	return b, j.appended
}

// Size is the number of bytes of the file.
func (j *Journal) Size() int64 {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	return j.size
}

// Compact replaces the file by one that holds what snapshot gives. snapshot must call cut at a moment when no record is
// being appended: it stands for all records appended before, and those that come after follow it. If Compact fails the
// old file goes on.
func (j *Journal) Compact(snapshot func(cut func()) []Record) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.failed != nil {
		return j.failed
	}
	var pending []byte
	var end Ticket
	records := snapshot(func() { pending, end = j.take(nil) })
	all := []byte(magic)
	for _, r := range records {
		all = r.Append(all)
	}
	file, size, err := writeNew(j.path, all)
	if err != nil {
		err = fmt.Errorf("compact journal %s: %w", j.path, err)
		if file != nil { // the old file has no name any more
			file.Close()
			j.failed = err
		}
		j.mu.Lock()
		j.buf = append(pending, j.buf...)
		j.mu.Unlock()
		return err
	}
	j.file.Close()
	j.file, j.size, j.written, j.lost = file, size, end, nil
	return nil
}

// Close gives the file free. What was not committed is lost.
func (j *Journal) Close() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	var err error
	if j.file != nil {
		err = j.file.Close()
	}
	if j.lock != nil {
		j.lock.Close()
	}
	if j.failed == nil {
		j.failed = fmt.Errorf("journal %s: %w", j.path, fs.ErrClosed)
	}
	return err
}

// writeNew puts a durable file with this content at path, whole or not at all. When there is an error and a file all the
// same, it is there and perhaps not durable.
func writeNew(path string, content []byte) (*os.File, int64, error) {
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, 0, err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, int64(len(content)), syncDirectory(filepath.Dir(path))
}
