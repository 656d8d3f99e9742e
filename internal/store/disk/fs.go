package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// faultFS stands between Pebble and a file system and decides what a failure
// means, before Pebble hears of it:
//
//   - A change that fails for want of space waits until there is some, and so
//     does one for want of a file descriptor.
//   - Any other failure of a change, and of every fsync, fences the store. The
//     operation does not return until the store ends, and no change after it: Pebble would try some
//     again and again, and end the process for others, with a panic or with the
//     unlocking of a lock that it does not hold. Only while the store opens,
//     errors are returned.
//   - Reading fails as it does.
//
// It knows the locks, so that a fenced store lets go of them without Pebble's
// help.
type faultFS struct {
	vfs.FS
	retry  time.Duration
	stride int64 // by which a log grows; 0: as it is written
	fence  func(error)
	onFull func(err error) // nil: it is over

	onLogSync func(took time.Duration) // an fsync of the write-ahead log succeeded

	fenced  atomic.Bool
	running atomic.Bool // the store is open: an operation may wait, or never return
	waiting atomic.Int64
	gaveUp  chan struct{} // closed: nothing waits for space any more
	let     chan struct{} // closed by release
	broken  atomic.Bool   // something failed that was not about content

	mu    sync.Mutex
	locks map[*heldLock]struct{} // guarded by mu; nil when all were let go
}

func newFaultFS(base vfs.FS, retry time.Duration, fence func(error)) *faultFS {
	return &faultFS{
		FS: base, retry: retry, fence: fence, onFull: func(error) {}, onLogSync: func(time.Duration) {},
		gaveUp: make(chan struct{}), let: make(chan struct{}), locks: map[*heldLock]struct{}{},
	}
}

// full reports whether something waits for space, or for a file descriptor.
func (f *faultFS) full() bool { return f.waiting.Load() > 0 }

// giveUp lets what waits for space fail.
func (f *faultFS) giveUp() { close(f.gaveUp) }

// closeAll lets go of the locks; Pebble is not asked.
func (f *faultFS) closeAll() {
	f.mu.Lock()
	locks := f.locks
	f.locks = nil
	f.mu.Unlock()
	for l := range locks {
		_ = l.Closer.Close() // the store has failed already
	}
}

// change runs op, which changes a file.
func (f *faultFS) change(op func() error) error {
	if err := f.enter(); err != nil {
		return err
	}
	return f.changed(f.patiently(op))
}

// patiently runs op again for as long as it fails for want of something that
// comes back.
func (f *faultFS) patiently(op func() error) error {
	err := op()
	if !passes(err) || !f.running.Load() {
		return err
	}
	if f.waiting.Add(1) == 1 {
		f.onFull(err)
	}
	defer func() {
		if f.waiting.Add(-1) == 0 {
			f.onFull(nil)
		}
	}()
	for waited := true; waited && passes(err) && f.running.Load(); {
		waited = f.wait()
		err = op()
	}
	return err
}

// passes reports whether err is want of something that comes back.
func passes(err error) bool { return isFull(err) || isOutOfFiles(err) }

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isOutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// errReleased: a fenced store has ended, and its files are not ours any more.
var errReleased = errors.New("the store has ended")

// enter stops the caller if the store is fenced, until it is released.
func (f *faultFS) enter() error {
	if f.fenced.Load() && f.running.Load() {
		<-f.let
		return errReleased
	}
	return nil
}

// release lets what was stopped return, with an error, so that Pebble can end. From
// here on nothing is changed.
func (f *faultFS) release() {
	f.fenced.Store(true)
	close(f.let)
}

func (f *faultFS) released() bool {
	select {
	case <-f.let:
		return true
	default:
		return false
	}
}

// changed fences the store if err is one, and then does not return until the store
// is released.
func (f *faultFS) changed(err error) error {
	if err != nil {
		f.broken.Store(true)
		f.fenced.Store(true)
		f.fence(err)
		if ended := f.enter(); ended != nil {
			return ended
		}
	}
	return err
}

// wait waits for a while. It returns false when to wait any longer is of no use.
func (f *faultFS) wait() bool {
	t := time.NewTimer(f.retry)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.gaveUp:
		return false
	}
}

// read notes an error that is the file system's, not the content's.
func (f *faultFS) read(err error) error {
	if err != nil && err != io.EOF && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, io.ErrUnexpectedEOF) {
		f.broken.Store(true)
	}
	return err
}

func (f *faultFS) file(file vfs.File) *faultFile {
	return &faultFile{File: file, fs: f}
}

// written is a file that was made to be written, under that name.
func (f *faultFS) written(file vfs.File, name string) vfs.File {
	if strings.HasSuffix(name, ".log") {
		return f.newLog(file, name)
	}
	return f.file(file)
}

// Create of a marker, by whose name Pebble finds a file, comes after that file's
// own name is on the disk: of two names in a directory that were not synced, a
// file system may keep the second and lose the first.
func (f *faultFS) Create(name string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	if strings.HasPrefix(f.FS.PathBase(name), "marker.") {
		if err := syncDir(f, f.FS.PathDir(name)); err != nil {
			return nil, err
		}
	}
	err = f.change(func() error {
		file, err = f.FS.Create(name, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	if mirror := mirrorName(f.FS, name); mirror != "" {
		return &mirrored{faultFile: f.file(file), name: mirror}, nil
	}
	return f.written(file, name), nil
}

func (f *faultFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.change(func() error {
		file, err = f.FS.ReuseForWrite(oldname, newname, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f.written(file, newname), nil
}

func (f *faultFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (file vfs.File, err error) {
	err = f.change(func() error {
		file, err = f.FS.OpenReadWrite(name, c, opts...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f.file(file), nil
}

func (f *faultFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.Open(name, opts...)
	if err != nil {
		return nil, f.read(err)
	}
	return f.file(file), nil
}

// OpenDir is how a change ends that a directory has to know of.
func (f *faultFS) OpenDir(name string) (file vfs.File, err error) {
	err = f.patiently(func() error {
		file, err = f.FS.OpenDir(name)
		return err
	})
	if err != nil {
		return nil, f.read(err)
	}
	return f.file(file), nil
}

func (f *faultFS) Link(oldname, newname string) error {
	return f.change(func() error { return f.FS.Link(oldname, newname) })
}

func (f *faultFS) Rename(oldname, newname string) error {
	return f.change(func() error { return f.FS.Rename(oldname, newname) })
}

// MkdirAll lets nobody but the owner into what it makes, whatever Pebble asks for
// and the directory above allows: messages lie there.
func (f *faultFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.change(func() error { return f.FS.MkdirAll(dir, perm&0o700) })
}

// Remove does not fence: what is not removed is removed another time.
func (f *faultFS) Remove(name string) error {
	if f.released() {
		return errReleased
	}
	err := f.read(f.FS.Remove(name))
	if mirror := mirrorName(f.FS, name); mirror != "" && err == nil {
		_ = f.FS.Remove(mirror)
	}
	return err
}

func (f *faultFS) List(dir string) ([]string, error) {
	names, err := f.FS.List(dir)
	return names, f.read(err)
}

func (f *faultFS) Stat(name string) (vfs.FileInfo, error) {
	info, err := f.FS.Stat(name)
	return info, f.read(err)
}

func (f *faultFS) Unwrap() vfs.FS { return f.FS }

// Lock is let go by closeAll too.
func (f *faultFS) Lock(name string) (io.Closer, error) {
	c, err := f.FS.Lock(name)
	if err != nil {
		return nil, f.read(err)
	}
	l := &heldLock{Closer: c, fs: f}
	f.mu.Lock()
	f.locks[l] = struct{}{}
	f.mu.Unlock()
	return l, nil
}

type heldLock struct {
	io.Closer
	fs *faultFS
}

func (l *heldLock) Close() error {
	l.fs.mu.Lock()
	_, held := l.fs.locks[l]
	delete(l.fs.locks, l)
	l.fs.mu.Unlock()
	if !held {
		return nil
	}
	return l.Closer.Close()
}

// faultFile is an open file of a faultFS.
type faultFile struct {
	vfs.File
	fs *faultFS
}

func (x *faultFile) Close() error {
	return x.fs.read(x.File.Close())
}

func (x *faultFile) Write(p []byte) (n int, err error) {
	err = x.fs.change(func() error {
		k, err := x.File.Write(p[n:])
		n += k
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
	return n, err
}

func (x *faultFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = x.fs.change(func() error {
		k, err := x.File.WriteAt(p[n:], off+int64(n))
		n += k
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
	return n, err
}

// Preallocate is an optimisation that may fail.
func (x *faultFile) Preallocate(off, n int64) error {
	if n > 0 {
		_ = x.File.Preallocate(off, n)
	}
	return nil
}

// An fsync that failed is not tried again: the system may have dropped what it
// could not write, and the next one would succeed without it.
func (x *faultFile) Sync() error {
	if err := x.fs.enter(); err != nil {
		return err
	}
	return x.fs.changed(x.File.Sync())
}

func (x *faultFile) SyncData() error {
	if err := x.fs.enter(); err != nil {
		return err
	}
	return x.fs.changed(x.File.SyncData())
}

func (x *faultFile) SyncTo(n int64) (bool, error) {
	if err := x.fs.enter(); err != nil {
		return false, err
	}
	full, err := x.File.SyncTo(n)
	return full, x.fs.changed(err)
}

func (x *faultFile) Read(p []byte) (int, error) {
	n, err := x.File.Read(p)
	return n, x.fs.read(err)
}

func (x *faultFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := x.File.ReadAt(p, off)
	return n, x.fs.read(err)
}
