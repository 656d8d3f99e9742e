package conn

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/ration"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Config is what all connections of a broker share.
type Config struct {
	Hub *hub.Hub
	Log *slog.Logger // nil: silence

	// Auth decides who may connect, at first; nil lets everybody in whom
	// ListenerConfig.Anonymous lets in.
	Auth    Authenticator
	Methods []Method // of enhanced authentication

	// Batch and Release lend a batch to the timer.
	Batch   func() *transport.Batch
	Release func(*transport.Batch)

	ConnectTimeout int64 // milliseconds until CONNECT must be complete; 0: 10 s
	MaxConnect     int   // bytes of a CONNECT packet; 0: 64 KiB
	ResponseInfo   func(clientID string) string
}

// Limits are what may differ by listener; they are the transport listener's Data
// and do not change. A connection keeps those that it began with.
type Limits struct {
	Anonymous bool    // connect without a user name
	Versions  [6]bool // which protocol versions are refused

	MaxPacket      int    // bytes of any packet but CONNECT; 0: no limit but the protocol's
	MaxKeepAlive   uint16 // seconds; 0: no limit
	MaxExpiry      uint32 // seconds of Session Expiry; 0: no limit
	MaxQoS         byte   // 0, 1 or 2, of what clients publish
	MaxGranted     byte   // 0, 1 or 2, of subscriptions
	ReceiveMaximum uint16 // 0: 65535
	Lenient        bool   // a client that exceeds it is served
	ConnectRate    int    // CONNECTs a second from one address, ten times as many at once; 0: no limit
	TopicAliases   uint16 // inbound, per connection
	SendAliases    uint16 // outbound, at most what the client allows
	MaxInflight    uint16 // outbound, at most what the client allows; 0: 1000, and 20 before 5.0
	InflightBytes  int    // outbound; 0: no limit
	RetainOff      bool
	EmptyClientID  bool   // an empty client identifier is replaced by one of ours
	ClientIDPrefix string // of those

	// MountPoint is put before every topic of the clients.
	MountPoint string
	// UserIsClientID replaces the client identifier by the user name.
	UserIsClientID bool
}

func (l *Limits) maxPacket() int {
	if l.MaxPacket == 0 {
		return packet.MaxVarint + 5
	}
	return l.MaxPacket
}

func (l *Limits) receiveMaximum() uint16 { return cmp.Or(l.ReceiveMaximum, 65535) }

// Server makes the handlers of a broker's connections.
type Server struct {
	cfg Config
	log *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	auth   atomic.Pointer[Authenticator]
	wg     sync.WaitGroup // authentications under way
	faults ration.Lines   // about clients that did wrong, by their address
	rates  ration.Rate    // of CONNECTs, by address
}

// NewServer returns a Server; Close ends what it started.
func NewServer(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10_000
	}
	if cfg.MaxConnect == 0 {
		cfg.MaxConnect = 64 << 10
	}
	s := &Server{cfg: cfg, log: cfg.Log, faults: ration.Lines{AtOnce: 20}} // many devices may share an address
	s.SetAuth(cfg.Auth)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// SetAuth makes another Authenticator decide about who connects from now on.
func (s *Server) SetAuth(a Authenticator) { s.auth.Store(&a) }

// Close ends authentications that are under way and waits for them.
func (s *Server) Close() {
	s.cancel()
	s.wg.Wait()
}

// Handler makes the handler of a connection that was just accepted.
func (s *Server) Handler(tc *transport.Conn, b *transport.Batch) transport.Handler {
	c := &Conn{srv: s, lim: tc.Listener().Data().(*Limits)}
	c.Conn, c.Mount, c.MaxQoS = tc, c.lim.MountPoint, c.lim.MaxGranted
	c.logNew()
	s.cfg.Hub.Timers().Schedule(&c.timer, c, b.Now+s.cfg.ConnectTimeout)
	return c
}
