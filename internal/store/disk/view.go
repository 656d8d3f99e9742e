package disk

import (
	"errors"
	"fmt"
	"io"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// View is a store that no broker has open, to look at. Nothing in it changes,
// and nothing damaged is mended.
type View struct {
	s    *Store
	lock io.Closer
}

// ErrDamaged: what a store needs is not as it was written, or not there.
var ErrDamaged = errors.New("the store is damaged")

// OpenView reads the whole store in dir, which checks it. It locks the
// directory. The errors are [ErrLocked], [ErrNewer], [ErrOlder], [ErrDamaged], those of the
// file system, and [os.ErrNotExist] if there is no store.
func OpenView(dir string, o Options) (*View, error) {
	v := &View{s: newStore(dir, o)}
	if err := v.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the store in %s: %w", dir, err), v.Close())
	}
	return v, nil
}

func (v *View) open() (err error) {
	s := v.s
	if _, err := s.fs.Stat(s.path(live)); err != nil {
		return err
	}
	if v.lock, err = s.fs.Lock(s.path("LOCK")); err != nil {
		return lockError(s.fs, s.path("pid"), err)
	}
	err = v.load()
	if err == nil || s.fs.broken.Load() || errors.Is(err, ErrNewer) || errors.Is(err, ErrOlder) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrDamaged, reason(err))
}

// load reads all of it.
func (v *View) load() (err error) {
	s := v.s
	if err := checkLogs(s.fs, s.path(live)); err != nil {
		return err
	}
	if s.db, err = s.openEngine(live, true); err != nil {
		return err
	}
	switch n, there, err := s.db.number(keyVersion); {
	case err != nil:
		return err
	case n > version:
		return fmt.Errorf("%w: it has version %d, this program knows %d", ErrNewer, n, version)
	case there && n < version:
		return fmt.Errorf("%w: it has version %d, this program knows %d", ErrOlder, n, version)
	}
	st := newState()
	l := loader{state: &st, progress: s.opts.Progress}
	if err := l.load(s.db); err != nil {
		return err
	}
	s.state = st
	return nil
}

// Close lets go of the directory.
func (v *View) Close() error {
	err := v.s.closeEngine(v.s.db)
	if v.lock != nil {
		err = errors.Join(err, v.lock.Close())
	}
	return err
}

// Sessions is [Store.Sessions].
func (v *View) Sessions(yield func(*store.SessionInfo) bool) error { return v.s.Sessions(yield) }

// Retained is [Store.Retained].
func (v *View) Retained(yield func(*message.Message) bool) error { return v.s.Retained(yield) }

// Ends is [Store.Ends].
func (v *View) Ends(id store.SessionID) ([]store.Entry, error) { return v.s.Ends(id) }

// Files is the directory of the files that a copy of the store needs, by its
// name in the store's directory.
const Files = live

// Ends returns the first and the last entry of the session's queue, in flight or
// not; one if there is one, and none if there is none.
func (s *Store) Ends(id store.SessionID) ([]store.Entry, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.reading.Done()
	var want []entry
	s.mu.Lock()
	if ses := s.sessions[id]; ses != nil && ses.queue.n > 0 {
		ses.queue.from(place{}, func(e *entry) bool {
			want = append(want, *e)
			return false
		})
		if at, ok := ses.queue.seek(ses.queue.last()); ok && ses.queue.n > 1 {
			want = append(want, *ses.queue.get(at))
		}
	}
	s.mu.Unlock()
	list, err := s.entries(nil, id, want)
	if err != nil {
		return nil, fmt.Errorf("read the queue of session %d: %w", id, err)
	}
	return list, nil
}
