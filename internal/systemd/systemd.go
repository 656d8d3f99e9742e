package systemd

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Getenv is os.Getenv, or what stands for it.
type Getenv func(name string) string

// firstSocket is the file descriptor of the first socket handed over.
const firstSocket = 3

// Sockets returns the listening sockets that this process was started with, in
// the order of the socket unit. The caller owns them. There are none when
// LISTEN_PID names another process: the variables are inherited by children.
func Sockets(env Getenv) ([]net.Listener, error) {
	n, err := number(env, "LISTEN_FDS")
	if err != nil || n == 0 || !ours(env, "LISTEN_PID") {
		return nil, err
	}
	var list []net.Listener
	for fd := firstSocket; fd < firstSocket+int(n); fd++ {
		f := os.NewFile(uintptr(fd), "socket "+strconv.Itoa(fd))
		if f == nil {
			return list, fmt.Errorf("socket %d of LISTEN_FDS=%d: bad file descriptor", fd, n)
		}
		l, err := net.FileListener(f) // with a descriptor of its own
		f.Close()
		if err != nil {
			return list, fmt.Errorf("socket %d of LISTEN_FDS=%d does not listen for connections: %w", fd, n, err)
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the file belongs to the socket unit
		}
		list = append(list, l)
	}
	return list, nil
}

// ours reports whether the process that a variable names is this one.
func ours(env Getenv, name string) bool {
	return env(name) == strconv.Itoa(os.Getpid())
}

func number(env Getenv, name string) (int64, error) {
	text := env(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("environment variable %s=%q: a number was expected", name, text)
	}
	return n, nil
}

// Notifier tells the service manager how the service does. The zero value tells
// nobody.
type Notifier struct {
	conn     *net.UnixConn
	interval time.Duration // of the watchdog; 0: none
}

// Open connects to the service manager. Without one it returns the zero value.
func Open(env Getenv) (Notifier, error) {
	path := env("NOTIFY_SOCKET")
	if path == "" {
		return Notifier{}, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: path}) // "@" begins an abstract name
	if err != nil {
		return Notifier{}, fmt.Errorf("reach the service manager: %w", err)
	}
	n := Notifier{conn: conn}
	text := env("WATCHDOG_USEC")
	if text == "" || env("WATCHDOG_PID") != "" && !ours(env, "WATCHDOG_PID") {
		return n, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 {
		conn.Close()
		return Notifier{}, fmt.Errorf("environment variable WATCHDOG_USEC=%q: a number was expected", text)
	}
	n.interval = time.Duration(usec) * time.Microsecond / 2
	return n, nil
}

// Tell sends assignments such as "READY=1". A manager that does not listen any
// more is no concern of the service.
func (n Notifier) Tell(assignments ...string) {
	if n.conn != nil {
		n.conn.Write([]byte(strings.Join(assignments, "\n")))
	}
}

// Watch tells the watchdog twice in each of its intervals that the service is
// alive, when alive returns, until ctx ends. An alive that hangs lets the
// watchdog act.
func (n Notifier) Watch(ctx context.Context, alive func()) {
	if n.interval == 0 {
		return
	}
	t := time.NewTicker(n.interval)
	defer t.Stop()
	for {
		alive()
		n.Tell("WATCHDOG=1")
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Close ends the connection to the service manager.
func (n Notifier) Close() error {
	if n.conn == nil {
		return nil
	}
	return n.conn.Close()
}
