package cli

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// proxy is a SOCKS5 proxy (RFC 1928) that resolves names itself.
type proxy struct {
	address        string // "": none
	user, password string
}

func (o *options) setProxy(v string) error {
	if !strings.HasPrefix(v, "socks5h://") {
		return errors.New("must begin with socks5h://")
	}
	u, err := url.Parse(v)
	if err != nil || u.Hostname() == "" {
		return errors.New("must be socks5h://[USER[:PASSWORD]@]HOST[:PORT]")
	}
	port := u.Port()
	if port == "" {
		port = "1080"
	}
	o.proxy = proxy{address: net.JoinHostPort(u.Hostname(), port)}
	if u.User != nil {
		o.proxy.user = u.User.Username()
		o.proxy.password, _ = u.User.Password()
	}
	if len(o.proxy.user) > 255 || len(o.proxy.password) > 255 {
		return errors.New("user name and password have 255 bytes at most")
	}
	return nil
}

// dial connects to the proxy with d and asks it to connect to address.
func (p proxy) dial(ctx context.Context, d *net.Dialer, address string) (net.Conn, error) {
	conn, err := d.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = p.shake(conn, address)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("proxy %s: %w", p.address, err)
	}
	return conn, nil
}

func (p proxy) shake(conn net.Conn, address string) error {
	method := byte(0) // no authentication
	if p.user != "" {
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
		ask := append([]byte{1, byte(len(p.user))}, p.user...)
		ask = append(append(ask, byte(len(p.password))), p.password...)
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
	port, err := strconv.Atoi(portText)
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
