package bridges

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

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

// Run starts the bridges of c. The broker is to serve while the returned context lasts: that is until ctx ends and the
// bridges have said goodbye. end ends them, and waits for that.
func Run(ctx context.Context, b *broker.Broker, c *config.Config, log *slog.Logger) (serving context.Context, end func(), err error) {
	if c == nil || len(c.Bridges) == 0 {
		return ctx, func() {}, nil
	}
	id, err := brokerID(b.Data())
	if err != nil {
		return ctx, nil, fmt.Errorf("name the broker to its bridges: %w", err)
	}
	var list []*bridge.Bridge
	for i := range c.Bridges {
		bc, err := convert(&c.Bridges[i], id)
		if err != nil {
			return ctx, nil, err
		}
		list = append(list, bridge.New(bc, home{b}, log))
	}
	ctx, cancel := context.WithCancel(ctx)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	for _, b := range list {
		work.Go(func() { b.Run(ctx) })
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		work.Wait()
		<-ctx.Done()
		stop()
	}()
	return serving, func() {
		cancel()
		<-ended
	}, nil
}

// Queues are the limits of what waits for the bridges of c here.
func Queues(c *config.Config) map[string]broker.Queue {
	all := map[string]broker.Queue{}
	for i := range c.Bridges {
		b := &c.Bridges[i]
		if q := (broker.Queue{Messages: b.QueueMessages, Bytes: b.QueueBytes, Age: b.QueueExpiry}); q != (broker.Queue{}) {
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
		MaxHops: b.MaxHops, Rate: b.Rate,
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
	user      = "\x00bridge"
)

// Gate is an Authenticator that lets the bridges in without a password.
type Gate struct{ broker.Authenticator }

func (g Gate) Authenticate(ctx context.Context, a *broker.Attempt) (string, error) {
	if a.Listener == inProcess {
		return user, nil
	}
	return g.Authenticator.Authenticate(ctx, a)
}

// Access is another Access that lets the bridges do what their topics say: the access control list is about clients, as in Mosquitto.
type Access struct{ broker.Access }

func (p Access) Publish(c *broker.Client, name []byte, qos byte, retain bool) bool {
	return c.User == user || p.Access.Publish(c, name, qos, retain)
}

func (p Access) Subscribe(c *broker.Client, f topic.Filter, qos byte) bool {
	return c.User == user || p.Access.Subscribe(c, f, qos)
}

func (p Access) Receive(c *broker.Client, name []byte) bool {
	return c.User == user || p.Access.Receive(c, name)
}
