package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// engineOptions are those of Pebble, small enough for a small machine.
func (s *Store) engineOptions() *pebble.Options {
	return &pebble.Options{
		FS:                 s.fs,
		Cache:              s.cache,
		FormatMajorVersion: pebble.FormatWALSyncChunks, // a damaged log is told from one that ends early
		MemTableSize:       s.opts.MemTableSize,
		MaxOpenFiles:       256,
		Logger:             engineLog{s.log},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				s.log.Error("the store's background work failed", "dir", s.dir, "err", err)
			},
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				s.log.Error("the store found damage while it runs; it is set aside at the next start",
					"file", info.Path, "err", info.Details)
			},
		},
	}
}

// engineLog takes Pebble's words. Pebble expects Fatalf to end the process: it
// ends the goroutine instead, with all that is deferred; the store is fenced by
// then, because what failed was a change of a file.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug-4) {
		l.log.Log(context.Background(), slog.LevelDebug-4, fmt.Sprintf(format, args...))
	}
}

func (l engineLog) Errorf(format string, args ...any) {
	l.log.Error("the storage engine", "err", fmt.Sprintf(format, args...))
}

func (l engineLog) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	l.log.Error("the storage engine gave up", "err", msg)
	if strings.Contains(format, "fatal commit error") { // on a goroutine of ours, see Store.write
		panic(errors.New(msg))
	}
	runtime.Goexit()
}

var errGaveUp = errors.New("the storage engine gave up")

// guard runs f, a call into Pebble, where neither a panic nor an end of the
// goroutine does harm. It does not wait for f once the store is fenced.
func (s *Store) guard(f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errGaveUp
		defer func() {
			if r := recover(); r != nil {
				err = recovered(r)
			}
			done <- err
		}()
		err = f()
	}()
	if !s.fs.running.Load() { // everything returns
		return <-done
	}
	select {
	case err := <-done:
		return err
	case <-s.fenced:
		return s.failed.Load().err
	}
}

// openEngine opens Pebble's part of the directory.
func (s *Store) openEngine() error {
	s.cache = pebble.NewCache(s.opts.CacheSize)
	err := s.guard(func() (err error) {
		s.db, err = pebble.Open(s.path("db"), s.engineOptions())
		return err
	})
	if err != nil {
		s.cache.Unref()
		s.db, s.cache = nil, nil
	}
	return err
}

// closeEngine ends Pebble. A store that is fenced is left to itself: it could
// wait for itself for ever.
func (s *Store) closeEngine() error {
	if s.db == nil {
		return nil
	}
	err := s.guard(s.db.Close)
	if s.failed.Load() == nil {
		s.cache.Unref()
	}
	s.db = nil
	return err
}

// path is a file of the store.
func (s *Store) path(name ...string) string {
	return s.fs.PathJoin(append([]string{s.dir}, name...)...)
}
