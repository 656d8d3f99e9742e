package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/nightjarmq/nightjar/client/internal/journal"
	"github.com/nightjarmq/nightjar/packet"
)

// KeeperOptions say how a Keeper connects and what it does while there is no connection. Servers is needed, everything
// else has a useful zero value.
type KeeperOptions struct {
	// Options are those of each connection. Session must be nil.
	//
	// Resume keeps what an earlier process left: it needs a ClientID. Without it the first connection starts afresh and
	// the session ends when Run ends; in 5.0 it still survives the loss of a connection, for as long as SessionExpiry
	// says, which is ten minutes when it is not set. Before 5.0 a client that does not Resume has no session to survive:
	// after each loss it subscribes again, and sends what was not acknowledged again as new messages, which can double
	// QoS 2. So Resume there, if that matters.
	Options

	// Servers are tried in turn. After a loss the one that was connected comes first.
	Servers []string

	// ConnectTimeout bounds each attempt, and the wait for an answer when the Keeper subscribes again, in which messages
	// may come and take their handlers as long as they like; 0 is 30 s.
	ConnectTimeout time.Duration

	// MinPause and MaxPause bound the pause after all servers were tried; 0 is 1 s and 1 min. See the package comment.
	MinPause, MaxPause time.Duration

	// GiveUp says whether Run ends with err, that of an attempt or of a connection; connected tells whether there was a
	// connection before. Nil gives up when another client took the session over (5.0), because to come back would throw
	// that one out; and when the first connection is refused for a reason that calls for another configuration: identifier,
	// credentials, version, ban.
	GiveUp func(err error, connected bool) bool

	// Queue bounds the messages that were published and are not acknowledged.
	Queue Queue

	// Abandon says whether m is given up. It is asked when so many connections in a row, three or more, have ended while m
	// was under way, and no other message of QoS 1 or 2; err is why the last one did. There are servers that hang up on
	// what they do not like, as 3.1.1 has them do; others hang up because their disk is full, and take m later. If it is
	// given up its publisher gets ErrAbandoned, m may have arrived nevertheless, and the messages behind it are sent. Nil
	// gives up nothing: they wait, and the event MessageStuck says so each time. The standard knows no such end of a
	// message in a session that goes on (5.0 section 4.4), so it is for whoever knows the server to decide. m may be kept and
	// must not be changed.
	Abandon func(m *packet.Publish, times int, err error) bool

	// OnEvent is told what happens. It may be called by several goroutines, and must return soon. Nil is silence.
	OnEvent func(Event)
}

// Queue is how a Keeper keeps messages that are not acknowledged.
type Queue struct {
	// MaxMessages and MaxBytes bound the queue; 0 is 100,000 messages and 64 MiB. A message counts with its bytes on the
	// wire and 256 more. One message always fits into an empty queue.
	MaxMessages, MaxBytes int

	// WhenFull says what happens to one too many.
	WhenFull WhenFull

	// Journal is a file that keeps the QoS 1 and 2 messages; "" keeps them in memory only. It is made if need be, and a
	// file beside it, with ".lock" appended, keeps other processes out. Everything in it is in memory as well.
	Journal string
}

// WhenFull is what a full queue does.
type WhenFull byte

// What a full queue does.
const (
	Block      WhenFull = iota // the publisher waits
	Refuse                     // the publisher gets ErrQueueFull
	DropOldest                 // the message that waits longest makes room and gets ErrDropped; if all are in flight, as Refuse
)

var (
	// ErrQueueFull refuses a message because the queue of a Keeper is full.
	ErrQueueFull = errors.New("the queue is full")

	// ErrDropped is the fate of a message that made room for a newer one.
	ErrDropped = errors.New("dropped, to make room for newer messages")

	// ErrExpired is the fate of a message whose Message Expiry Interval passed while it waited.
	ErrExpired = errors.New("expired while it waited for a connection")
)

// Keeper keeps a client connected: it connects, and connects again when the connection is lost; it queues what is published
// meanwhile; it restores the subscriptions. Its methods are those of Client and safe for concurrent use. Make it with
// NewKeeper, and let Run run.
type Keeper struct {
	o       KeeperOptions
	session Session
	backoff backoff
	journal *journal.Journal // nil: none
	ended   chan struct{}    // closed when Run has ended

	wake, wakeSubs, wakeJournal chan struct{} // there is something to send, to subscribe, to write; capacity 1

	mu      sync.Mutex
	out     outbox                // guarded by mu
	seq     uint64                // guarded by mu: last in the journal
	inbound map[uint16]struct{}   // guarded by mu: inbound QoS 2 numbers in the journal
	life    uint64                // guarded by mu: of the session that inbound belongs to
	client  *Client               // guarded by mu: subscribed anew and ready to send, or nil
	sending bool                  // guarded by mu: the sender has a message in hand
	changed chan struct{}         // guarded by mu: closed when the queue shrinks or Run ends; nil if nobody waits
	subs    []*subscription       // guarded by mu: those that the server granted
	changes []*subscriptionChange // guarded by mu: SUBSCRIBE and UNSUBSCRIBE that await their answer, in order
	noted   journal.Ticket        // guarded by mu: the latest record that need not be durable at once
	running bool                  // guarded by mu
	closed  bool                  // guarded by mu: Run has ended

	// What follows belongs to Run.
	next      int    // index of the server to try
	connected bool   // there was a connection
	clientID  string // assigned by a server, to be used again
	suspicion suspicion
}

const (
	defaultMaxMessages    = 100_000
	defaultMaxBytes       = 64 << 20
	defaultConnectTimeout = 30 * time.Second
	defaultMinPause       = time.Second
	defaultMaxPause       = time.Minute
	defaultSessionExpiry  = 600 // seconds
)

// NewKeeper checks the options and reads the journal. The Keeper connects when Run runs; messages may be published before.
func NewKeeper(o KeeperOptions) (*Keeper, error) {
	if len(o.Servers) == 0 {
		return nil, errors.New("keeper: no server; name one in Servers")
	}
	for _, s := range o.Servers {
		if _, err := parseURL(s); err != nil {
			return nil, fmt.Errorf("keeper: %w", err)
		}
	}
	if o.Session != nil {
		return nil, errors.New("keeper: it has a session of its own; leave Session nil")
	}
	if o.Resume && o.ClientID == "" {
		return nil, errors.New("keeper: Resume needs a ClientID, or the server cannot know which session")
	}
	o.defaults()
	first := o.Options.withDefaults()
	if err := checkConnect(first.connect()); err != nil {
		return nil, fmt.Errorf("keeper: %w", err)
	}
	k := &Keeper{
		o: o, backoff: newBackoff(o.MinPause, o.MaxPause), clientID: o.ClientID,
		wake: make(chan struct{}, 1), wakeSubs: make(chan struct{}, 1), wakeJournal: make(chan struct{}, 1),
		ended:   make(chan struct{}),
		inbound: make(map[uint16]struct{}),
	}
	k.out.maxMessages, k.out.maxBytes = o.Queue.MaxMessages, o.Queue.MaxBytes
	if o.Queue.Journal != "" {
		if err := k.openJournal(); err != nil {
			return nil, fmt.Errorf("keeper: %w", err)
		}
	}
	return k, nil
}

// defaults fills in what stands for zero.
func (o *KeeperOptions) defaults() {
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	duration := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	number(&o.Queue.MaxMessages, defaultMaxMessages)
	number(&o.Queue.MaxBytes, defaultMaxBytes)
	duration(&o.ConnectTimeout, defaultConnectTimeout)
	duration(&o.MinPause, defaultMinPause)
	duration(&o.MaxPause, max(defaultMaxPause, o.MinPause))
	if o.Version == 0 {
		o.Version = packet.V5
	}
	if o.GiveUp == nil {
		o.GiveUp = giveUp
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
}

// Run connects and stays connected until ctx ends, which says goodbye to the server and is no error, or until GiveUp gives
// up. It must be called once. When it has returned everybody who waits for an acknowledgement has got an error that wraps
// ErrClosed; what the journal holds will be sent by the next Keeper with it.
func (k *Keeper) Run(ctx context.Context) error {
	k.mu.Lock()
	if k.running {
		k.mu.Unlock()
		return errors.New("keeper: Run was called before")
	}
	k.running = true
	k.mu.Unlock()
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() { k.journalLoop(writing) })
	err := k.run(ctx)
	stop()
	work.Wait()
	k.close()
	return err
}

func (k *Keeper) run(ctx context.Context) error {
	for {
		c, server, err := k.connect(ctx)
		if ctx.Err() != nil {
			if c != nil {
				k.goodbye(c)
			}
			return nil
		}
		if err != nil {
			return err
		}
		start := time.Now()
		k.takeOrphans()
		k.o.OnEvent(Event{Kind: Connected, Server: server, Connack: c.Connack()})
		k.serve(ctx, c)
		k.backoff.lasted(time.Since(start))
		if ctx.Err() != nil {
			return nil
		}
		err = c.Err()
		k.o.OnEvent(Event{Kind: Disconnected, Server: server, Err: err})
		k.suspect(c, err)
		if k.o.GiveUp(err, true) {
			return fmt.Errorf("keeper: %w", err)
		}
		if !k.sleep(ctx) { // also after a long connection: when a server restarts all its clients come back
			return nil
		}
	}
}

// connect tries the servers until one accepts. The error is that for which Run gives up.
func (k *Keeper) connect(ctx context.Context) (*Client, string, error) {
	for {
		for range k.o.Servers {
			raw := k.o.Servers[k.next]
			server := withoutCredentials(raw)
			attempt, cancel := context.WithTimeout(ctx, k.o.ConnectTimeout)
			c, err := Dial(attempt, raw, k.options())
			cancel()
			if err == nil {
				k.connected = true
				k.clientID = c.ClientID() // [MQTT-3.2.2-16]
				return c, server, nil
			}
			if ctx.Err() != nil {
				return nil, "", nil
			}
			k.next = (k.next + 1) % len(k.o.Servers)
			k.o.OnEvent(Event{Kind: ConnectFailed, Server: server, Err: err})
			if k.o.GiveUp(err, k.connected) {
				return nil, "", fmt.Errorf("keeper: %w", err)
			}
		}
		if !k.sleep(ctx) {
			return nil, "", nil
		}
	}
}

// options are those of the next connection.
func (k *Keeper) options() Options {
	o := k.o.Options
	o.Session, o.ClientID, o.keeper, o.alone = &k.session, k.clientID, k, k.suspicion.alone
	if o.Version >= packet.V5 {
		o.SessionExpiry = packet.Some(o.SessionExpiry.Or(defaultSessionExpiry))
		if k.connected && o.SessionExpiry.Value > 0 && o.ClientID != "" {
			o.Resume = true
		}
	}
	return o
}

// sleep pauses between attempts. It reports false when ctx ends.
func (k *Keeper) sleep(ctx context.Context) bool {
	d := k.backoff.pause()
	k.o.OnEvent(Event{Kind: Paused, Pause: d})
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve uses a connection until it ends, or ends it when ctx does.
func (k *Keeper) serve(ctx context.Context, c *Client) {
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		if !k.resubscribe(working, c) {
			return
		}
		k.setClient(c)
		work.Go(func() { k.changeLoop(working, c) })
		k.sendLoop(working, c)
	})
	select {
	case <-c.Done():
	case <-ctx.Done():
	}
	stop()
	k.setClient(nil)
	work.Wait()
	if ctx.Err() != nil {
		k.goodbye(c)
	}
}

// setClient lets messages go directly to c, or to nobody.
func (k *Keeper) setClient(c *Client) {
	k.mu.Lock()
	k.client = c
	k.mu.Unlock()
}

// goodbye disconnects. A session that nobody asked to keep ends with it.
func (k *Keeper) goodbye(c *Client) {
	d := new(packet.Disconnect)
	if o := &k.o; o.Version >= packet.V5 && !o.Resume && !o.SessionExpiry.Set {
		d.SessionExpiry = packet.Some[uint32](0)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*drainTime)
	defer cancel()
	c.Disconnect(ctx, d)
	<-c.Done()
}

// close tells everybody that it is over.
func (k *Keeper) close() {
	k.mu.Lock()
	k.closed = true
	k.shrunk()
	left := k.out.all()
	changes := k.changes
	k.changes = nil
	k.mu.Unlock()
	for _, q := range left {
		if q.done != nil {
			q.done(packet.Ack{}, fmt.Errorf("publish: %w", ErrClosed))
		}
	}
	for _, ch := range changes {
		ch.answer <- changeAnswer{err: ErrClosed}
	}
	if k.journal != nil {
		k.commitNoted()
		k.journal.Close()
	}
	close(k.ended)
}

// Done is closed when Run has ended.
func (k *Keeper) Done() <-chan struct{} { return k.ended }

// Pending is the number of messages that are queued or not acknowledged.
func (k *Keeper) Pending() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.out.count
}

// Flush returns when everything published so far, and meanwhile, is acknowledged or dropped. Call it before the context of
// Run ends if nothing shall be left behind.
func (k *Keeper) Flush(ctx context.Context) error {
	if k.inHandler(ctx) {
		return ErrInHandler
	}
	for {
		k.mu.Lock()
		if k.out.count == 0 {
			k.mu.Unlock()
			return nil
		}
		closed, changed := k.closed, k.watch()
		k.mu.Unlock()
		if closed {
			return fmt.Errorf("flush: %w", ErrClosed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("flush: %w", ctx.Err())
		}
	}
}

// withoutCredentials makes a URL fit for logs.
func withoutCredentials(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "?"
	}
	u.User = nil
	return u.String()
}
