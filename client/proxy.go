package client

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// DialFunc makes a connection, like net.Dialer.DialContext. Options.Dial is one.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Proxy gives a function for Options.Dial that connects through the proxy at rawURL: socks5://user:password@host:port
// (port 1080, RFC 1928 and 1929; socks5h means the same, and the proxy resolves host names in any case) or
// http://user:password@host:port (port 80, CONNECT of RFC 9110). TLS and WebSocket go through it to the server. Nil dial
// is a net.Dialer, for the way to the proxy. Unix sockets do not go through it.
func Proxy(rawURL string, dial DialFunc) (DialFunc, error) {
	u, err := readURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("proxy URL %w", err)
	}
	x := proxy{dial: dial}
	if dial == nil {
		x.dial = new(net.Dialer).DialContext
	}
	port := "1080"
	switch u.Scheme {
	case "socks5", "socks5h":
		x.shake = x.socks
	case "http":
		x.shake, port = x.connect, "80"
	default:
		return nil, errors.New("proxy URL: the scheme must be socks5, socks5h or http")
	}
	if u.Hostname() == "" {
		return nil, errors.New("proxy URL: no host")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	x.address = net.JoinHostPort(u.Hostname(), port)
	if u.User != nil {
		x.user = u.User.Username()
		x.password, _ = u.User.Password()
	}
	if len(x.user) > 255 || len(x.password) > 255 {
		return nil, errors.New("proxy URL: user name and password have 255 bytes at most")
	}
	return x.connectTo, nil
}

// proxy is one that can be asked for connections.
type proxy struct {
	address        string
	user, password string // "": without authentication
	dial           DialFunc
	shake          func(conn net.Conn, address string) error
}

func (x *proxy) connectTo(ctx context.Context, network, address string) (net.Conn, error) {
	if network == "unix" {
		return x.dial(ctx, network, address)
	}
	conn, err := x.dial(ctx, network, x.address)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = x.shake(conn, address)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("proxy %s: %w", x.address, err)
	}
	return conn, nil
}

// connect asks an HTTP proxy. The answer is read byte by byte, because what follows belongs to the server.
func (x *proxy) connect(conn net.Conn, address string) error {
	ask := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if x.user != "" {
		ask += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(x.user+":"+x.password)) + "\r\n"
	}
	if _, err := conn.Write([]byte(ask + "\r\n")); err != nil {
		return err
	}
	const most = 16 << 10
	var answer strings.Builder
	for one := make([]byte, 1); !strings.HasSuffix(answer.String(), "\r\n\r\n"); {
		if _, err := io.ReadFull(conn, one); err != nil {
			return err
		}
		if answer.WriteByte(one[0]); answer.Len() > most {
			return errors.New("its answer is too long for HTTP")
		}
	}
	status, _, _ := strings.Cut(answer.String(), "\r\n")
	fields := strings.Fields(status)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/1.") {
		return errors.New("it does not speak HTTP")
	}
	if len(fields[1]) != 3 || fields[1][0] != '2' {
		return fmt.Errorf("it cannot connect to %s: %s", address, strings.Join(fields[1:], " "))
	}
	return nil
}

// socks asks a SOCKS5 proxy.
func (x *proxy) socks(conn net.Conn, address string) error {
	method := byte(0) // no authentication
	if x.user != "" {
		method = 2 // user name and password (RFC 1929)
	}
	var answer [4]byte
	if err := exchange(conn, []byte{5, 1, method}, answer[:2]); err != nil {
		return err
	}
	if answer[0] != 5 || answer[1] != method {
		return errors.New("it wants another way of authentication")
	}
	if method == 2 {
		ask := append([]byte{1, byte(len(x.user))}, x.user...)
		ask = append(append(ask, byte(len(x.password))), x.password...)
		if err := exchange(conn, ask, answer[:2]); err != nil {
			return err
		}
		if answer[1] != 0 {
			return errors.New("it refuses the user name or password")
		}
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || len(host) > 255 {
		return fmt.Errorf("address %q cannot be asked for", address)
	}
	ask := append([]byte{5, 1, 0, 3, byte(len(host))}, host...)
	if err := exchange(conn, binary.BigEndian.AppendUint16(ask, uint16(port)), answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return fmt.Errorf("it cannot connect to %s (SOCKS5 reply %d)", address, answer[1])
	}
	return skipAddress(conn, answer[3])
}

// skipAddress reads the address the proxy is bound to, which nobody needs.
func skipAddress(conn net.Conn, kind byte) error {
	size := map[byte]int64{1: 4, 4: 16}[kind]
	if kind == 3 {
		var n [1]byte
		if _, err := io.ReadFull(conn, n[:]); err != nil {
			return err
		}
		size = int64(n[0])
	}
	_, err := io.CopyN(io.Discard, conn, size+2)
	return err
}

func exchange(conn net.Conn, ask, answer []byte) error {
	if _, err := conn.Write(ask); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, answer)
	return err
}
