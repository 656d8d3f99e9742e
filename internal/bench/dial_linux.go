package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// target is where the broker listens.
type target struct {
	url     *url.URL
	network string // tcp or unix
	address string
	sock    syscall.Sockaddr // for plain connections, which are opened without a goroutine
	family  int
	secure  *tls.Config // nil: no TLS
	ws      *url.URL    // nil: no WebSocket
	sources []netip.Addr
	dialled int
	slots   chan struct{} // of goroutines that shake hands
}

const handshakeTimeout = 20 * time.Second

// newTarget reads a URL: mqtt, mqtts, ws or wss with host, port and path, or unix with a path.
func newTarget(ctx context.Context, o *Options) (*target, error) {
	u, err := url.Parse(o.URL)
	if err != nil && !strings.Contains(o.URL, "://") {
		return nil, fmt.Errorf("broker %q: write mqtt://%[1]s", o.URL)
	}
	if err != nil {
		return nil, fmt.Errorf("broker %q: %w", o.URL, err)
	}
	t := &target{url: u, network: "tcp", slots: make(chan struct{}, 16)}
	port := "1883"
	switch u.Scheme {
	case "mqtt", "tcp":
	case "mqtts", "ssl":
		port = "8883"
		t.secure = o.TLS
	case "ws", "wss":
		port = "80"
		if u.Scheme == "wss" {
			port = "443"
			t.secure = o.TLS
		}
		t.ws = u
	case "unix":
		t.network, t.address = "unix", u.Path
		t.family, t.sock = syscall.AF_UNIX, &syscall.SockaddrUnix{Name: u.Path}
		return t, nil
	default:
		return nil, fmt.Errorf("broker %q: the scheme must be mqtt, mqtts, ws, wss or unix, as in mqtt://localhost:1883", o.URL)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("broker %q names no host; write mqtt://localhost:1883", o.URL)
	}
	if t.secure == nil && (u.Scheme == "mqtts" || u.Scheme == "ssl" || u.Scheme == "wss") {
		t.secure = &tls.Config{}
	}
	if t.secure != nil && t.secure.ServerName == "" {
		t.secure = t.secure.Clone()
		t.secure.ServerName = u.Hostname()
	}
	addrs, err := new(net.Resolver).LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("broker %q: %w", o.URL, err)
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, fmt.Errorf("broker %q: %w", o.URL, err)
	}
	t.choose(addrs, n)
	return t, t.readSources(o.Sources)
}

// choose takes the first address, an IPv4 one where there is one: that is what most brokers listen on.
func (t *target) choose(addrs []netip.Addr, port int) {
	a := addrs[0].Unmap()
	for _, b := range addrs {
		if b = b.Unmap(); b.Is4() {
			a = b
			break
		}
	}
	t.address = netip.AddrPortFrom(a, uint16(port)).String()
	t.family, t.sock = syscall.AF_INET6, &syscall.SockaddrInet6{Addr: a.As16(), Port: port}
	if a.Is4() {
		t.family, t.sock = syscall.AF_INET, &syscall.SockaddrInet4{Addr: a.As4(), Port: port}
	}
}

func (t *target) readSources(texts []string) error {
	for _, s := range texts {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("source address %q: %w", s, err)
		}
		if a.Is4() != (t.family == syscall.AF_INET) {
			return fmt.Errorf("source address %s cannot reach %s", s, t.address)
		}
		t.sources = append(t.sources, a)
	}
	return nil
}

// source returns the next address to connect from, if any was given.
func (t *target) source() (netip.Addr, bool) {
	if len(t.sources) == 0 {
		return netip.Addr{}, false
	}
	t.dialled++
	return t.sources[t.dialled%len(t.sources)], true
}

// dial begins to connect l, which says onReady or onEnd later.
func (e *engine) dial(ctx context.Context, t *target, l *link) error {
	l.e, l.fd = e, -1
	if t.secure != nil || t.ws != nil {
		from, _ := t.source()
		go e.shake(ctx, t, l, from)
		return nil
	}
	fd, err := syscall.Socket(t.family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%w (the limit of open files is one cause)", os.NewSyscallError("socket", err))
	}
	l.fd = fd
	if t.family != syscall.AF_UNIX {
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	if from, ok := t.source(); ok {
		if err := bindTo(fd, from); err != nil {
			syscall.Close(fd)
			return err
		}
	}
	if err := syscall.Connect(fd, t.sock); err != nil && err != syscall.EINPROGRESS {
		syscall.Close(fd)
		return fmt.Errorf("connect to %s: %w", t.address, err)
	}
	return e.add(l)
}

func bindTo(fd int, a netip.Addr) error {
	const bindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect, so that ports can be shared
	syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, bindAddressNoPort, 1)
	var sa syscall.Sockaddr = &syscall.SockaddrInet6{Addr: a.As16()}
	if a.Is4() {
		sa = &syscall.SockaddrInet4{Addr: a.As4()}
	}
	if err := syscall.Bind(fd, sa); err != nil {
		return fmt.Errorf("connect from %s: %w", a, err)
	}
	return nil
}

// shake connects and shakes hands for TLS and WebSocket, in a goroutine of its own, and then joins the engine.
func (e *engine) shake(ctx context.Context, t *target, l *link, from netip.Addr) {
	t.slots <- struct{}{}
	defer func() { <-t.slots }()
	fd, err := t.shake(ctx, l, from)
	e.join(func() {
		if err == nil {
			l.fd, l.state = fd, greeting
			err = e.add(l)
		}
		if err != nil {
			l.fail(err)
			return
		}
		l.established()
	})
}

func (t *target) shake(ctx context.Context, l *link, from netip.Addr) (fd int, err error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var d net.Dialer
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := d.DialContext(ctx, t.network, t.address)
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	over := conn
	if t.secure != nil {
		l.pipe = &tlsPipe{Conn: conn, l: l}
		l.tls = tls.Client(l.pipe, t.secure)
		if err := l.tls.HandshakeContext(ctx); err != nil {
			return -1, fmt.Errorf("TLS with %s: %w", t.address, err)
		}
		over = l.tls
	}
	if t.ws != nil {
		up := ws.Dialer{Protocols: []string{"mqtt"}}
		early, shaken, err := up.Upgrade(over, t.ws)
		if err != nil {
			return -1, fmt.Errorf("WebSocket with %s: %w", t.address, err)
		}
		if shaken.Protocol != "mqtt" || early != nil && early.Buffered() > 0 {
			return -1, errors.New("the server does not speak MQTT over WebSocket")
		}
		l.ws = newFraming()
	}
	return l.detach(conn.(*net.TCPConn))
}

// detach takes a copy of the socket out of the hands of the runtime.
func (l *link) detach(conn *net.TCPConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	err = raw.Control(func(old uintptr) {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		if errno == 0 {
			fd = int(n)
		}
	})
	if err != nil || fd < 0 {
		return -1, fmt.Errorf("copy a socket: %w", errors.Join(err, syscall.EMFILE))
	}
	return fd, nil
}

// tlsPipe lies under crypto/tls. Until the link has a descriptor it is the connection; then reading does not block,
// and writing collects what the link sends.
type tlsPipe struct {
	net.Conn
	l      *link
	sealed []byte
}

func (p *tlsPipe) Read(b []byte) (int, error) {
	if p.l.fd < 0 {
		return p.Conn.Read(b)
	}
	n, err := (*socket)(p.l).Read(b)
	if err == errAgain {
		err = wouldBlock{}
	}
	return n, err
}

func (p *tlsPipe) Write(b []byte) (int, error) {
	if p.l.fd < 0 {
		return p.Conn.Write(b)
	}
	p.sealed = append(p.sealed, b...)
	return len(b), nil
}

// wouldBlock is a temporary error, after which crypto/tls can go on.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return errAgain.Error() }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }
func (wouldBlock) Is(e error) bool { return e == errAgain }
