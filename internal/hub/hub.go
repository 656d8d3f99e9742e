package hub

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/budget"
	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/ration"
	"github.com/nightjarmq/nightjar/internal/router"
	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/timer"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// Config is what a hub needs. Store and Now are required.
type Config struct {
	Store store.Store
	Now   func() int64 // unix milliseconds; never goes back
	Log   *slog.Logger // nil: silence

	// Access decides who may do what, at first; nil allows everything but writing
	// to the broker's own topics. See [Hub.SetAccess].
	Access Access

	// Command takes what clients that may publish below $CONTROL/ publish there; no
	// subscriber receives it. It must not block and not keep the payload. The code is
	// that of the acknowledgement. nil: nobody may.
	Command func(from *Client, topic, payload []byte) packet.Code

	// Batch and Release lend a batch to work that no connection started: wills,
	// expiry, publishing from within the process.
	Batch   func() *transport.Batch
	Release func(*transport.Batch)

	// Budget is shared by the queues in memory of all sessions; nil: no limit.
	Budget *budget.Budget

	Limits    Limits // at first; see [Hub.SetLimits]
	MaxLevels int    // of a topic; 0: topic.DefaultMaxLevels
}

// Limits may change while the hub runs.
type Limits struct {
	QueueMessages    int              // most messages that wait for one client; 0: no limit
	QueueBytes       int              // most bytes that wait for one client; 0: no limit
	Queues           map[string]Queue // other limits, by client identifier
	DropOldest       bool             // a full queue gives up what has waited longest, not what comes
	QueueQoS0        bool             // queue QoS 0 for absent sessions as well
	MaxClients       int              // sessions, connected or not; 0: no limit
	MaxUserClients   int              // of those, of one user that is not the anonymous; 0: no limit
	MaxSubscriptions int              // of one client; 0: no limit
	MaxRetained      int              // retained messages of clients; 0: no limit
	MaxRetainedBytes int              // what they take in memory; 0: no limit
	MaxPayload       int              // bytes of a client's message; 0: no limit
	RetainedOff      bool
	RetainExpiry     int64 // milliseconds until a retained message ends; 0: never
	UpgradeQoS       bool  // deliver with the QoS of the subscription
}

// Queue says how messages wait for one client; 0: no limit.
type Queue struct {
	Messages, Bytes int
	Age             int64 // milliseconds that a message may wait
	LiveFirst       bool  // what comes while there is a connection goes before what waited until then
	PastRate        int   // messages per second of what waited, with LiveFirst
}

// queue gives the limits of a client.
func (l *Limits) queue(clientID string) Queue {
	if len(l.Queues) > 0 {
		if q, ok := l.Queues[clientID]; ok {
			return q
		}
	}
	return Queue{Messages: l.QueueMessages, Bytes: l.QueueBytes}
}

// Access decides who may do what. It is called on the hot path from many
// goroutines and must not block.
type Access interface {
	// Publish: may the client publish to the topic, retained or not?
	Publish(c *Client, topic []byte, qos byte, retain bool) bool
	// Subscribe: may the client subscribe to the filter?
	Subscribe(c *Client, f topic.Filter, qos byte) bool
	// Receive: may the client be sent a message with the topic?
	Receive(c *Client, topic []byte) bool
}

// Unsubscriber is an Access that decides who may give a subscription up. With any
// other everybody may.
type Unsubscriber interface {
	Unsubscribe(c *Client, f topic.Filter) bool
}

// Hub connects publishers and subscribers. Make it with New.
type Hub struct {
	cfg      Config
	store    store.Store
	log      *slog.Logger
	routes   *router.Table[*Client]
	limits   atomic.Pointer[Limits]
	guard    atomic.Pointer[Access]
	asked    atomic.Uint32 // how often Access has changed; see Client.asked
	retained *router.Retained[*message.Message]
	timers   *timer.Wheel
	risen    *sync.Cond // the store's durable ticket has risen
	failed   error      // of the store, for good; guarded by risen.L
	waiting  waiting
	owed     owed
	strays   strays
	seed     maphash.Seed
	shards   [shards]shard
	spare    session.Spare
	params   atomic.Pointer[session.Params] // of the last session; see shareParams

	// retaining keeps store and retained index in the same order, by topic. It may
	// be held when a client's mutex is taken, never the other way round.
	retaining [shards]sync.Mutex

	droppers droppers
	quotas   quotas
	warnings ration.Lines // about clients, by their identifiers

	localsMu sync.Mutex
	locals   []*Local // all that were made; guarded by localsMu

	maxConnected  atomic.Int64
	connected     atomic.Int64
	sessions      atomic.Int64 // in the registry
	expired       atomic.Int64 // sessions that ended by their expiry
	shared        atomic.Int64 // shared subscriptions
	retainedBytes atomic.Int64
}

const shards = 64

// shard is a part of the registry. Its lock may be held when a client's mutex
// is taken, never the other way round.
type shard struct {
	mu      sync.Mutex
	clients map[string]*Client // guarded by mu
}

// New returns a hub without clients; see [Hub.Load].
func New(cfg Config) *Hub {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxLevels == 0 {
		cfg.MaxLevels = topic.DefaultMaxLevels
	}
	h := &Hub{
		cfg: cfg, store: cfg.Store, log: cfg.Log,
		routes:   router.New[*Client](),
		retained: router.NewRetained[*message.Message](),
		timers:   timer.New(cfg.Now),
		seed:     maphash.MakeSeed(),
		risen:    sync.NewCond(new(sync.Mutex)),
		owed:     owed{store: cfg.Store},
	}
	h.strays.hub = h
	h.SetLimits(cfg.Limits)
	h.SetAccess(cfg.Access)
	for i := range h.shards {
		h.shards[i].clients = make(map[string]*Client)
	}
	cfg.Store.OnDurable(h.onDurable)
	return h
}

// SetLimits makes other limits hold. Who is connected keeps the limits of its
// queue.
func (h *Hub) SetLimits(l Limits) { h.limits.Store(&l) }

// SetAccess makes another Access decide from now on. What waits in queues is asked
// about again when it is sent, and subscriptions at the next [Hub.Recheck].
func (h *Hub) SetAccess(a Access) {
	h.guard.Store(&a)
	h.asked.Add(1)
}

// warn logs what a client did, unless it does too much of that.
func (h *Hub) warn(id, what string, attrs ...any) {
	left, ok := h.warnings.Next(id)
	if !ok {
		return
	}
	attrs = append([]any{"client", ration.Cut(id)}, attrs...)
	if left > 0 {
		attrs = append(attrs, "unlogged", left)
	}
	h.log.Warn(what, attrs...)
}

func (h *Hub) access() Access { return *h.guard.Load() }

// Run serves timers until ctx ends. Then it gives the store what it has not taken so
// far, for the last time.
func (h *Hub) Run(ctx context.Context) {
	h.timers.Run(ctx)
	if err := h.owed.settle(); err != nil {
		h.log.Error("store what has ended", "err", err)
	}
	h.strays.end()
}

// Timers is the wheel that the layers above may use too.
func (h *Hub) Timers() *timer.Wheel { return h.timers }

// Now is the hub's clock in unix milliseconds.
func (h *Hub) Now() int64 { return h.cfg.Now() }

// Load takes sessions and retained messages over from the store. It is called
// once, before anything else.
func (h *Hub) Load() error {
	now := h.cfg.Now()
	err := h.store.Retained(func(m *message.Message) bool {
		h.retain(m.Topic, m)
		return true
	})
	if err != nil {
		return err
	}
	var leave departure
	err = h.store.Sessions(func(s *store.SessionInfo) bool {
		h.restore(s, now, &leave)
		return true
	})
	if err != nil {
		return err
	}
	h.with(func(b *transport.Batch) { h.depart(b, &leave) }) // every member is there by now
	return nil
}

func (h *Hub) shard(id string) *shard {
	return &h.shards[maphash.String(h.seed, id)%shards]
}

// Find returns the client with the identifier, nil if there is none.
func (h *Hub) Find(id string) *Client {
	s := h.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[id]
}

// Clients calls yield for a snapshot of all clients, until it returns false.
func (h *Hub) Clients(yield func(*Client) bool) {
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		list := make([]*Client, 0, len(s.clients))
		for _, c := range s.clients {
			list = append(list, c)
		}
		s.mu.Unlock()
		for _, c := range list {
			if !yield(c) {
				return
			}
		}
	}
}

// Local is what one event loop or goroutine keeps for itself: the route cache,
// counters, and memory that is used again. Its transport.Batch carries it.
type Local struct {
	In    packet.Publish      // what the layer that reads packets decodes into
	Pub   message.Publication // the message under way
	Stats Stats               // published by Sync
	// Tracing: details are logged; Sync looks again.
	Tracing bool

	// What a CONNECT under way is made of, for the layer that reads packets.
	Connect packet.Connect
	Connack packet.Connack
	Opening Opening

	hub       *Hub
	cache     *router.Cache[*Client]
	fx        sessionEffects
	published store.Published
	recs      []store.Record
	to        []store.Recipient
	again     []store.Recipient
	moved     store.Done               // the delivery of an ended session that another one gets; Seq 0: none
	taken     *store.WillTaken         // goes into the store with the message under way, a will; nil: nothing does, or it has
	sought    int                      // how often to was searched
	known     map[store.SessionID]bool // the sessions of to; nil while it is searched rarely
	pending   []pending
	changes   changes
	scratch   []byte
	replays   *replays // to use again; nil: none
	reason    string   // why the packet under way is refused, for its acknowledgement
	mounted   []byte   // the topic under way, behind its mount point
	sharing   bool     // a message is being offered to the members of a shared subscription
	pressing  bool     // and none has room
	evicted   int64    // messages given up for newer ones, not yet in Stats
	looks     int      // how many retained topics may still be looked at; see mostLooks
	swept     int64    // unix ms of the last look at the route cache
	total     Counters
}

// NewLocal makes the Local of a new batch.
func (h *Hub) NewLocal() any {
	l := &Local{hub: h, cache: router.NewCache(h.routes, 0), Tracing: h.Tracing(), looks: mostLooks}
	h.localsMu.Lock()
	h.locals = append(h.locals, l)
	h.localsMu.Unlock()
	return l
}

// LocalOf returns what b carries for the hub.
func LocalOf(b *transport.Batch) *Local { return b.Local.(*Local) }

func local(b *transport.Batch) *Local { return LocalOf(b) }

// with lends a batch to f.
func (h *Hub) with(f func(b *transport.Batch)) {
	b := h.cfg.Batch()
	f(b)
	local(b).Sync(b.Now)
	h.cfg.Release(b)
}
