package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrLocked: another process, or another store of this one, has the directory.
var ErrLocked = errors.New("in use")

// dirLock keeps others out of a directory.
type dirLock struct {
	fs   vfs.FS
	lock io.Closer
	pid  string // the file that names the process
	left bool   // somebody had the directory who did not come to give it back
}

// lockDir locks the directory. The lock ends with the process, however that
// ends. The number of the process is in another file, because the locked one
// can be neither written nor read.
func lockDir(fs vfs.FS, dir string) (*dirLock, error) {
	pid := fs.PathJoin(dir, "pid")
	lock, err := fs.Lock(fs.PathJoin(dir, "LOCK"))
	if err != nil {
		return nil, lockError(fs, pid, err)
	}
	_, err = fs.Stat(pid)
	left := err == nil
	if err := writeFile(fs, pid, strconv.AppendInt(nil, int64(os.Getpid()), 10)); err != nil {
		_ = lock.Close() // the first error tells more
		return nil, err
	}
	return &dirLock{fs, lock, pid, left}, nil
}

// lockError says why a directory could not be locked: because somebody has it,
// or for a reason that has to do with the directory alone.
func lockError(fs vfs.FS, pid string, err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("it is a file: name a directory (%w)", err)
	}
	for _, other := range []error{os.ErrPermission, syscall.EROFS, syscall.EIO, syscall.ENOSPC} {
		if errors.Is(err, other) {
			return fmt.Errorf("lock the directory: %w", err)
		}
	}
	if holder := readPid(fs, pid); holder != "" {
		return fmt.Errorf("%w by process %s (%w)", ErrLocked, holder, err)
	}
	return fmt.Errorf("%w, or it cannot be locked: %w", ErrLocked, err)
}

func readPid(fs vfs.FS, name string) string {
	b, err := readFile(fs, name)
	if err != nil || len(b) > 32 {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (l *dirLock) release() error {
	_ = l.fs.Remove(l.pid) // it says nothing without the lock
	return l.lock.Close()
}

// makeDir makes a directory and what is missing above it, so that it is still
// there when the power has gone.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	above := fs.PathDir(dir)
	if above != dir {
		if err := makeDir(fs, above); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, above)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFile makes the file anew; it is not synced.
func writeFile(fs vfs.FS, name string, content []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}
