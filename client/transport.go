package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// target is a server's URL, taken apart.
type target struct {
	network string // "tcp" or "unix"
	address string // host:port, or the path of a socket
	host    string
	secure  bool
	ws      *url.URL // nil: no WebSocket
	user    *url.Userinfo
}

func parseURL(raw string) (target, error) {
	u, err := readURL(raw)
	if err != nil {
		return target{}, fmt.Errorf("server URL %w", err)
	}
	shown := masked(raw)
	t := target{network: "tcp", host: u.Hostname(), user: u.User}
	port := ""
	switch strings.ToLower(u.Scheme) {
	case "mqtt", "tcp":
		port = "1883"
	case "mqtts", "ssl", "tls":
		port, t.secure = "8883", true
	case "ws":
		port, t.ws = "80", u
	case "wss":
		port, t.secure, t.ws = "443", true, u
	case "unix":
		t.network, t.address = "unix", u.Host+u.Path+u.Opaque
		if t.address == "" {
			return t, fmt.Errorf("server URL %q: no path of a socket", shown)
		}
		return t, nil
	default:
		return t, fmt.Errorf("server URL %q: the scheme must be mqtt, tcp, mqtts, ssl, tls, ws, wss or unix", shown)
	}
	if t.host == "" {
		return t, fmt.Errorf("server URL %q: no host", shown)
	}
	if t.ws == nil && u.Path != "" && u.Path != "/" {
		return t, fmt.Errorf("server URL %q: only ws and wss have a path", shown)
	}
	if t.ws != nil {
		u.User = nil // it is for CONNECT, not for HTTP
		if u.Path == "" {
			u.Path = "/mqtt"
		}
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t.address = net.JoinHostPort(t.host, port)
	return t, nil
}

// readURL is url.Parse with an error that is fit for a log.
func readURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	var why *url.Error
	switch {
	case err == nil:
		return u, nil
	case strings.Contains(raw, "@"): // the reason may quote a piece of the password
		return nil, fmt.Errorf("%q: it cannot be read; other than letters and digits, user name and password need percent-encoding, such as %%2F for a slash", masked(raw))
	case errors.As(err, &why):
		return nil, fmt.Errorf("%q: %w", raw, why.Err)
	}
	return nil, err
}

// masked is a URL, which need not be a good one, without user name and password.
func masked(raw string) string {
	end := strings.LastIndexByte(raw, '@')
	if end < 0 {
		return raw
	}
	scheme, _, _ := strings.Cut(raw[:end], "://")
	if len(scheme) == end {
		scheme = ""
	}
	return scheme + "://..." + raw[end:]
}

// open makes the byte stream that carries MQTT, which is ordered and lossless [MQTT-4.2-1].
func (t *target) open(ctx context.Context, o *Options) (net.Conn, error) {
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, t.network, t.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if t.secure {
		if conn, err = t.encrypt(ctx, conn, o.TLS); err != nil {
			return nil, err
		}
	}
	if t.ws != nil {
		return t.upgrade(ctx, conn, o.Header)
	}
	return conn, nil
}

// encrypt does the TLS handshake. On error conn is closed.
func (t *target) encrypt(ctx context.Context, conn net.Conn, config *tls.Config) (net.Conn, error) {
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = t.host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect: TLS: %w", err)
	}
	return secure, nil
}
