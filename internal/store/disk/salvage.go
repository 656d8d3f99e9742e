package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/wal"
)

// Damage is something that a checksum, or a contradiction, has shown to be
// damaged. The store has set it aside and goes on with the rest.
type Damage struct {
	What string   // the file, and what is wrong with it
	Lost []string // what is lost; none: nothing
	Kept string   // the directory where it lies now; "": it was gone
}

// Names in the store's directory.
const (
	live    = "db"       // Pebble's files
	saved   = "saved"    // what could be saved, until it takes the place of live
	scratch = "scratch"  // names of live's files, for reading without some of them
	aside   = "damaged-" // and a time: what was set aside
)

// mostLost is how many lines the log has about what is lost.
const mostLost = 20

func (s *Store) damaged(d Damage) {
	s.mended = true
	say := func(sentence string) {
		s.log.Error(sentence, "event", "damage", "dir", s.dir, "what", d.What, "kept", d.Kept)
	}
	say(fmt.Sprintf("The store in %s was damaged: %s.", s.dir, d.What))
	for _, lost := range d.Lost[:min(len(d.Lost), mostLost)] {
		say(fmt.Sprintf("Lost: %s.", lost))
	}
	if more := len(d.Lost) - mostLost; more > 0 {
		say(fmt.Sprintf("Lost: as much at %d more places.", more))
	}
	rest := "Nothing is lost, and nothing has to be done."
	if len(d.Lost) > 0 {
		rest = "The broker goes on with the rest. What is lost comes back from a backup alone: stop the broker, and have nightjar restore make a new directory of it."
	}
	if d.Kept != "" {
		rest += fmt.Sprintf(" The damaged files lie in %s, and nothing reads them any more: they may be deleted, unless a file is gone that may turn up.", d.Kept)
	}
	say(rest)
	if s.opts.Damage != nil {
		s.opts.Damage(d)
	}
}

// countDamaged counts the directories of what was set aside.
func (s *Store) countDamaged() error {
	names, err := s.fs.List(s.dir)
	for _, n := range names {
		if strings.HasPrefix(n, aside) {
			s.metrics.Damaged++
		}
	}
	return err
}

// damageDir makes the directory for what is set aside.
func (s *Store) damageDir() (string, error) {
	base := s.path(aside + s.opts.Now().UTC().Format("20060102-150405"))
	name := base
	for i := 2; ; i++ {
		if _, err := s.fs.Stat(name); errors.Is(err, os.ErrNotExist) {
			return name, makeDir(s.fs, name)
		} else if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s-%d", base, i)
	}
}

// finishSalvage ends, at the start, what salvage has not ended because the
// process did: what was saved takes its place when the damaged files are out of
// it, and is made anew otherwise.
func (s *Store) finishSalvage() error {
	if err := s.fs.RemoveAll(s.path(scratch)); err != nil {
		return err
	}
	if _, err := s.fs.Stat(s.path(saved)); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	_, err := s.fs.Stat(s.path(live))
	if err == nil {
		return s.fs.RemoveAll(s.path(saved))
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := s.fs.Rename(s.path(saved), s.path(live)); err != nil {
		return err
	}
	return syncDir(s.fs, s.dir)
}

// salvage makes a new store of what can be read of the damaged one, which is
// left as it is and set aside. Everything in it is either as it was or gone: of
// a stretch of keys whose newest values cannot be read, older ones are not taken.
func (s *Store) salvage(cause error) error {
	v := &salvager{Store: s}
	to, err := s.openEngine(saved, false)
	if err != nil {
		return err
	}
	v.to = to
	err = v.run(cause)
	if err == nil {
		err = s.guard(to.Flush)
	}
	if err = errors.Join(err, s.closeEngine(to)); err != nil {
		return err
	}
	kept, err := s.damageDir()
	if err != nil {
		return err
	}
	if err := s.fs.Rename(s.path(live), s.fs.PathJoin(kept, live)); err != nil {
		return err
	}
	if err := errors.Join(syncDir(s.fs, kept), syncDir(s.fs, s.dir)); err != nil {
		return err
	}
	if err := s.finishSalvage(); err != nil {
		return err
	}
	s.damaged(Damage{What: reason(cause), Lost: v.lost, Kept: kept})
	return nil
}

// salvager copies what can be read from one Pebble to another.
type salvager struct {
	*Store
	to     *engine
	batch  *pebble.Batch
	before *wal.LogicalLog // nil, or the damaged log, up to its damage
	gaps   []gap
	lost   []string // in words
	mended int      // keys that were dropped because what they need is lost
	unsure int      // among them messages of which nobody knows whether they were sent
}

func (v *salvager) run(cause error) error {
	from, err := v.openDamaged(cause)
	if err != nil {
		v.log.Debug("read a damaged store", "dir", v.dir, "err", err)
		v.lost = append(v.lost, "everything")
		return v.mend()
	}
	err = v.copyAll(from)
	if err == nil && v.before != nil {
		err = v.replay(v.before)
	}
	if cerr := v.closeEngine(from); cerr != nil {
		v.log.Warn("close a damaged store", "dir", v.dir, "err", cerr)
	}
	if err == nil {
		err = v.fs.RemoveAll(v.path(scratch))
	}
	if err == nil {
		err = v.mend()
	}
	v.report()
	return err
}

// damagedLog finds the number of the log in Pebble's error.
var damagedLog = regexp.MustCompile(`replaying wal (\d+)`)

// openDamaged opens the damaged store for reading, without the logs that keep it
// from being opened.
func (v *salvager) openDamaged(cause error) (*engine, error) {
	var bad *errLog
	if errors.As(cause, &bad) {
		return v.withoutLogs(bad.num)
	}
	from, err := v.openEngine(live, true)
	if err == nil {
		return from, nil
	}
	m := damagedLog.FindStringSubmatch(fmt.Sprintf("%+v", err))
	if m == nil {
		return nil, err
	}
	num, perr := strconv.ParseUint(m[1], 10, 64)
	if perr != nil {
		return nil, err
	}
	return v.withoutLogs(num)
}

// withoutLogs opens the damaged store without a log and those behind it, and
// has the part of that log that is before the damage saved. The logs behind it
// cannot be used: they follow on what is lost.
func (v *salvager) withoutLogs(first uint64) (*engine, error) {
	logs, err := wal.Scan(wal.Dir{FS: v.fs, Dirname: v.path(live)})
	if err != nil {
		return nil, err
	}
	skip := map[string]bool{}
	for _, l := range logs {
		if uint64(l.Num) >= first {
			_, name := l.SegmentLocation(0)
			skip[v.fs.PathBase(name)] = true
			v.lost = append(v.lost, fmt.Sprintf("what was stored last, from the damage of %s on", v.path(live, v.fs.PathBase(name))))
		}
	}
	if err := v.linkAll(skip); err != nil {
		return nil, err
	}
	from, err := v.openEngine(scratch, true)
	if err != nil {
		return nil, err
	}
	for i := range logs {
		if uint64(logs[i].Num) == first {
			v.before = &logs[i]
		}
	}
	return from, nil
}

// linkAll gives the files of the damaged store, without some, second names.
func (v *salvager) linkAll(skip map[string]bool) error {
	if err := v.fs.MkdirAll(v.path(scratch), 0o700); err != nil {
		return err
	}
	names, err := v.fs.List(v.path(live))
	if err != nil {
		return err
	}
	for _, name := range names {
		if skip[name] || name == "LOCK" {
			continue
		}
		if err := v.fs.Link(v.path(live, name), v.path(scratch, name)); err != nil {
			return err
		}
	}
	return nil
}

// batchHeader is the length of what a batch begins with: its sequence number (8
// bytes), and how many changes it has (4).
const batchHeader = 12

// replay applies the batches of a log up to the first that cannot be read.
func (v *salvager) replay(l *wal.LogicalLog) error {
	_, name := l.SegmentLocation(0)
	content, err := readFile(v.fs, name)
	if err != nil {
		return err
	}
	return readBatches(content, uint32(l.Num), func(repr []byte) error {
		if len(repr) < batchHeader {
			return fmt.Errorf("log %06d: a batch of %d bytes: %w", l.Num, len(repr), errValue)
		}
		clear(repr[:batchHeader-4]) // the sequence number that it had; of a large batch Pebble wants none
		b := v.to.NewBatch()
		if err := b.SetRepr(repr); err != nil {
			return err
		}
		return v.apply(b)
	})
}

func (v *salvager) apply(b *pebble.Batch) error {
	return v.guard(func() error { return v.to.Apply(b, pebble.NoSync) })
}

// copyAll copies the keys, in pieces that end where tables do: what is damaged
// in one table does not keep the others from being read.
func (v *salvager) copyAll(from *engine) error {
	cuts := [][]byte{{0}, {0xff}}
	tables, err := from.SSTables()
	if err != nil { // then it is one piece
		v.log.Debug("list the tables of a damaged store", "dir", v.dir, "err", err)
	}
	for _, level := range tables {
		for i := range level {
			cuts = append(cuts, bytes.Clone(level[i].Smallest.UserKey), append(bytes.Clone(level[i].Largest.UserKey), 0))
		}
	}
	slices.SortFunc(cuts, bytes.Compare)
	cuts = slices.CompactFunc(cuts, bytes.Equal)
	for i := range len(cuts) - 1 {
		if err := v.copyRange(from, cuts[i], cuts[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// copyRange copies from the front as far as it can be read, and then from the
// back.
func (v *salvager) copyRange(from *engine, lo, hi []byte) error {
	v.batch = v.to.NewBatch()
	front, err := v.copyUntil(from, lo, hi, (*pebble.Iterator).First, (*pebble.Iterator).Next)
	if err != nil || front == nil {
		return errors.Join(err, v.apply(v.batch))
	}
	behind := lo
	if front.last == nil {
		front.last = lo
	} else {
		behind = append(bytes.Clone(front.last), 0)
	}
	back, err := v.copyUntil(from, behind, hi, (*pebble.Iterator).Last, (*pebble.Iterator).Prev)
	if err != nil {
		return err
	}
	if back != nil {
		if back.last == nil {
			back.last = hi
		}
		v.gaps = append(v.gaps, gap{front.last, back.last, front.err})
	}
	return v.apply(v.batch)
}

// stopped is where reading ended because of damage.
type stopped struct {
	last []byte // the last key read; nil: none
	err  error
}

// copyUntil copies keys until the end or until it can read no further. The error
// is that of writing.
func (v *salvager) copyUntil(from *engine, lo, hi []byte, first, next func(*pebble.Iterator) bool) (*stopped, error) {
	st := &stopped{}
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		st.err = err
		return st, nil
	}
	for ok := first(it); ok; ok = next(it) {
		value, err := it.ValueAndErr()
		if err != nil {
			st.err = err
			break
		}
		st.last = bytes.Clone(it.Key())
		_ = v.batch.Set(st.last, value, nil)
		if v.batch.Len() > 1<<20 {
			if err := v.apply(v.batch); err != nil {
				return nil, errors.Join(err, it.Close())
			}
			v.batch = v.to.NewBatch()
		}
	}
	if err := it.Close(); st.err == nil {
		st.err = err
	}
	if st.err == nil {
		return nil, nil
	}
	return st, nil
}
