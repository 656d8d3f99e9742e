package transport

import (
	"context"
	"crypto/tls"
	"net"
)

// Conn is one connection. All methods may be called from any goroutine.
type Conn struct{ l *Listener }

// Send appends a copy of p to the output buffer and notes the connection in b,
// whose Flush writes it. It reports false, and nothing was appended, when the
// connection is closed or the buffer would exceed its limit; in the latter case
// the handler gets Drained. An empty buffer accepts a p of any length.
func (c *Conn) Send(b *Batch, p []byte) bool { return false }

// Send2 is Send of head and tail together, without joining them first.
func (c *Conn) Send2(b *Batch, head, tail []byte) bool { return false }

// SendControl is Send for small packets that must get through a full buffer
// (acknowledgements, the last packet before Close): it may exceed the limit by
// 64 KiB.
func (c *Conn) SendControl(b *Batch, p []byte) bool { return false }

// Buffered returns the number of bytes sent that the system did not take yet.
func (c *Conn) Buffered() int { return 0 }

// WantDrain asks for one call of Drained, as soon as less than half of the
// limit is buffered.
func (c *Conn) WantDrain() {}

// Close ends the connection: nothing more is read or accepted by Send, what is
// buffered goes out as far as the peer takes it within Config.CloseTimeout.
// Handler.Closed follows, never from within Close. The first cause wins.
func (c *Conn) Close(cause error) {}

// Pause stops reading; Resume continues, and presents again what Feed left.
func (c *Conn) Pause() {}

// Resume undoes Pause.
func (c *Conn) Resume() {}

// RemoteAddr returns the peer's address, "host:port" or "unix".
func (c *Conn) RemoteAddr() string { return "" }

// LocalAddr returns the own address of the connection.
func (c *Conn) LocalAddr() string { return "" }

// Listener returns the listener that accepted the connection.
func (c *Conn) Listener() *Listener { return c.l }

// TLSState returns the state of the TLS session, nil when there is none.
func (c *Conn) TLSState() *tls.ConnectionState { return nil }

// Batch gathers the connections that were sent to while one batch of input was
// handled. One goroutine at a time uses it.
type Batch struct {
	// Now is the time in unix milliseconds at which the batch began, from a
	// clock that never jumps.
	Now int64
	// Local belongs to the layer above; it stays with the batch.
	Local any
}

// Flush writes once to every connection that was sent to. It never blocks.
func (b *Batch) Flush() {}

// Server accepts connections and runs them.
type Server struct{}

// New returns a Server that does nothing before Run.
func New(cfg Config) *Server { return &Server{} }

// Listen binds at once; connections are accepted while Run runs.
func (s *Server) Listen(cfg ListenerConfig) (*Listener, error) { return nil, nil }

// Run serves until ctx ends, then closes all listeners and connections and
// returns when they are gone. It runs once.
func (s *Server) Run(ctx context.Context) error { return nil }

// Batch lends a batch to a caller outside of a handler. Give it back with
// ReleaseBatch.
func (s *Server) Batch() *Batch { return nil }

// ReleaseBatch flushes b and takes it back.
func (s *Server) ReleaseBatch(b *Batch) {}

// Pipe returns one end of a connection inside this process; the other end is
// served like one that l accepted.
func (s *Server) Pipe(ctx context.Context, l ListenerConfig) (net.Conn, error) { return nil, nil }

// Listener is a bound address.
type Listener struct{}

// Name returns ListenerConfig.Name.
func (l *Listener) Name() string { return "" }

// Addr returns the bound address.
func (l *Listener) Addr() net.Addr { return nil }

// Data returns ListenerConfig.Data.
func (l *Listener) Data() any { return nil }

// Connections returns how many connections it has now.
func (l *Listener) Connections() int { return 0 }

// Close stops accepting. Connections stay.
func (l *Listener) Close() error { return nil }

// CloseConnections closes what the listener accepted.
func (l *Listener) CloseConnections(cause error) {}
