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
//   - A change that fails for want of space waits until there is some.
//   - Any other failure of a change, and of every fsync, fences the store. From
//     then on changes of the write-ahead log fail, so that whoever waits for them
//     goes on; all others never return, because Pebble would try them again and
//     again.
//   - Reading fails as it does.
//
// It knows what is open, so that a fenced store lets go of it without Pebble's
// help.
type faultFS struct {
	vfs.FS
	retry  time.Duration
	fence  func(error)
	onFull func(full bool)

	fenced  atomic.Bool
	running atomic.Bool // the store is open: an operation may wait, or never return
	waiting atomic.Int64
	gaveUp  chan struct{} // closed: nothing waits for space any more
	broken  atomic.Bool   // something failed that was not about content

	mu   sync.Mutex
	open map[io.Closer]struct{} // guarded by mu; nil when all was closed
}

func newFaultFS(base vfs.FS, retry time.Duration, fence func(error)) *faultFS {
	return &faultFS{
		FS: base, retry: retry, fence: fence, onFull: func(bool) {},
		gaveUp: make(chan struct{}), open: map[io.Closer]struct{}{},
	}
}

// full reports whether something waits for space.
func (f *faultFS) full() bool { return f.waiting.Load() > 0 }

// giveUp lets what waits for space fail.
func (f *faultFS) giveUp() { close(f.gaveUp) }

// closeAll closes everything that is open; Pebble is not asked.
func (f *faultFS) closeAll() {
	f.mu.Lock()
	open := f.open
	f.open = nil
	f.mu.Unlock()
	for c := range open {
		_ = c.Close() // the store has failed already
	}
}

func (f *faultFS) track(c io.Closer) {
	f.mu.Lock()
	if f.open != nil {
		f.open[c] = struct{}{}
	}
	f.mu.Unlock()
}

func (f *faultFS) forget(c io.Closer) {
	f.mu.Lock()
	delete(f.open, c)
	f.mu.Unlock()
}

// change runs op, which changes the file name, again for as long as there is no
// space.
func (f *faultFS) change(name string, op func() error) error {
	f.enter(name)
	for {
		err := op()
		if err == nil || !f.wait(err) {
			return f.changed(err)
		}
	}
}

// enter stops the caller for good if the store is fenced, unless it is the
// write-ahead log.
func (f *faultFS) enter(name string) {
	if f.fenced.Load() && f.running.Load() && !isLog(f.FS.PathBase(name)) {
		select {}
	}
}

func isLog(base string) bool { return len(base) > 4 && base[len(base)-4:] == ".log" }

// changed fences the store if err is one.
func (f *faultFS) changed(err error) error {
	if err != nil {
		f.broken.Store(true)
		f.fenced.Store(true)
		f.fence(err)
	}
	return err
}

// wait reports whether err is a want of space, and it is worth trying again.
func (f *faultFS) wait(err error) bool {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) || !f.running.Load() {
		return false
	}
	if f.waiting.Add(1) == 1 {
		f.onFull(true)
	}
	t := time.NewTimer(f.retry)
	defer t.Stop()
	defer func() {
		if f.waiting.Add(-1) == 0 {
			f.onFull(false)
		}
	}()
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

func (f *faultFS) file(name string, file vfs.File) vfs.File {
	x := &faultFile{File: file, fs: f, name: name}
	f.track(x)
	return x
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
	err = f.change(name, func() error {
		file, err = f.FS.Create(name, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f.file(name, file), nil
}

func (f *faultFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.change(newname, func() error {
		file, err = f.FS.ReuseForWrite(oldname, newname, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f.file(newname, file), nil
}

func (f *faultFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (file vfs.File, err error) {
	err = f.change(name, func() error {
		file, err = f.FS.OpenReadWrite(name, c, opts...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f.file(name, file), nil
}

func (f *faultFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.Open(name, opts...)
	if err != nil {
		return nil, f.read(err)
	}
	return f.file(name, file), nil
}

func (f *faultFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, f.read(err)
	}
	return f.file(name, file), nil
}

func (f *faultFS) Link(oldname, newname string) error {
	return f.change(newname, func() error { return f.FS.Link(oldname, newname) })
}

func (f *faultFS) Rename(oldname, newname string) error {
	return f.change(newname, func() error { return f.FS.Rename(oldname, newname) })
}

func (f *faultFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.change(dir, func() error { return f.FS.MkdirAll(dir, perm) })
}

// Remove does not fence: what is not removed is removed another time.
func (f *faultFS) Remove(name string) error { return f.read(f.FS.Remove(name)) }

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
	x := &trackedLock{Closer: c, fs: f}
	f.track(x)
	return x, nil
}

type trackedLock struct {
	io.Closer
	fs *faultFS
}

func (l *trackedLock) Close() error {
	l.fs.forget(l)
	return l.Closer.Close()
}

// faultFile is an open file of a faultFS.
type faultFile struct {
	vfs.File
	fs   *faultFS
	name string
}

func (x *faultFile) Close() error {
	x.fs.forget(x)
	return x.fs.read(x.File.Close())
}

func (x *faultFile) Write(p []byte) (n int, err error) {
	err = x.fs.change(x.name, func() error {
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
	err = x.fs.change(x.name, func() error {
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
	_ = x.File.Preallocate(off, n)
	return nil
}

// An fsync that failed is not tried again: the system may have dropped what it
// could not write, and the next one would succeed without it.
func (x *faultFile) Sync() error {
	x.fs.enter(x.name)
	return x.fs.changed(x.File.Sync())
}

func (x *faultFile) SyncData() error {
	x.fs.enter(x.name)
	return x.fs.changed(x.File.SyncData())
}

func (x *faultFile) SyncTo(n int64) (bool, error) {
	x.fs.enter(x.name)
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
