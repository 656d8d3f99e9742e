package realclients

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

// As a service of systemd the program takes the socket that was bound for it, says when it serves and when it stops, and
// keeps the watchdog quiet.
func TestProgramAsService(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell: ", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Skip("no datagram sockets by name: ", err)
	}
	defer manager.Close()
	manager.SetReadDeadline(time.Now().Add(2 * time.Minute))
	heard := make(chan string, 10_000) // who waits to be heard when it ends is not
	go func() {
		defer close(heard)
		for b := make([]byte, 1000); ; {
			n, err := manager.Read(b)
			if err != nil {
				return
			}
			heard <- string(b[:n])
		}
	}()
	hears := func(want string) {
		t.Helper()
		for said := range heard {
			if strings.HasPrefix(said, want) {
				return
			}
		}
		t.Fatalf("%s was not heard", want)
	}
	bound, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	file, err := bound.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	service := func(args ...string) *exec.Cmd {
		cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, program(t), "serve", "--durability", "none"}, args...)...)
		cmd.ExtraFiles = []*os.File{file}
		cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=200000")
		return cmd
	}
	p := service("-p", port(bound.Addr()))
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer p.Process.Kill()
	hears("READY=1")
	hears("WATCHDOG=1")
	hears("WATCHDOG=1")
	run(t, "", program(t), "pub", "-h", "127.0.0.1", "-p", port(bound.Addr()), "-t", "hello/world", "-m", "good evening", "-q", "1")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hears("STOPPING=1")
	if err := p.Wait(); err != nil {
		t.Error(err)
	}

	wrong := service("-p", mosquittotest.Port(t))
	said, err := wrong.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.Start(); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(said)
	if err := wrong.Wait(); err == nil || !strings.Contains(string(text), bound.Addr().String()) {
		t.Errorf("with a socket that belongs to no listener: %v, %q", err, text)
	}
}
