package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// webServer serves HTTP requests that came to a WebSocket listener.
type webServer struct {
	server   *http.Server
	incoming chan net.Conn
	done     chan struct{}
	once     sync.Once
	addr     net.Addr
}

// handOver gives conn, whose first bytes were read already, to net/http.
func (l *Listener) handOver(c *Conn, conn net.Conn, read []byte) {
	hc := &handedConn{Conn: conn, read: read, gone: l.gone}
	var err error
	if c.tls != nil {
		err = c.tls.handOver(conn)
		hc.Conn, hc.state = c.tls.conn, c.TLSState()
	}
	w := l.webServer()
	if w == nil || err != nil {
		hc.Close()
		return
	}
	select {
	case w.incoming <- hc:
	case <-w.done:
		hc.Close()
	}
}

// webServer starts the HTTP server on first use; nil when the listener is closed.
func (l *Listener) webServer() *webServer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if l.web == nil {
		w := &webServer{incoming: make(chan net.Conn), done: make(chan struct{}), addr: l.addr}
		w.server = &http.Server{
			Handler:           l.cfg().HTTP,
			ReadHeaderTimeout: l.s.cfg.HandshakeTimeout,
			IdleTimeout:       time.Minute,
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				return context.WithValue(ctx, tlsKey{}, c.(*handedConn).state)
			},
		}
		w.server.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			// net/http knows TLS only by the type of the connection.
			r.TLS, _ = r.Context().Value(tlsKey{}).(*tls.ConnectionState)
			l.cfg().HTTP.ServeHTTP(rw, r)
		})
		l.s.wg.Go(func() { w.server.Serve(w) })
		l.web = w
	}
	return l.web
}

type tlsKey struct{}

// close ends the server and its connections.
func (w *webServer) close() { w.server.Close() }

// Accept makes a webServer the listener of its own http.Server.
func (w *webServer) Accept() (net.Conn, error) {
	select {
	case c := <-w.incoming:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

func (w *webServer) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

func (w *webServer) Addr() net.Addr { return w.addr }

// handedConn is a connection whose first bytes were read already.
type handedConn struct {
	net.Conn
	read  []byte
	state *tls.ConnectionState
	gone  func()
	once  sync.Once
}

func (c *handedConn) Read(p []byte) (int, error) {
	if len(c.read) > 0 {
		n := copy(p, c.read)
		c.read = c.read[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func (c *handedConn) Close() error {
	c.once.Do(c.gone)
	return c.Conn.Close()
}

// takeTail returns a copy of the unconsumed input, for handOver.
func (c *Conn) takeTail(b *Batch) []byte {
	read := append([]byte(nil), c.tail.bytes()...)
	b.stash.put(c.tail)
	c.tail = nil
	return read
}
