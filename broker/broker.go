package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nightjarmq/nightjar/internal/budget"
	"github.com/nightjarmq/nightjar/internal/conn"
	"github.com/nightjarmq/nightjar/internal/control"
	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/disk"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Broker is an MQTT broker. Make it with [New].
type Broker struct {
	cfg     Config
	log     *slog.Logger
	store   store.Store
	hub     *hub.Hub
	conns   *conn.Server
	net     *transport.Server
	clock   *clock
	now     func() int64 // the clock's
	sys     *sys
	control *control.Server // nil: not asked for
	output  *budget.Budget  // what waits for peers; nil: no limit
	queues  *budget.Budget  // what waits in memory for windows; nil: no limit

	commands chan Command // for carry
	running  atomic.Bool  // Run has begun and was not told to end

	reloading sync.Mutex // held by Reload; the first of all locks
	mu        sync.Mutex // guards what follows
	live      Config     // what holds; cfg is what the broker was started with
	bound     []*transport.Listener
	pipe      *transport.Listener // for Pipe
}

// New makes a broker and binds its listeners; they accept once Run runs. An
// error names the listener and says what to do.
func New(cfg Config) (*Broker, error) {
	b := &Broker{cfg: cfg, commands: make(chan Command, maxCommands), log: cfg.Log}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	opened, err := b.bindNew(cfg.Listeners)
	if err == nil && cfg.Bound != nil {
		err = cfg.Bound()
	}
	if err == nil {
		err = b.openStore()
	}
	if err != nil {
		return nil, errors.Join(err, closeAll(opened))
	}
	if err := b.assemble(opened); err != nil {
		b.closeListeners()
		return nil, errors.Join(err, closeAll(opened), b.store.Close())
	}
	if s, ok := b.store.(*disk.Store); ok && cfg.Control {
		b.control = control.Listen(cfg.Data, s, b.log)
		b.control.Explain = cfg.Explain
	}
	return b, nil
}

func (b *Broker) openStore() (err error) {
	if b.cfg.Data == "" {
		b.store = store.NewMemory()
		return nil
	}
	b.store, err = disk.Open(b.cfg.Data, disk.Options{
		Durability: b.cfg.Durability, Log: b.log, Progress: b.cfg.Progress,
	})
	return advise(err)
}

// advise says what to do about a store that cannot be opened.
func advise(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w (the directory and all in it must belong to the user of the broker; or choose another one)", err)
	case errors.Is(err, disk.ErrLocked):
		return fmt.Errorf("%w: stop that process, or choose another directory", err)
	case errors.Is(err, disk.ErrNewer):
		return fmt.Errorf("%w (nothing was changed: start that version, or choose another directory)", err)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w (the disk fails, so nothing was changed: copy the directory to a sound disk and start there)", err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w (the broker must write there: mount it writable, or choose another directory)", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w (the disk is full: make room and start again)", err)
	}
	return err
}

// assemble joins the parts and binds the listeners.
func (b *Broker) assemble(opened []net.Listener) error {
	cfg := &b.cfg
	b.clock = newClock(cfg.wall, b.store, b.log)
	b.now = b.clock.now
	b.output, b.queues = cfg.budget(), cfg.budget()
	b.net = transport.New(transport.Config{
		NewHandler:     func(c *transport.Conn, batch *transport.Batch) transport.Handler { return b.conns.Handler(c, batch) },
		NewLocal:       func() any { return b.hub.NewLocal() },
		Loops:          cfg.Loops,
		OutLimit:       cfg.OutputLimit,
		Budget:         b.output,
		MaxConnections: cfg.connections(openFiles()),
		Log:            b.log,
		Now:            func() time.Time { return time.UnixMilli(b.now()) },
	})
	b.hub = hub.New(hub.Config{
		Store: b.store, Now: b.now, Log: b.log, Access: cfg.Access, Command: b.takeCommand,
		Batch: b.net.Batch, Release: b.net.ReleaseBatch, Budget: b.queues,
		Limits: cfg.hubLimits(), MaxLevels: cfg.MaxTopicLevels,
	})
	b.conns = conn.NewServer(b.connConfig())
	b.sys = newSys(b)
	if err := b.hub.Load(); err != nil {
		return fmt.Errorf("load the store: %w", err)
	}
	var err error
	b.pipe, err = b.net.Listen(transport.ListenerConfig{Name: "in-process", Network: "pipe", Data: cfg.limits(&Listener{Anonymous: true})})
	if err != nil {
		return err
	}
	list, bound, _, err := b.place(cfg, opened)
	b.live, b.bound = *cfg, bound
	b.live.Listeners = list
	return err
}

func (b *Broker) connConfig() conn.Config {
	cfg := &b.cfg
	return conn.Config{
		Hub: b.hub, Log: b.log, Auth: cfg.Auth, Methods: cfg.Methods,
		Batch: b.net.Batch, Release: b.net.ReleaseBatch,
		ConnectTimeout: cfg.ConnectTimeout.Milliseconds(),
		ResponseInfo:   cfg.ResponseInformation,
	}
}

// Addrs returns the addresses that the listeners are bound to, in the order of
// Config.Listeners.
func (b *Broker) Addrs() []net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	addrs := make([]net.Addr, len(b.bound))
	for i, l := range b.bound {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Run serves until ctx ends. Then it tells 5.0 clients that it is shutting down,
// closes all connections and the store, and returns when everything has ended.
func (b *Broker) Run(ctx context.Context) error {
	netCtx, stopNet := context.WithCancel(context.Background())
	workCtx, stopWork := context.WithCancel(context.Background())
	defer stopNet()
	defer stopWork()
	var work sync.WaitGroup
	work.Go(func() { b.hub.Run(workCtx) })
	work.Go(func() { b.carry(workCtx) })
	work.Go(func() { b.clock.run(workCtx) })
	if b.cfg.SysInterval >= 0 {
		b.sys.begin(workCtx)
		work.Go(func() { b.sys.run(workCtx, cmp.Or(b.cfg.SysInterval, 10*time.Second)) })
	}
	if b.control != nil {
		work.Go(func() { b.control.Serve(workCtx) })
	}
	b.running.Store(true) // before anybody is served
	defer b.running.Store(false)
	served := make(chan error, 1)
	work.Go(func() { served <- b.net.Run(netCtx) })
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		b.log.Info("stopping")
		b.running.Store(false)
		b.goodbye()
		stopNet()
		err = <-served
	}
	b.conns.Close()
	stopWork()
	work.Wait()
	cerr := b.store.Close()
	if errors.Is(cerr, syscall.ENOSPC) {
		cerr = fmt.Errorf("%w (the disk is full: what was acknowledged is stored, and nothing else; make room before the next start)", cerr)
	}
	if err == nil {
		err = cerr
	}
	return err
}

// goodbye tells every client that the broker stops. [MQTT-3.14.0-1]
func (b *Broker) goodbye() {
	b.closeListeners()
	batch := b.net.Batch()
	b.hub.Clients(func(c *hub.Client) bool {
		if l := c.Link(); l != nil {
			l.Kick(batch, packet.ServerShuttingDown, "", transport.ErrServerClosed)
		}
		return true
	})
	b.net.ReleaseBatch(batch)
}

func (b *Broker) closeListeners() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.bound {
		l.Close()
	}
}

// Listening is a listener and the address that it is bound to.
type Listening struct {
	Listener
	Addr net.Addr
}

// Listening returns the listeners with their addresses as they are at one moment, in the order of Config.Listeners.
func (b *Broker) Listening() []Listening {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Listening, len(b.bound))
	for i, l := range b.bound {
		list[i] = Listening{b.live.Listeners[i], l.Addr()}
	}
	return list
}

// Listeners returns the configured listeners, in the order of Addrs. Those may be
// of another moment; see Listening.
func (b *Broker) Listeners() []Listener {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live.Listeners
}

// Data returns the directory of the store, "" if there is none.
func (b *Broker) Data() string { return b.cfg.Data }

// Dropped counts what was dropped for a client since its session began, or this
// broker did, by cause: "queue full", "expired" and others.
func (b *Broker) Dropped(clientID string) map[string]int64 {
	all := make(map[string]int64)
	if c := b.hub.Find(clientID); c != nil {
		dropped := c.Dropped()
		for _, cause := range hub.Causes() {
			all[cause.String()] = dropped[cause]
		}
	}
	return all
}

// Queued counts the messages that wait for a client or are not acknowledged by
// it, and the bytes of those that wait.
func (b *Broker) Queued(clientID string) (messages int, bytes int64) {
	c := b.hub.Find(clientID)
	if c == nil {
		return 0, 0
	}
	n, size := c.Queued()
	return n, int64(size)
}
