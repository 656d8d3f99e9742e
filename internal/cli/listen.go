package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/nightjarmq/nightjar/broker"
)

// listenFlags say where serve listens.
type listenFlags struct {
	Listen         []string `short:"l" sep:"none" help:"Listen here, instead of the loopback addresses: mqtt://HOST:PORT, mqtts://, ws://, wss:// or unix://PATH. Can be repeated. 0.0.0.0 is every IPv4 address of this machine, [::] every address; without PORT it is 1883, 8883, 9001 or 9443." placeholder:"URL"`
	AllowAnonymous bool     `help:"Let everybody in, also from other machines: there are no users unless -c names them."`
	Cert           string   `help:"Certificate chain (PEM) for the listeners with mqtts or wss." placeholder:"FILE"`
	Key            string   `help:"Private key (PEM) that belongs to --cert." placeholder:"FILE"`
}

// portNumber is a TCP port.
type portNumber uint16

// UnmarshalText reads the port of -p.
func (p *portNumber) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("%s: a port is a number from 1 to 65535", text)
	}
	*p = portNumber(n)
	return nil
}

// standardPorts are used where a URL names none.
var standardPorts = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "9001", "wss": "9443"}

// listeners turns the flags into listeners.
func (f *listenFlags) listeners() ([]broker.Listener, error) {
	pair, err := f.certificate()
	if err != nil {
		return nil, err
	}
	return f.listenersWith(pair)
}

// listenersWith makes the listeners; pair is nil without a certificate.
func (f *listenFlags) listenersWith(pair *tls.Config) ([]broker.Listener, error) {
	if f.AllowAnonymous && len(f.Listen) == 0 {
		return nil, errors.New("--allow-anonymous: only this machine can connect, and it may without: for others add --listen mqtt://0.0.0.0:1883")
	}
	var list []broker.Listener
	encrypted := false
	for _, s := range f.Listen {
		l, secure, err := parseListen(s)
		if err != nil {
			return nil, err
		}
		if secure && pair == nil {
			return nil, fmt.Errorf("--listen %s: TLS needs a certificate: add --cert FILE and --key FILE", s)
		}
		if secure {
			encrypted = true
			l.TLS = func() *tls.Config { return pair }
		}
		if !f.AllowAnonymous && !isLocal(l) {
			return nil, fmt.Errorf("--listen %s: other machines could connect, and there are no users: add --allow-anonymous to let everybody in", s)
		}
		l.Anonymous = true
		list = append(list, l)
	}
	if pair != nil && !encrypted {
		return nil, fmt.Errorf("--cert %s: no listener uses it: add --listen mqtts://HOST:8883 or wss://HOST:9443", f.Cert)
	}
	return list, nil
}

func (f *listenFlags) certificate() (*tls.Config, error) {
	if f.Cert == "" && f.Key == "" {
		return nil, nil
	}
	if f.Cert == "" || f.Key == "" {
		return nil, errors.New("--cert and --key go together: the one is the certificate, the other its private key")
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("--cert %s --key %s: %w", f.Cert, f.Key, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// parseListen reads one --listen.
func parseListen(s string) (l broker.Listener, secure bool, err error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Opaque != "" { // localhost:1883 is a scheme and something opaque
		return l, false, fmt.Errorf("--listen %s: write it as a URL, for example mqtt://127.0.0.1:1883", s)
	}
	switch u.Scheme {
	case "unix":
		if u.Host+u.Path == "" {
			return l, false, fmt.Errorf("--listen %s: the path of the socket is missing", s)
		}
		return broker.Listener{Network: "unix", Address: u.Host + u.Path}, false, nil
	case "mqtt", "mqtts", "ws", "wss":
	default:
		return l, false, fmt.Errorf("--listen %s: unknown scheme %q: use mqtt, mqtts, ws, wss or unix", s, u.Scheme)
	}
	port := u.Port()
	if port == "" {
		port = standardPorts[u.Scheme]
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return l, false, fmt.Errorf("--listen %s: a port is a number from 1 to 65535", s)
	}
	l.Address = net.JoinHostPort(u.Hostname(), port)
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.To4() != nil {
		l.Network = "tcp4" // else 0.0.0.0 would stand for every IPv6 address too
	}
	l.WebSocket = strings.HasPrefix(u.Scheme, "ws")
	l.WebSocketPath = strings.TrimSuffix(u.Path, "/")
	return l, strings.HasSuffix(u.Scheme, "s") && u.Scheme != "ws", nil
}

// isLocal reports whether only this machine can reach the listener.
func isLocal(l broker.Listener) bool {
	if l.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(l.Address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
