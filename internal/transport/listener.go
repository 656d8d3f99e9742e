package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Listener is a bound address.
type Listener struct {
	s     *Server
	conf  atomic.Pointer[ListenerConfig]
	addr  net.Addr
	count atomic.Int32 // connections

	mu     sync.Mutex // guards what follows
	web    *webServer // for requests that are not WebSocket upgrades
	ln     net.Listener
	socket listening // Linux
	closed bool
	warned time.Time             // when an accept error was last logged
	greets map[net.Conn]struct{} // whose PROXY header is being read
}

// Listen binds at once; connections are accepted while Run runs.
func (s *Server) Listen(cfg ListenerConfig) (*Listener, error) {
	ln := &Listener{s: s, ln: cfg.Listener}
	ln.conf.Store(&cfg)
	if cfg.Network == "pipe" {
		ln.addr = &net.UnixAddr{Net: "pipe", Name: "pipe"}
	} else {
		if ln.ln == nil {
			var err error
			if ln.ln, err = Bind(cfg); err != nil {
				return nil, err
			}
		}
		ln.addr = ln.ln.Addr()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stopped {
		ln.close()
		return nil, ErrServerClosed
	}
	if s.state == running {
		if err := ln.start(); err != nil {
			ln.close()
			return nil, err
		}
	}
	s.listeners[ln] = struct{}{}
	return ln, nil
}

// Bind binds a socket as Listen does, without accepting from it: it may become
// ListenerConfig.Listener.
func Bind(cfg ListenerConfig) (net.Listener, error) {
	network := cfg.Network
	if network == "" {
		network = "tcp"
	}
	if network == "unix" {
		removeStale(cfg.Address)
	}
	lc := new(net.ListenConfig)
	if cfg.Device != "" {
		lc.Control = func(_, _ string, raw syscall.RawConn) error { return bindToDevice(raw, cfg.Device) }
	}
	ln, err := lc.Listen(context.Background(), network, cfg.Address)
	if err != nil {
		return nil, explainBind(network, cfg.Address, err)
	}
	if network == "unix" && cfg.UnixMode != 0 {
		if err := os.Chmod(cfg.Address, cfg.UnixMode); err != nil {
			ln.Close()
			return nil, fmt.Errorf("set the mode of the socket: %w", err)
		}
	}
	return ln, nil
}

// removeStale removes a Unix socket that nobody listens on any more.
func removeStale(path string) {
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSocket == 0 {
		return
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path)
	}
}

// explainBind says what to do about a failed bind.
func explainBind(network, address string, err error) error {
	hint := ""
	var dns *net.DNSError
	var text *net.AddrError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another program listens there: stop it or choose another port"
		if network == "unix" {
			hint = "another program listens there, or the file is no socket: remove it or choose another path"
		}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		hint = "ports below 1024 need a privilege: choose a higher port or grant CAP_NET_BIND_SERVICE"
		if network == "unix" {
			hint = "the folder of the socket must be writable"
		}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "this machine does not have that address"
	case errors.Is(err, syscall.ENOENT):
		hint = "the folder of the socket must exist"
	case errors.As(err, &dns):
		hint = "no machine is known by that name"
	case errors.As(err, &text):
		hint = "write the address as host:port, for example 127.0.0.1:1883"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // it names network and address again
	}
	if hint == "" {
		return fmt.Errorf("listen on %s %s: %w", network, address, err)
	}
	return fmt.Errorf("listen on %s %s: %w (%s)", network, address, err, hint)
}

// cfg is what holds now.
func (l *Listener) cfg() *ListenerConfig { return l.conf.Load() }

// Update makes another configuration hold for what connects from now on. The
// socket stays: Network, Address, Listener, Device and UnixMode mean nothing.
func (l *Listener) Update(cfg ListenerConfig) {
	old := l.cfg()
	cfg.Network, cfg.Address, cfg.Listener, cfg.Unlink, cfg.UnixMode = old.Network, old.Address, old.Listener, old.Unlink, old.UnixMode
	l.conf.Store(&cfg)
}

// Name returns ListenerConfig.Name, or the address when that is empty.
func (l *Listener) Name() string {
	if name := l.cfg().Name; name != "" {
		return name
	}
	return l.addr.String()
}

// Addr returns the bound address.
func (l *Listener) Addr() net.Addr { return l.addr }

// Data returns ListenerConfig.Data.
func (l *Listener) Data() any { return l.cfg().Data }

// Connections returns how many connections it has now.
func (l *Listener) Connections() int { return int(l.count.Load()) }

// Close stops accepting. Connections stay.
func (l *Listener) Close() error {
	l.s.mu.Lock()
	delete(l.s.listeners, l)
	l.s.mu.Unlock()
	return l.close()
}

// CloseConnections closes what the listener accepted, with the given cause.
func (l *Listener) CloseConnections(cause error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.moves.Lock()
	for _, loop := range l.s.loops {
		loop.closeOf(l, cause)
	}
	l.s.moves.Unlock()
	for st := range l.s.streams {
		if st.c.l == l {
			st.c.Close(cause)
		}
	}
}

// start begins to accept.
func (l *Listener) start() error {
	if l.ln == nil {
		return nil // pipes are made by Dial
	}
	if len(l.s.loops) > 0 {
		ok, err := l.startOnLoop(l.s.loops[0])
		if ok || err != nil {
			return err
		}
	}
	l.s.wg.Go(l.acceptStreams)
	return nil
}

func (l *Listener) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if l.web != nil {
		l.web.close()
	}
	for c := range l.greets {
		c.Close()
	}
	if l.closeOnLoop() || l.ln == nil {
		return nil
	}
	return l.ln.Close()
}

// admit counts a new connection; it reports false when there are too many.
func (l *Listener) admit() bool {
	n := l.count.Add(1)
	all := l.s.count.Add(1)
	l.s.cfg.Budget.Members(1)
	limit := l.cfg().MaxConnections
	switch most := l.s.cfg.MaxConnections; {
	case limit > 0 && int(n) > limit:
	case most > 0 && int(all) > most:
		limit = most
	default:
		return true
	}
	l.gone()
	l.warn(fmt.Errorf("more than %d connections, which is what is configured or what the limit of open files allows", limit))
	return false
}

// gone ends the accounting of a connection.
func (l *Listener) gone() {
	l.count.Add(-1)
	l.s.count.Add(-1)
	l.s.cfg.Budget.Members(-1)
}

// warn logs why connections are refused, not more often than every ten seconds.
func (l *Listener) warn(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.warned) >= 10*time.Second {
		l.warned = now
		l.s.cfg.Log.Warn("cannot accept connections", "listener", l.Name(), "cause", err)
	}
}

// newConn makes the connection and its stages.
func (l *Listener) newConn() *Conn {
	c := &Conn{l: l}
	cfg := l.cfg()
	if cfg.TLS != nil {
		c.tls = newTLSStage(c, cfg.TLS())
	}
	if cfg.WebSocket {
		c.ws = &wsStage{}
	}
	return c
}

// Dial connects to a listener of Network "pipe" from within this process.
func (l *Listener) Dial() (net.Conn, error) {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	if l.cfg().Network != "pipe" {
		return nil, fmt.Errorf("dial %s: not a pipe", l.Name())
	}
	if !l.admit() {
		return nil, fmt.Errorf("dial %s: too many connections", l.Name())
	}
	near, far := net.Pipe()
	if !l.s.serve(l, far, nil) {
		l.gone()
		return nil, ErrServerClosed
	}
	return near, nil
}

// acceptStreams accepts for the goroutine engine.
func (l *Listener) acceptStreams() {
	for {
		conn, err := l.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors or memory: it can only get better with time.
			l.warn(err)
			time.Sleep(acceptSleep)
			continue
		}
		if !l.admit() {
			conn.Close()
			continue
		}
		if l.cfg().Proxy.Version != 0 {
			l.s.wg.Go(func() { l.greetStream(conn) })
			continue
		}
		if !l.s.serve(l, conn, nil) {
			conn.Close()
			l.gone()
		}
	}
}

// acceptSleep is how long accepting rests after an error.
const acceptSleep = 200 * time.Millisecond
