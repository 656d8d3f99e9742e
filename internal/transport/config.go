package transport

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/nightjarmq/nightjar/internal/budget"
)

// Handler is what a connection's bytes are given to. All calls for one
// connection come one at a time. The batch may be another one in every call:
// connections move between loops.
type Handler interface {
	// Feed takes what has arrived and was not consumed yet. data is borrowed
	// until return and may be changed. Feed returns how many bytes it consumed;
	// the rest is presented again, followed by more, when more arrives or when
	// the connection is resumed after a Pause. An error closes the connection as
	// Close would.
	Feed(b *Batch, data []byte) (n int, err error)

	// Drained says that the output buffer fell below half its limit after Send
	// returned false for lack of room, or after WantDrain.
	Drained(b *Batch)

	// Closed is the last call, exactly once. err says why: io.EOF when the peer
	// closed, the error of Feed, the cause given to Close, ErrWriteTimeout or
	// what the operating system reported. Bytes that were sent before may still
	// be on their way to the peer.
	Closed(b *Batch, err error)
}

var (
	// ErrWriteTimeout: the peer took no byte for Config.WriteTimeout.
	ErrWriteTimeout = errors.New("the peer takes no more data")
	// ErrPeerDone, as the error of Feed: the peer has said that it sends nothing
	// more and wants nothing more, so that its socket is closed without waiting.
	ErrPeerDone = errors.New("the peer has ended the conversation")
	// ErrServerClosed: the context of Run ended.
	ErrServerClosed = errors.New("the server stops")
	// ErrKicked: an administrator ended the connection.
	ErrKicked = errors.New("disconnected by an administrator")
	// ErrListenerClosed: the listener was closed together with its connections.
	ErrListenerClosed = errors.New("the listener was closed")
	// ErrTLSOnPlain: the first bytes are a TLS handshake.
	ErrTLSOnPlain = errors.New("TLS on a plain listener")
	// ErrHTTPOnPlain: the first bytes are an HTTP request.
	ErrHTTPOnPlain = errors.New("HTTP on a plain listener: WebSocket clients need a WebSocket listener")
	// ErrPlainOnTLS: the first bytes are not a TLS handshake.
	ErrPlainOnTLS = errors.New("no TLS on a TLS listener")
	// ErrHandshakeTimeout: TLS handshake or WebSocket upgrade did not end in time.
	ErrHandshakeTimeout = errors.New("TLS handshake or WebSocket upgrade took too long")
)

// Config is what all listeners of a Server share. The zero value of every field
// but NewHandler is useful.
type Config struct {
	// NewHandler makes the handler of a connection that is ready to carry the
	// protocol above: accepted, TLS handshake done, WebSocket upgraded. It runs
	// where the handler will run and may Send.
	NewHandler func(c *Conn, b *Batch) Handler

	// NewLocal makes the value of Batch.Local for a new batch; nil leaves it nil.
	NewLocal func() any

	// Loops bounds the number of event loops; 0 means GOMAXPROCS. Under light
	// load all connections gather on one loop, which is cheaper than several.
	Loops int

	// MaxConnections bounds the connections of all listeners together; 0 means no
	// limit.
	MaxConnections int

	// OutLimit is the number of bytes that may wait in the output buffer of one
	// connection; 0 means 1 MiB.
	OutLimit int

	// Budget, when set, is shared by the output of all connections that wait for
	// their peers; what one may buffer is its share, OutLimit at the most.
	Budget *budget.Budget

	// ReadBuffer is the most bytes read from one connection in one turn; 0 means
	// 64 KiB.
	ReadBuffer int

	// WriteTimeout ends a connection whose peer takes nothing for so long while
	// bytes are waiting; 0 means 30 s.
	WriteTimeout time.Duration

	// CloseTimeout is how long a closed connection may take to accept what is
	// buffered and to close its side; 0 means 3 s.
	CloseTimeout time.Duration

	// HandshakeTimeout bounds TLS handshake and WebSocket upgrade together; 0
	// means 10 s.
	HandshakeTimeout time.Duration

	// Goroutines serves every connection by the goroutine engine, also where
	// event loops exist.
	Goroutines bool

	// Now is the wall clock; nil means time.Now. It is read once: later times
	// are this one plus what the monotonic clock says has passed.
	Now func() time.Time

	// Log takes what no caller can be told: refused handshakes, accept errors.
	// nil means silence.
	Log *slog.Logger
}

// ListenerConfig says where and how to listen.
type ListenerConfig struct {
	Name    string // for logs and Listener.Name; "" means the address
	Network string // "tcp", "tcp4", "tcp6" or "unix"; "" means "tcp"
	Address string // host:port, or the path of a Unix socket

	// Listener, when set, is used instead of Network and Address (socket
	// activation, tests). The Server owns it from then on.
	Listener net.Listener
	// Unlink removes the file of a Unix socket in the end, although Listener is set.
	Unlink bool

	// Device, when set, is the only network device to listen on; Linux only.
	Device string

	// Proxy, when set, is the PROXY protocol that every connection begins with.
	Proxy Proxy

	// TLS, when set, gives the configuration of the next handshake, so that
	// certificates can change while running. It is called once per connection.
	TLS func() *tls.Config

	WebSocket     bool
	WebSocketPath string   // "" accepts any path
	Subprotocols  []string // one of these must be offered; none means any
	// AllowedOrigins are the values of the Origin header (scheme://host[:port])
	// that may connect, "*" for all; empty allows every origin.
	AllowedOrigins []string
	// HTTP, when set, serves requests on a WebSocket listener that do not ask
	// for an upgrade.
	HTTP http.Handler
	// NoUpgrade gives every request to HTTP.
	NoUpgrade bool

	MaxHeader      int         // bytes of a request's head; 0 means 8 KiB
	UnixMode       os.FileMode // permissions of the Unix socket; 0 leaves the umask's
	MaxConnections int         // 0 means no limit
	Backlog        int         // 0 means the system's

	// Data is for the layer above; see Listener.Data.
	Data any
}
