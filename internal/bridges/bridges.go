package bridges

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/bridge"
	"github.com/nightjarmq/nightjar/internal/config"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// home is the broker as its bridges see it.
type home struct{ b *broker.Broker }

func (h home) Pipe() (net.Conn, error) { return h.b.Pipe() }

func (h home) Queued(clientID string) (int, int64) { return h.b.Queued(clientID) }

func (h home) Tell(ctx context.Context, name string, payload []byte) error {
	return h.b.Publish(ctx, broker.Message{Topic: name, Payload: payload, Retain: true})
}

// Bridges are the bridges of a broker. Make it with New.
type Bridges struct {
	log    *slog.Logger
	change chan Plan     // to the loop of Run
	ended  chan struct{} // closed when that has ended

	mu   sync.Mutex
	b    *broker.Broker      // guarded by mu
	live map[string]*running // guarded by mu; by name
}

// running is a bridge while it runs.
type running struct {
	*bridge.Bridge
	block config.Bridge
	stop  context.CancelFunc
	ended chan struct{}
}

// Plan is what a configuration file says about bridges.
type Plan []planned

type planned struct {
	block config.Bridge
	c     bridge.Config
}

// New makes the bridges of a broker, none at first.
func New(log *slog.Logger) *Bridges {
	return &Bridges{log: log, change: make(chan Plan), ended: make(chan struct{}), live: make(map[string]*running)}
}

// Plan reads what c says, and changes nothing.
func (s *Bridges) Plan(b *broker.Broker, c *config.Config) (list Plan, err error) {
	if c == nil || len(c.Bridges) == 0 {
		return nil, nil
	}
	id, err := brokerID(b.Data())
	if err != nil {
		return nil, fmt.Errorf("name the broker to its bridges: %w", err)
	}
	for i := range c.Bridges {
		bc, err := convert(&c.Bridges[i], id)
		if err != nil {
			return nil, err
		}
		list = append(list, planned{c.Bridges[i], bc})
	}
	return list, nil
}

// Run starts the bridges of the plan. The broker is to serve while the returned context lasts: that is until ctx ends and the
// bridges have said goodbye. end ends them, and waits for that.
func (s *Bridges) Run(ctx context.Context, b *broker.Broker, list Plan) (serving context.Context, end func()) {
	s.mu.Lock()
	s.b = b
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(s.ended)
		defer stop()
		for {
			s.apply(ctx, list)
			select {
			case <-ctx.Done():
				s.apply(ctx, nil)
				return
			case list = <-s.change:
			}
		}
	}()
	return serving, func() {
		cancel()
		<-s.ended
	}
}

// Change makes another plan hold: bridges that are missing in it end, with their sessions here; what is new or differs
// starts.
func (s *Bridges) Change(list Plan) {
	select {
	case s.change <- list:
	case <-s.ended:
	}
}

// apply ends and starts bridges. When ctx has ended it only ends, and sessions stay.
func (s *Bridges) apply(ctx context.Context, list Plan) {
	wanted := map[string]*planned{}
	for i := range list {
		wanted[list[i].block.Name] = &list[i]
	}
	s.mu.Lock()
	live := maps.Clone(s.live)
	s.mu.Unlock()
	var gone []*running
	for name, r := range live {
		if w := wanted[name]; w != nil && same(&w.block, &r.block) && ctx.Err() == nil {
			delete(wanted, name)
			continue
		}
		r.stop()
		gone = append(gone, r)
	}
	for _, r := range gone {
		<-r.ended
		s.mu.Lock()
		delete(s.live, r.block.Name)
		s.mu.Unlock()
		w := wanted[r.block.Name]
		if ctx.Err() == nil && (w == nil || w.block.LocalClientID != r.block.LocalClientID) {
			if err := r.Forget(ctx); err != nil {
				s.log.Warn("the session of a bridge that is gone", "bridge", r.block.Name, "err", err)
			}
		}
	}
	for i := range list {
		if w := wanted[list[i].block.Name]; w != nil && ctx.Err() == nil {
			s.start(ctx, w)
		}
	}
}

func (s *Bridges) start(ctx context.Context, w *planned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, stop := context.WithCancel(ctx)
	r := &running{
		Bridge: bridge.New(w.c, home{s.b}, s.log.With("configured", w.block.Pos.String())),
		block:  w.block, stop: stop, ended: make(chan struct{}),
	}
	s.live[w.block.Name] = r
	go func() {
		defer close(r.ended)
		r.Bridge.Run(own)
	}()
}

// same reports whether two blocks mean the same, wherever they stand.
func same(a, b *config.Bridge) bool {
	x, y := *a, *b
	x.Pos, y.Pos = config.Pos{}, config.Pos{}
	return reflect.DeepEqual(x, y)
}

// WriteMetrics writes what the bridges do, in the text format of Prometheus.
func (s *Bridges) WriteMetrics(w io.Writer) {
	s.mu.Lock()
	live, b := maps.Clone(s.live), s.b
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(live)) {
		st := live[name].State()
		up := int64(0)
		if st.State == "connected" {
			up = 1
		}
		gauge := func(metric string, v int64) {
			metrics.WriteGaugeUint64(w, fmt.Sprintf("nightjar_bridge_%s{bridge=%q}", metric, name), uint64(max(v, 0)))
		}
		counter := func(metric, labels string, v int64) {
			metrics.WriteCounterUint64(w, fmt.Sprintf("nightjar_bridge_%s_total{bridge=%q%s}", metric, name, labels), uint64(v))
		}
		gauge("connected", up)
		gauge("queue_messages", int64(st.Queued))
		gauge("queue_bytes", st.QueuedBytes)
		counter("sent", "", st.Sent)
		counter("received", "", st.Received)
		counter("dropped", `,direction="out"`, st.DroppedOut)
		counter("dropped", `,direction="in"`, st.DroppedIn)
		counter("refused", "", st.Refused)
		gauge("stuck", st.Stuck)
		for _, cause := range []string{"queue full", "expired"} {
			counter("queue_dropped", fmt.Sprintf(",cause=%q", cause), b.Dropped(live[name].block.LocalClientID)[cause])
		}
		metrics.WriteGaugeUint64(w, fmt.Sprintf("nightjar_bridge_state{bridge=%q,state=%q}", name, st.State), 1)
	}
}

// Queues say how messages wait for the bridges of c here.
func Queues(c *config.Config) map[string]broker.Queue {
	all := map[string]broker.Queue{}
	for i := range c.Bridges {
		b := &c.Bridges[i]
		q := broker.Queue{Messages: b.QueueMessages, Bytes: b.QueueBytes, Age: b.QueueExpiry, LiveFirst: b.LiveFirst}
		if b.LiveFirst {
			q.PastRate = b.Rate
		}
		if q != (broker.Queue{}) {
			all[b.LocalClientID] = q
		}
	}
	return all
}

// brokerID names the broker to others, for as long as its data lasts.
func brokerID(data string) (string, error) {
	if data == "" {
		return rand.Text(), nil
	}
	path := filepath.Join(data, "broker.id")
	b, err := os.ReadFile(path)
	if err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := rand.Text()
	return id, os.WriteFile(path, []byte(id+"\n"), 0o600)
}

// convert carries a block of the file over.
func convert(b *config.Bridge, id string) (bridge.Config, error) {
	c := bridge.Config{
		Name: b.Name, ID: id, Version: packet.Version(b.Version),
		RemoteClientID: b.RemoteClientID, Username: b.RemoteUsername,
		LocalClientID: b.LocalClientID, LocalUsername: b.LocalUsername,
		CleanStart: b.CleanStart, LocalCleanStart: b.LocalCleanStart, KeepAlive: b.KeepAlive,
		SessionExpiry: uint32(min(b.SessionExpiry/time.Second, math.MaxUint32)), ReceiveMaximum: uint16(b.ReceiveMaximum),
		MaxPacketSize: b.MaxPacketSize, RoundRobin: b.RoundRobin,
		Start:     map[string]bridge.Start{"lazy": bridge.Lazy, "once": bridge.Once}[b.Start],
		Threshold: b.Threshold, IdleTimeout: b.IdleTimeout,
		Restart: bridge.Backoff{Base: b.Restart.Base, Cap: b.Restart.Cap, Stable: b.Restart.Stable},
		Private: b.TryPrivate, Unsubscribe: b.Unsubscribe, OutgoingRetain: b.OutgoingRetain,
		Notify: b.Notifications, NotifyLocal: b.LocalNotify, NotifyTopic: b.NotifyTopic,
		MaxHops: b.MaxHops,
	}
	if !b.LiveFirst { // else what has waited is slowed down where it waits, and nothing here
		c.Rate = b.Rate
	}
	if b.RemotePassword != "" {
		c.Password = []byte(b.RemotePassword)
	}
	for _, a := range b.Addresses {
		c.Servers = append(c.Servers, bridge.Server{Address: net.JoinHostPort(a.Host, strconv.Itoa(a.Port))})
	}
	c.Topics = topics(b)
	if b.BindAddress != "" {
		ip, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(b.BindAddress, "0"))
		if err != nil {
			return c, &config.Error{Pos: b.Pos, Word: "bridge_bind_address", Msg: err.Error(), Fix: "write an address of this machine"}
		}
		c.Dialer.LocalAddr = ip
	}
	if k := b.TCPKeepAlive; k.Idle > 0 {
		c.Dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: k.Idle, Interval: k.Interval, Count: k.Count}
	}
	if b.UserTimeout > 0 {
		limitSilence(&c.Dialer, b.UserTimeout)
	}
	var err error
	c.TLS, err = config.BridgeTLSConfig(b)
	return c, err
}

func topics(b *config.Bridge) (list []bridge.Topic) {
	for _, t := range b.Topics {
		list = append(list, bridge.Topic{
			Pattern: t.Pattern, Out: t.Direction != config.In, In: t.Direction != config.Out, QoS: t.QoS,
			LocalPrefix: t.LocalPrefix, RemotePrefix: t.RemotePrefix,
		})
	}
	return list
}

// inProcess is the listener of the clients in this process, and user the user that they are: no other client can
// have a name with a NUL [MQTT-1.5.4-2].
const (
	inProcess = "in-process"
	User      = "\x00bridge" // what bridges are called here; no client can have this name
)

// Gate is an Authenticator that lets the bridges in without a password.
type Gate struct{ broker.Authenticator }

func (g Gate) Authenticate(ctx context.Context, a *broker.Attempt) (string, error) {
	if a.Listener == inProcess {
		return User, nil
	}
	return g.Authenticator.Authenticate(ctx, a)
}

// Access is another Access that lets the bridges do what their topics say: the access control list is about clients, as in Mosquitto.
type Access struct{ broker.Access }

func (p Access) Publish(c *broker.Client, name []byte, qos byte, retain bool) bool {
	return c.User == User || p.Access.Publish(c, name, qos, retain)
}

func (p Access) Subscribe(c *broker.Client, f topic.Filter, qos byte) bool {
	return c.User == User || p.Access.Subscribe(c, f, qos)
}

func (p Access) Receive(c *broker.Client, name []byte) bool {
	return c.User == User || p.Access.Receive(c, name)
}
