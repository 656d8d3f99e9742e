package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// engineOptions are those of Pebble, small enough for a small machine.
func (s *Store) engineOptions() *pebble.Options {
	return &pebble.Options{
		FS:                 s.fs,
		FormatMajorVersion: pebble.FormatWALSyncChunks, // a damaged log is told from one that ends early
		MemTableSize:       s.opts.MemTableSize,
		MaxOpenFiles:       256,
		Logger:             engineLog{s.log, s.fs.released},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				if s.fs.released() {
					return
				}
				if !s.fs.running.Load() {
					if s.failed.Load() != nil {
						close(s.stuck)
						select {} // Pebble would try again and again, and Open would never return
					}
					return // Open reads everything, and says what is damaged
				}
				s.log.Error("the store's background work failed", "dir", s.dir, "err", reason(err))
			},
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				if !s.fs.running.Load() {
					return // likewise
				}
				s.log.Error("the store found damage while it runs, and what is damaged cannot be read: restart the broker, which sets it aside and keeps the rest",
					"file", info.Path, "err", reason(info.Details))
			},
		},
	}
}

// engineLog takes Pebble's words. Pebble expects Fatalf to end the process: it
// ends the goroutine instead, with all that is deferred; the store is fenced by
// then, because what failed was a change of a file.
//
// What fails when the store has ended is no news; where Pebble ends the process for
// a manifest it goes on to return the error, if it is let.
type engineLog struct {
	log   *slog.Logger
	ended func() bool
}

func (l engineLog) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug-4) {
		l.log.Log(context.Background(), slog.LevelDebug-4, "the storage engine: "+fmt.Sprintf(format, args...))
	}
}

func (l engineLog) Errorf(format string, args ...any) {
	if l.ended() {
		return
	}
	l.log.Error("the storage engine", "err", fmt.Sprintf(format, args...))
}

func (l engineLog) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if l.ended() && format == "%s" {
		return
	}
	l.log.Error("the storage engine gave up", "err", msg)
	if strings.Contains(format, "fatal commit error") { // on a goroutine of ours, see Store.write
		panic(errors.New(msg))
	}
	runtime.Goexit()
}

var errGaveUp = errors.New("the storage engine gave up")

// guard runs f, a call into Pebble, where neither a panic nor an end of the
// goroutine does harm. It does not wait for f once the store is fenced.
func (s *Store) guard(f func() error) error { return s.guardIn(&s.guarded, f) }

// guardIn is guard, with the call counted in calls.
func (s *Store) guardIn(calls *sync.WaitGroup, f func() error) error {
	done := make(chan error, 1)
	calls.Go(func() {
		if s.fs.running.Load() && s.failed.Load() != nil { // looked at once it is counted: see letGo
			done <- s.failed.Load().err
			return
		}
		err := errGaveUp
		defer func() {
			if r := recover(); r != nil {
				err = recovered(r)
			}
			done <- err
		}()
		err = f()
	})
	if !s.fs.running.Load() { // everything returns, but for a table that cannot be written
		select {
		case err := <-done:
			return err
		case <-s.stuck:
			return s.failed.Load().err
		}
	}
	select {
	case err := <-done:
		return err
	case <-s.fenced:
		return s.failed.Load().err
	}
}

// engine is Pebble in one directory, with the cache it uses.
type engine struct {
	*pebble.DB
	cache *pebble.Cache
}

// openEngine opens Pebble in a directory of the store's.
func (s *Store) openEngine(name string, readOnly bool) (*engine, error) {
	e := &engine{cache: pebble.NewCache(s.opts.CacheSize)}
	o := s.engineOptions()
	o.Cache, o.ReadOnly = e.cache, readOnly
	o.DisableConsistencyCheck = readOnly // read what is there
	s.removeOptions(name)
	err := s.guard(func() (err error) {
		e.DB, err = pebble.Open(s.path(name), o)
		return err
	})
	if err == nil {
		return e, nil
	}
	e.cache.Unref()
	if strings.Contains(err.Error(), "unknown format major version") {
		err = fmt.Errorf("%w: %w", ErrNewer, err)
	}
	return nil, err
}

// removeOptions removes the files in which Pebble wrote down its options, for
// comparison: ours are in this file, and theirs have no checksum.
func (s *Store) removeOptions(name string) {
	files, err := s.fs.List(s.path(name))
	if err != nil {
		return // Pebble will say
	}
	for _, f := range files {
		if strings.HasPrefix(f, "OPTIONS-") {
			_ = s.fs.Remove(s.path(name, f)) // then they are compared
		}
	}
}

// closeEngine ends Pebble. When the store is fenced it is left to itself: it
// could wait for itself for ever.
func (s *Store) closeEngine(e *engine) error {
	if e == nil {
		return nil
	}
	err := s.guardIn(&s.ending, e.Close)
	if s.failed.Load() == nil {
		e.cache.Unref()
	}
	return err
}

// letGo ends Pebble behind a failure: all that it tries to change fails now, and
// nothing is changed. But where a batch was being written, Pebble would end the
// process; then it is left as it is, with some goroutines and open files, until the
// process ends.
func (s *Store) letGo() {
	calls := make(chan struct{})
	go func() {
		defer close(calls)
		for range s.handed { // until handOver has ended
		}
		s.guarded.Wait()
	}()
	select {
	case <-calls:
	case <-time.After(s.opts.LetGo):
		s.log.Warn("the storage engine does not end behind its failure", "dir", s.dir)
		return
	}
	s.fs.release()
	<-s.stopped
	s.ending.Wait()
	defer func() { _ = recover() }() // it is closed already
	defer s.db.cache.Unref()
	_ = s.db.Close() // the failure says more
}

// path is a file of the store.
func (s *Store) path(name ...string) string {
	return s.fs.PathJoin(append([]string{s.dir}, name...)...)
}
