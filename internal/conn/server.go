package conn

import (
	"context"
	"log/slog"
	"sync"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Config is what all connections of a broker share.
type Config struct {
	Hub *hub.Hub
	Log *slog.Logger // nil: silence

	// Auth decides who may connect; nil lets everybody in whom
	// ListenerConfig.Anonymous lets in.
	Auth    Authenticator
	Methods []Method // of enhanced authentication

	// Batch and Release lend a batch to the timer.
	Batch   func() *transport.Batch
	Release func(*transport.Batch)

	ConnectTimeout int64  // milliseconds until CONNECT must be complete; 0: 10 s
	MaxConnect     int    // bytes of a CONNECT packet; 0: 64 KiB
	MaxPacket      int    // bytes of any other packet; 0: no limit but the protocol's
	MaxKeepAlive   uint16 // seconds; 0: no limit
	MaxExpiry      uint32 // seconds of Session Expiry; 0: no limit
	MaxQoS         byte   // 0, 1 or 2
	ReceiveMaximum uint16 // 0: 65535
	TopicAliases   uint16 // inbound, per connection
	MaxInflight    uint16 // outbound, at most what the client allows; 0: 1000, and 20 before 5.0
	RetainOff      bool
	EmptyClientID  bool   // an empty client identifier is replaced by one of ours
	ClientIDPrefix string // of those
	ResponseInfo   func(clientID string) string
}

// Limits are what differs by listener; they are the transport listener's Data.
type Limits struct {
	Anonymous bool // connect without a user name
	MaxQoS    byte
	Versions  [6]bool // which protocol versions are refused
}

// Server makes the handlers of a broker's connections.
type Server struct {
	cfg Config
	log *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // authentications under way
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
	if cfg.MaxPacket == 0 {
		cfg.MaxPacket = packet.MaxVarint + 5
	}
	if cfg.ReceiveMaximum == 0 {
		cfg.ReceiveMaximum = 65535
	}
	s := &Server{cfg: cfg, log: cfg.Log}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close ends authentications that are under way and waits for them.
func (s *Server) Close() {
	s.cancel()
	s.wg.Wait()
}

// Handler makes the handler of a connection that was just accepted.
func (s *Server) Handler(tc *transport.Conn, b *transport.Batch) transport.Handler {
	c := &Conn{srv: s}
	c.Conn = tc
	s.cfg.Hub.Timers().Schedule(&c.timer, c, b.Now+s.cfg.ConnectTimeout)
	return c
}
