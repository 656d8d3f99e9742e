package disk

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nightjarmq/nightjar/internal/store"
)

// Durability says when a ticket counts as durable.
type Durability uint8

// The durabilities there are.
const (
	// Sync: after the fsync. Nothing acknowledged is lost when the power goes.
	Sync Durability = iota
	// Relaxed: when the write-ahead log has the change, the end of which is in
	// this process. It is synced within Interval: so much is lost in a crash, too.
	Relaxed
	// None: likewise, but it is synced only when the store closes or Pebble
	// needs it.
	None
)

// Interval is the time between the fsyncs of a [Relaxed] store that is written
// to.
const Interval = 100 * time.Millisecond

// Patience is how long what nobody waits for may wait for company: see
// [Store.SubmitLater].
const Patience = 20 * time.Millisecond

// Options of [Open]. The zero value is ready for use.
type Options struct {
	FS         vfs.FS // nil: the file system of the operating system
	Durability Durability
	Log        *slog.Logger // nil: silence

	// Progress is called while the store is read at the start, now and then
	// and at the end, with how many queued messages were read.
	Progress func(sessions, messages int)

	// Damage is called, before Open returns, for everything that was damaged.
	// It is logged as well.
	Damage func(Damage)

	Now func() time.Time // nil: time.Now; names what is set aside

	CacheSize    int64         // bytes of block cache; 0: 4 MiB
	MemTableSize uint64        // bytes that are gathered before a table is written; 0: 8 MiB
	MaxPending   int           // bytes submitted that may wait for the disk; 0: 64 MiB
	RetryFull    time.Duration // between looks at a full disk; 0: 500 ms
	LetGo        time.Duration // how long Close waits, behind a failure, for what is being written; 0: 1 s
}

// Store is durable state on disk.
type Store struct {
	opts    Options
	log     *slog.Logger
	fs      *faultFS
	dir     string
	lock    *dirLock
	db      *engine
	durable atomic.Uint64 // the ticket
	synced  atomic.Uint64 // the number of the last batch that an fsync is known to cover
	failed  atomic.Pointer[failure]
	batches uint64 // numbers batches; handOver's
	isNew   bool   // there was none
	mended  bool   // what was damaged is out of it

	mu        sync.Mutex // guards what follows; never held over I/O or a callback
	state                // the index and the batch at hand
	onDurable func(t store.Ticket, err error)
	ticket    store.Ticket  // submitted
	taken     store.Ticket  // in batches that were taken to be handed over
	urgent    store.Ticket  // to be handed over without waiting for company
	patient   bool          // a timer will make urgent what is submitted now
	visible   store.Ticket  // handed over: can be read
	records   int           // in the batch at hand
	syncing   int           // batches taken and not settled
	line      []taken       // handed over and not settled; without a bound: see handOver
	readers   chan struct{} // not nil: somebody waits for visible to rise; then it is closed
	spare     []*pebble.Batch
	closed    bool
	metrics   Metrics

	work    sync.Cond      // on mu: handOver may have something to do
	reading sync.WaitGroup // counts readers; Add is called with mu held and closed not set
	handed  chan struct{}  // from handOver to settle: there is something in line; closed behind the last
	stopped chan struct{}  // closed by settle
	fenced  chan struct{}  // closed by fence
	closing chan struct{}  // closed by Close
	stuck   chan struct{}  // closed when a table cannot be written while the store opens
	tidying atomic.Bool
	guarded sync.WaitGroup // calls into Pebble; see guard
	ending  sync.WaitGroup // calls that end it
}

// taken is a batch that Pebble has, with the last ticket in it.
type taken struct {
	batch   *pebble.Batch // nil: there was nothing to write
	num     uint64        // of the batch
	upto    store.Ticket
	records int
}

// failure is why a store is fenced.
type failure struct {
	err  error
	told chan struct{} // closed when OnDurable's function knows
}

var _ store.Store = (*Store)(nil)

// Open opens the store in dir, which is made if it is not there. What is
// damaged is set aside and reported. The errors are [ErrLocked], [ErrNewer], and
// those of the file system.
func Open(dir string, o Options) (*Store, error) {
	s := newStore(dir, o)
	began := s.opts.Now()
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", dir, err)
	}
	s.tellOpened(s.opts.Now().Sub(began))
	s.batch = s.db.NewBatch()
	go s.handOver()
	go s.settle()
	return s, nil
}

func newStore(dir string, o Options) *Store {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CacheSize == 0 {
		o.CacheSize = 4 << 20
	}
	if o.MemTableSize == 0 {
		o.MemTableSize = 8 << 20
	}
	if o.MaxPending == 0 {
		o.MaxPending = 64 << 20
	}
	if o.RetryFull == 0 {
		o.RetryFull = 500 * time.Millisecond
	}
	if o.LetGo == 0 {
		o.LetGo = time.Second
	}
	s := &Store{
		opts:    o,
		log:     o.Log,
		dir:     dir,
		state:   newState(),
		handed:  make(chan struct{}, 1),
		stopped: make(chan struct{}),
		fenced:  make(chan struct{}),
		closing: make(chan struct{}),
		stuck:   make(chan struct{}),
	}
	s.work.L = &s.mu
	s.fs = newFaultFS(moments(o.FS), o.RetryFull, s.fence)
	s.fs.stride = int64(o.MemTableSize / strides)
	s.fs.onFull = s.diskFull
	s.fs.onLogSync = s.logSynced
	return s
}

// tellOpened says what the start has found.
func (s *Store) tellOpened(took time.Duration) {
	if s.isNew {
		s.log.Info(fmt.Sprintf("A new store is begun in %s: there was none.", s.dir), "event", "store", "dir", s.dir)
		return
	}
	text := fmt.Sprintf("Store in %s opened in %v: %d sessions, %d retained and %d queued messages.",
		s.dir, took.Round(time.Millisecond), s.stats.Sessions, s.stats.Retained, s.stats.Queued)
	if s.lock.left {
		text += " It had not been closed, as in a crash"
		if s.mended {
			text += "."
		} else {
			text += "; its log was read back, and no damage was found."
		}
	}
	s.log.Info(text, "event", "store", "dir", s.dir, "sessions", s.stats.Sessions, "retained", s.stats.Retained,
		"queued", s.stats.Queued, "milliseconds", took.Milliseconds(), "crashed", s.lock.left)
}

// diskFull is told when the first operation waits for space, or for a file
// descriptor, with its error, and when the last has got it.
func (s *Store) diskFull(err error) {
	switch {
	case err == nil && s.isClosing(): // what waited has given up
		return
	case err == nil:
		s.log.Info("the store goes on", "dir", s.dir)
		return
	case isOutOfFiles(err):
		s.log.Error("no more files may be opened: nothing is stored until some are closed", "dir", s.dir, "err", err)
	default:
		s.log.Error("the disk is full: nothing is stored until there is space", "dir", s.dir)
	}
	s.mu.Lock()
	s.wakeReaders()
	s.mu.Unlock()
}

// NewSession implements [store.Store].
func (s *Store) NewSession() store.SessionID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastSession++
	return s.lastSession
}

// Durable implements [store.Store].
func (s *Store) Durable() store.Ticket { return store.Ticket(s.durable.Load()) }

// OnDurable implements [store.Store].
func (s *Store) OnDurable(f func(t store.Ticket, err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onDurable = f
}

// Stats implements [store.Store].
func (s *Store) Stats() store.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Submit implements [store.Store]. The errors are [store.ErrClosed],
// [store.ErrFenced], [store.ErrNoSpace] and [store.ErrOverloaded].
func (s *Store) Submit(recs ...store.Record) (store.Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.submit(recs)
	if err == nil {
		s.hurry()
	}
	return t, err
}

// SubmitLater implements [store.Store]: the records begin no fsync of their own,
// but go with what is submitted next, or after [Patience]. The errors are those
// of Submit.
func (s *Store) SubmitLater(recs ...store.Record) (store.Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.submit(recs)
	if err == nil {
		s.wait()
	}
	return t, err
}

// Refusal implements [store.Store].
func (s *Store) Refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refuse()
}

// submit adds the records to the batch at hand. mu is held.
func (s *Store) submit(recs []store.Record) (store.Ticket, error) {
	if err := s.refuse(); err != nil {
		return 0, err
	}
	for _, r := range recs {
		if p, ok := r.(*store.Published); ok {
			p.Seq = s.nextSeq()
		}
		s.apply(r)
	}
	s.records += len(recs)
	s.ticket++
	return s.ticket, nil
}

// hurry has everything that was submitted handed over as soon as it can be. mu
// is held.
func (s *Store) hurry() {
	s.urgent = s.ticket
	if s.syncing == 0 {
		s.work.Signal()
	}
}

// wait has it handed over after Patience. mu is held.
func (s *Store) wait() {
	if s.patient {
		return
	}
	s.patient = true
	time.AfterFunc(Patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.patient = false
		s.hurry()
	})
}

// refuse says why nothing can be submitted. mu is held.
func (s *Store) refuse() error {
	switch {
	case s.closed:
		return store.ErrClosed
	case s.failed.Load() != nil:
		return fmt.Errorf("%w: %w", store.ErrFenced, s.failed.Load().err)
	case s.fs.full():
		return store.ErrNoSpace
	case s.batch.Len() > s.opts.MaxPending:
		return store.ErrOverloaded
	}
	return nil
}

// Close implements [store.Store]. The state goes into tables, so that the next
// start has no log to read. Of a fenced store nothing is written any more,
// and if it failed while a batch was written, some goroutines stay; see letGo.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.closing)
	s.work.Signal()
	s.wakeReaders()
	s.mu.Unlock()
	s.fs.giveUp() // what waits for space tries a last time
	select {
	case <-s.stopped:
	case <-s.fenced:
	}
	err := s.shut()
	if err != nil {
		return fmt.Errorf("close the store in %s: %w", s.dir, err)
	}
	return nil
}
