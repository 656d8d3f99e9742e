package transport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// Proxy is what is expected of the PROXY protocol, with which a load balancer
// tells whose connection it passes on.
type Proxy struct {
	Version    int  // 1 or 2; 0: none is spoken
	RequireTLS bool // refuse who did not reach the proxy over TLS; version 2
}

// proxied is what a proxy said about a connection.
type proxied struct {
	source *net.TCPAddr // nil: the proxy speaks for itself
	tls    bool         // the client reached the proxy over TLS
	name   string       // common name of the client's certificate, verified by the proxy
}

const (
	maxProxyLine   = 107 // version 1, with its line end
	maxProxyHeader = 4 << 10
	proxyFixed     = 16 // bytes of a version 2 header before its variable part
)

var (
	errNoProxy  = errors.New("the connection does not begin with the PROXY protocol: connect through the proxy, or use another listener")
	errProxyTLS = errors.New("the client did not reach the proxy over TLS")
)

// readProxy reads a header and not a byte more.
func readProxy(r io.Reader, want Proxy) (*proxied, error) {
	raw, err := proxyHeader(r, want.Version)
	if err != nil {
		return nil, err
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, fmt.Errorf("PROXY header: %w", err)
	}
	via := new(proxied)
	if !h.Command.IsLocal() {
		via.source, _ = h.SourceAddr.(*net.TCPAddr)
	}
	tlvs, err := h.TLVs()
	if err != nil {
		return nil, fmt.Errorf("PROXY header: %w", err)
	}
	if s, ok := tlvparse.FindSSL(tlvs); ok && s.ClientSSL() {
		via.tls = true
		if cn, ok := s.ClientCN(); ok && s.Verified() && (s.ClientCertConn() || s.ClientCertSess()) {
			via.name = cn
		}
	}
	if want.RequireTLS && !via.tls && !h.Command.IsLocal() {
		return nil, errProxyTLS
	}
	return via, nil
}

// proxyHeader reads the bytes of a header of the version.
func proxyHeader(r io.Reader, version int) ([]byte, error) {
	if version == 1 {
		return proxyLine(r)
	}
	raw := make([]byte, proxyFixed)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(raw, proxyproto.SIGV2) {
		return nil, errNoProxy
	}
	n := int(raw[14])<<8 | int(raw[15])
	if n > maxProxyHeader {
		return nil, fmt.Errorf("PROXY header of %d bytes", n)
	}
	raw = append(raw, make([]byte, n)...)
	_, err := io.ReadFull(r, raw[proxyFixed:])
	return raw, err
}

// proxyLine reads a header of version 1, which says only at its end how long it
// is.
func proxyLine(r io.Reader) ([]byte, error) {
	var line []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxProxyLine {
			return nil, errNoProxy
		}
		if _, err := io.ReadFull(r, one); err != nil {
			return nil, err
		}
		line = append(line, one[0])
		if n := min(len(line), len(proxyproto.SIGV1)); !bytes.Equal(line[:n], proxyproto.SIGV1[:n]) {
			return nil, errNoProxy
		}
	}
	return line, nil
}

// greet reads the header from conn, unless the listener is closed meanwhile.
func (l *Listener) greet(conn net.Conn) (*proxied, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, net.ErrClosed
	}
	if l.greets == nil {
		l.greets = make(map[net.Conn]struct{})
	}
	l.greets[conn] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.greets, conn)
	}()
	conn.SetReadDeadline(time.Now().Add(l.s.cfg.HandshakeTimeout))
	via, err := readProxy(conn, l.cfg().Proxy)
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.s.cfg.Log.Info("connection refused", "listener", l.Name(), "peer", addrText(conn.RemoteAddr()), "cause", err)
	}
	return via, err
}

// greetStream serves conn once its header was read.
func (l *Listener) greetStream(conn net.Conn) {
	via, err := l.greet(conn)
	if err != nil || !l.s.serve(l, conn, via) {
		conn.Close()
		l.gone()
	}
}

// ProxyIdentity returns what the proxy says is the common name of the client's
// certificate; ok is false without a proxy that says so.
func (c *Conn) ProxyIdentity() (name string, ok bool) {
	if c.via == nil || c.via.name == "" {
		return "", false
	}
	return c.via.name, true
}
