package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// disk is a file that is written and synced.
type disk struct {
	fd      int
	at      int64
	pending []byte

	mu   sync.Mutex
	took []time.Duration // of each fsync; guarded by mu
}

// newDisk makes the file, as long as it will ever be, and has its times printed when the process is told to end.
func newDisk(name string) (*disk, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Dup(int(f.Fd()))
	zeros := make([]byte, 16<<20)
	_, werr := f.Write(zeros)
	if err = errors.Join(err, werr, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	d := &disk{fd: fd}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		d.print()
		os.Exit(0)
	}()
	return d, nil
}

// sync writes what is pending and waits until the disk has it.
func (d *disk) sync() error {
	if len(d.pending) == 0 {
		return nil
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PWRITE64, uintptr(d.fd), uintptr(unsafe.Pointer(&d.pending[0])), uintptr(len(d.pending)), uintptr(d.at), 0, 0)
	if errno != 0 {
		return errno
	}
	began := time.Now()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_FDATASYNC, uintptr(d.fd), 0, 0); errno != 0 {
		return errno
	}
	d.mu.Lock()
	d.took = append(d.took, time.Since(began))
	d.mu.Unlock()
	d.at += int64(n)
	d.pending = d.pending[:0]
	return nil
}

// print writes the median of the fsyncs, and what one of a hundred took at least, in microseconds.
func (d *disk) print() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.took) == 0 {
		return
	}
	slices.Sort(d.took)
	at := func(percent int) float64 { return d.took[len(d.took)*percent/100].Seconds() * 1e6 }
	_ = json.NewEncoder(os.Stdout).Encode(map[string]float64{"P50": at(50), "P99": at(99)}) // who reads it misses it
}
