package disk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nightjarmq/nightjar/internal/failpoint"
	"github.com/nightjarmq/nightjar/internal/store"
)

// version is that of the keys and values in this package. A directory of a
// higher one is refused, one of a lower one brought up to date.
const version = 2

// ErrNewer: a newer version of the program has written the directory.
var ErrNewer = errors.New("written by a newer version of Nightjar")

// ErrOlder: an older version of the program has written the directory, and to
// look is not enough: [Open] brings it up to date.
var ErrOlder = errors.New("written by an older version of Nightjar")

// open locks the directory, opens Pebble, and builds the index.
func (s *Store) open() error {
	if err := makeDir(s.fs, s.dir); err != nil {
		return err
	}
	_ = syncDir(s.opts.FS, s.fs.PathDir(s.dir)) // an earlier start may have made it and not come so far
	lock, err := lockDir(s.fs, s.dir)
	if err != nil {
		return err
	}
	s.lock = lock
	if err = s.openState(); err == nil {
		err = s.countDamaged()
	}
	if err == nil {
		s.fs.running.Store(true)
		f := s.failed.Load() // looked at once it runs: what fails in the background before that is stuck, see engineOptions
		if f == nil {
			return nil
		}
		err = f.err
	}
	err = errors.Join(err, s.closeEngine(s.db))
	s.db = nil
	if !lock.left {
		_ = s.fs.Remove(lock.pid) // it says nothing without the lock, but for the next start
	}
	s.fs.closeAll()
	if f := s.failed.Load(); f != nil { // which says more than what followed from it
		<-f.told
		if !errors.Is(err, f.err) {
			err = errors.Join(f.err, err)
		}
	}
	return err
}

// openState opens what is there, or what can be saved of it.
func (s *Store) openState() error {
	if err := s.finishSalvage(); err != nil {
		return err
	}
	if err := s.mendFormat(); err != nil {
		return err
	}
	if err := s.mendManifest(); err != nil {
		return err
	}
	err := checkLogs(s.fs, s.path(live))
	if err == nil {
		err = s.tryOpen()
	}
	if err == nil || errors.Is(err, ErrNewer) || s.fs.broken.Load() {
		return err // sound, or not for us to judge
	}
	if cerr := s.closeEngine(s.db); cerr != nil {
		s.log.Warn("close a damaged store", "dir", s.dir, "err", cerr)
	}
	s.db = nil
	if err := s.salvage(err); err != nil {
		return fmt.Errorf("save what is not damaged: %w", err)
	}
	return s.tryOpen()
}

// tryOpen opens Pebble and reads all of it.
func (s *Store) tryOpen() (err error) {
	if s.db, err = s.openEngine(live, false); err != nil {
		return err
	}
	if err := s.checkVersion(); err != nil {
		return err
	}
	st := newState()
	l := loader{state: &st, progress: s.opts.Progress}
	if err := l.load(s.db); err != nil {
		return err
	}
	s.state = st
	return nil
}

// checkVersion reads the version, and writes it in a new directory and in one
// that it has brought up to date.
func (s *Store) checkVersion() error {
	v, there, err := s.db.number(keyVersion)
	s.isNew = !there
	switch {
	case err != nil:
		return err
	case v > version:
		return fmt.Errorf("%w: it has version %d, this program knows %d", ErrNewer, v, version)
	case v == version:
		return nil
	}
	if there {
		if err := s.convert(s.db); err != nil {
			return fmt.Errorf("bring version %d up to date: %w", v, err)
		}
	}
	b := s.db.NewBatch()
	_ = b.Set(keyVersion, binary.BigEndian.AppendUint64(nil, version), nil)
	return s.guard(func() error { return s.db.Apply(b, pebble.Sync) })
}

// convert brings keys of version 1 up to date. What it has done when it ends
// before its time, it need not do again.
func (s *Store) convert(e *engine) error {
	b := e.NewBatch()
	apply := func() error { return s.guard(func() error { return e.Apply(b, pebble.NoSync) }) }
	err := e.scan([]byte{spaceSession}, []byte{spaceSession + 1}, func(key, value []byte) (bool, error) {
		k, ok := parseSessionKey(key)
		if !ok || k.kind != kindOldProgress {
			return true, nil
		}
		_ = b.Set(appendSeqKey(nil, k.id, kindProgress, k.seq()), value, nil)
		_ = b.Delete(key, nil)
		if b.Len() < 1<<20 {
			return true, nil
		}
		err := apply()
		b = e.NewBatch()
		return true, err
	})
	if err != nil {
		return err
	}
	return apply()
}

func (e *engine) number(key []byte) (n uint64, there bool, err error) {
	b, closer, err := e.Get(key)
	if err == pebble.ErrNotFound {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer closer.Close()
	if len(b) != 8 {
		return 0, false, fmt.Errorf("read the number %q: %w", key, errValue)
	}
	return binary.BigEndian.Uint64(b), true, nil
}

// loader builds the index of a store from what is on disk, in the order of the
// keys. Reading everything checks every checksum.
type loader struct {
	*state
	progress func(sessions, messages int)

	id      store.SessionID // of the session at hand
	session *session
}

// reportEvery is how many queued messages are read between reports.
const reportEvery = 100_000

func (l *loader) load(db *engine) error {
	if err := l.numbers(db); err != nil {
		return err
	}
	if err := db.scan([]byte{spaceSession}, []byte{spaceSession + 1}, l.sessionKey); err != nil {
		return fmt.Errorf("read sessions: %w", err)
	}
	if err := db.scan([]byte{spaceShared}, []byte{spaceShared + 1}, l.shared); err != nil {
		return fmt.Errorf("read shared messages: %w", err)
	}
	for seq, sh := range l.shares {
		if sh.size == 0 {
			return fmt.Errorf("read shared messages: number %d is missing: %w", seq, errValue)
		}
	}
	if err := db.scan([]byte{spaceRetained}, []byte{spaceRetained + 1}, l.retain); err != nil {
		return fmt.Errorf("read retained messages: %w", err)
	}
	l.report()
	return nil
}

func (l *loader) report() {
	if l.progress != nil {
		l.progress(l.stats.Sessions, l.stats.Queued)
	}
}

// numbers reads what was given out.
func (l *loader) numbers(db *engine) error {
	seq, _, err := db.number(keySeq)
	if err != nil {
		return err
	}
	id, _, err := db.number(keySession)
	if err != nil {
		return err
	}
	if l.clock, err = readClock(db); err != nil {
		return err
	}
	l.lastSeq, l.seqLimit = store.Seq(seq), store.Seq(seq)
	l.lastSession, l.sessionLimit = store.SessionID(id), store.SessionID(id)
	return nil
}

func (l *loader) sessionKey(key, value []byte) (bool, error) {
	k, ok := parseSessionKey(key)
	if !ok {
		return false, fmt.Errorf("key %x: %w", key, errValue)
	}
	if k.id != l.id {
		if k.kind != kindIdentity {
			return false, fmt.Errorf("session %d has no identity: %w", k.id, errValue)
		}
		l.id, l.session = k.id, &session{}
		l.sessions[k.id] = l.session
		l.stats.Sessions++
		l.lastSession = max(l.lastSession, k.id)
	}
	if err := l.read(&k, value); err != nil {
		return false, fmt.Errorf("session %d: %w", k.id, err)
	}
	return true, nil
}

func (l *loader) read(k *sessionKey, value []byte) error {
	s := l.session
	switch k.kind {
	case kindIdentity:
		_, _, err := decodeIdentity(value)
		return err
	case kindState:
		return s.decodeState(value)
	case kindWill:
		s.hasWill = true
		_, err := store.DecodeWill(value)
		return err
	case kindSubscription:
		sub, err := decodeSubscription(value)
		if err == nil && digestOf(sub.Filter) != digest(k.rest) {
			err = errValue
		}
		s.subs.add(digest(k.rest))
		l.stats.Subscriptions++
		return err
	case kindIncoming:
		s.incoming = append(s.incoming, k.pid())
	case kindDelivery:
		return l.delivery(k.seq(), value)
	case kindProgress:
		return l.progressed(k.seq(), value)
	default:
		return fmt.Errorf("key of kind %d: %w", k.kind, errValue)
	}
	return nil
}

func (l *loader) delivery(seq store.Seq, value []byte) error {
	var d delivery
	rest, err := d.decodeHead(value)
	if err != nil {
		return err
	}
	e := entry{seq: seq, size: d.size, pid: d.pid}
	if d.head&deliveryGroup != 0 {
		e.flags |= entryGroup
	}
	if d.shared {
		e.flags |= entryShared
		sh := l.shares[seq]
		if sh == nil {
			sh = &share{}
			l.shares[seq] = sh
		}
		sh.refs++
	} else {
		if e.expires, err = d.expires(rest); err != nil {
			return err
		}
		l.stats.Messages++
		l.stats.MessageBytes += int64(d.size)
	}
	l.push(e)
	return nil
}

func (l *loader) push(e entry) {
	l.session.push(e)
	l.stats.Queued++
	l.lastSeq = max(l.lastSeq, e.seq)
	if l.stats.Queued%reportEvery == 0 {
		l.report()
	}
}

// progressed is read behind the delivery, which is not there when it is released.
func (l *loader) progressed(seq store.Seq, value []byte) error {
	pid, released, err := decodeProgress(value)
	if err != nil {
		return err
	}
	at, there := l.session.queue.seek(seq)
	switch {
	case there && released:
		return fmt.Errorf("delivery %d is released and has a message: %w", seq, errValue)
	case released:
		l.push(entry{seq: seq, pid: pid, flags: entryReleased | entryProgress})
	case !there:
		return fmt.Errorf("delivery %d has progress and no message: %w", seq, errValue)
	default:
		e := l.session.queue.get(at)
		l.session.send(e, pid)
		e.flags |= entryProgress
	}
	return nil
}

func (l *loader) shared(key, value []byte) (bool, error) {
	if len(key) != 9 {
		return false, fmt.Errorf("key %x: %w", key, errValue)
	}
	seq := store.Seq(binary.BigEndian.Uint64(key[1:]))
	size, rest, err := decodeSize(value)
	if err != nil {
		return false, err
	}
	expires, err := store.MessageExpires(rest)
	if err != nil {
		return false, err
	}
	sh := l.shares[seq]
	if sh == nil {
		return false, fmt.Errorf("message %d has no recipient: %w", seq, errValue)
	}
	sh.size, sh.expires = size, expires
	l.stats.Messages++
	l.stats.MessageBytes += int64(size)
	return true, nil
}

func (l *loader) retain(key, value []byte) (bool, error) {
	size, _, err := decodeSize(value)
	if err != nil {
		return false, err
	}
	l.retained[string(key[1:])] = size
	l.stats.Retained++
	l.stats.RetainedBytes += int64(size)
	return true, nil
}

// shut ends everything but the committer, which has ended. The state goes into
// tables, so that the next start has no log to read.
func (s *Store) shut() error {
	s.reading.Wait()
	failpoint.Reach("close.before")
	err := s.writeAll()
	failpoint.Reach("close.written")
	if err == nil {
		err = s.closeEngine(s.db)
	}
	failpoint.Reach("close.after")
	if err == nil {
		err = s.lock.release()
	}
	f := &failure{err: store.ErrClosed}
	if !s.failed.CompareAndSwap(nil, f) { // from here on nothing fences
		f = s.failed.Load()
		<-f.told
		if !errors.Is(err, f.err) {
			err = errors.Join(err, f.err)
		}
		s.letGo()
		s.fs.closeAll()
	}
	return err
}

// writeAll writes the numbers given out and makes tables of everything.
func (s *Store) writeAll() error {
	if f := s.failed.Load(); f != nil {
		return f.err
	}
	s.mu.Lock()
	b := s.batch
	if s.seqLimit != s.lastSeq || s.sessionLimit != s.lastSession {
		s.seqLimit, s.sessionLimit = s.lastSeq, s.lastSession
		s.setNumber(keySeq, uint64(s.lastSeq))
		s.setNumber(keySession, uint64(s.lastSession))
	}
	s.mu.Unlock()
	var flushed <-chan struct{}
	err := s.guard(func() (err error) {
		if !b.Empty() {
			if err := s.db.Apply(b, pebble.Sync); err != nil {
				return err
			}
		}
		flushed, err = s.db.AsyncFlush()
		return err
	})
	if err == nil {
		select {
		case <-flushed:
		case <-s.fenced:
			err = s.failed.Load().err
		}
	}
	if err != nil {
		return fmt.Errorf("write what is left: %w", err)
	}
	return nil
}
