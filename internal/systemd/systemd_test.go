package systemd

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func environment(vars map[string]string) Getenv {
	return func(name string) string { return vars[name] }
}

func manager(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Skip("no datagram sockets by name on this system: ", err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	return c, path
}

func read(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 1000)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestTell(t *testing.T) {
	m, path := manager(t)
	n, err := Open(environment(map[string]string{"NOTIFY_SOCKET": path}))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	n.Tell("READY=1", "STATUS=listening")
	if got := read(t, m); got != "READY=1\nSTATUS=listening" {
		t.Errorf("the manager heard %q", got)
	}
	n.Watch(t.Context(), func() { t.Error("there is no watchdog, and it was asked") })
}

func TestWatchdog(t *testing.T) {
	m, path := manager(t)
	n, err := Open(environment(map[string]string{
		"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": strconv.Itoa(os.Getpid()),
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Watch(ctx, func() {}) }()
	for range 3 {
		if got := read(t, m); got != "WATCHDOG=1" {
			t.Errorf("the manager heard %q", got)
		}
	}
	stop()
	<-ended
}

func TestOpen(t *testing.T) {
	_, path := manager(t)
	for _, c := range []struct {
		name, err string
		env       map[string]string
		interval  time.Duration
	}{
		{name: "no manager"},
		{name: "nobody there", env: map[string]string{"NOTIFY_SOCKET": path + "x"}, err: "reach the service manager"},
		{name: "watchdog", env: map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"}, interval: 1500 * time.Millisecond},
		{name: "watchdog of another", env: map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}},
		{name: "bad interval", env: map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "soon"}, err: `WATCHDOG_USEC="soon"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := Open(environment(c.env))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || n.interval != c.interval {
				t.Errorf("interval %v, error %v; want %v", n.interval, err, c.interval)
			}
			n.Tell("READY=1")
			n.Close()
		})
	}
}

// TestSockets starts this test again as a service with two sockets, as systemd
// does: bound before, as the descriptors from 3 on.
func TestSockets(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	path := filepath.Join(t.TempDir(), "socket")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run=^TestService$ -test.v`, os.Args[0])
	for _, l := range []net.Listener{tcp, unix} {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Skip("no files of sockets on this system: ", err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "NIGHTJAR_TEST_SERVICE=1")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, l := range []net.Listener{tcp, unix} {
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if got, err := io.ReadAll(c); err != nil || string(got) != "here" {
			t.Errorf("%s: %q, %v", l.Addr(), got, err)
		}
		c.Close()
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the service has removed the file of the socket: %v", err)
	}
}

// TestService is the service of TestSockets.
func TestService(t *testing.T) {
	if os.Getenv("NIGHTJAR_TEST_SERVICE") == "" {
		list, err := Sockets(environment(map[string]string{"LISTEN_FDS": "1", "LISTEN_PID": "1"}))
		if len(list) > 0 || err != nil {
			t.Errorf("sockets of another process: %v %v", list, err)
		}
		if _, err := Sockets(environment(map[string]string{"LISTEN_FDS": "some"})); err == nil {
			t.Error("a count that is none was taken")
		}
		return
	}
	list, err := Sockets(os.Getenv)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for _, l := range list {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "here")
		c.Close()
		l.Close()
	}
}
