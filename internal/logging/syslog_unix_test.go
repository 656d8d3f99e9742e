//go:build !windows && !plan9

package logging

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/config"
)

// A broker starts without syslog, which may come later, and goes away when it is
// updated. Meanwhile the lines go to the standard error.
func TestSyslogThatComesLater(t *testing.T) {
	dir, err := os.MkdirTemp("", "log") // a short name: it is one of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "log")
	var b strings.Builder
	l, err := Open(Options{
		Log: config.Log{Types: config.LogDefault, Syslog: true, Facility: 5, NoTimestamp: true}, Stderr: &b, Name: "broker", Syslog: socket,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	l.Logger().Info("before")
	if b.String() != "before\n" {
		t.Fatalf("without syslog the standard error has %q", &b)
	}
	listen := func() *net.UnixConn {
		t.Helper()
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	want := func(c *net.UnixConn, priority, text string) {
		t.Helper()
		buf := make([]byte, 1000)
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if got := string(buf[:n]); err != nil || !strings.HasPrefix(got, priority) || !strings.Contains(got, "broker[") || !strings.HasSuffix(got, text+"\n") {
			t.Fatalf("syslog got %q, %v", got, err)
		}
	}
	c := listen()
	l.Logger().Warn("there")
	want(c, "<172>", "there") // local5.warning
	c.Close()
	os.Remove(socket)
	l.Logger().Error("between")
	if b.String() != "before\nbetween\n" {
		t.Fatalf("the standard error has %q", &b)
	}
	c = listen()
	defer c.Close()
	l.Logger().Error("again")
	want(c, "<171>", "again") // local5.err
}
