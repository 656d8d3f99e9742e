package realclients

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

// The program itself: how it starts, what it says, how it ends.

// built is the folder with the program; TestMain makes and removes it.
var built string

var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "nightjar")
	out, err := exec.Command("go", "build", "-o", path, "github.com/nightjarmq/nightjar/cmd/nightjar").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build nightjar: %w\n%s", err, out)
	}
	return path, err
})

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "nightjar"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

func program(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// serve starts nightjar serve on a free port. Its standard error is p.stderr.
func serve(t testing.TB, args ...string) (p *beside, s *Server) {
	t.Helper()
	s = &Server{Port: mosquittotest.Port(t)}
	p = start(t, program(t), append([]string{"serve", "-p", s.Port}, args...)...)
	p.stderr.Until(t, "nightjar pub")
	s.Log = p.stderr
	return p, s
}

// The first conversation of the README.
func TestProgramSaysHowToTryIt(t *testing.T) {
	p, s := serve(t)
	for _, want := range []string{"127.0.0.1:" + s.Port, "nightjar sub -p " + s.Port + " -t 'hello/#' -v", "nightjar pub -p " + s.Port + " -t hello/world"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("no %q in the greeting:\n%s", want, p.stderr)
		}
	}
	s.pub(t, "-r", "-q", "1", "-t", "hello/before", "-m", "ready")
	sub := start(t, program(t), "sub", "-p", s.Port, "-t", "hello/#", "-v")
	expect(t, sub, "hello/before ready")
	run(t, "", program(t), "pub", "-p", s.Port, "-t", "hello/world", "-m", "good evening")
	expect(t, sub, "hello/world good evening")
}

// On SIGTERM and SIGINT a 5.0 client is told 0x8B, a 3.1.1 client is closed, and the exit status is 0. [MQTT-3.14.0-1]
func TestProgramStopsGracefully(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			p, s := serve(t)
			v5, v311 := s.board(t), s.board(t)
			v5.send("10", `"MQTT`, "05 02 00 0F 00", `"new1`)
			v5.connack()
			v311.send("10", `"MQTT`, "04 02 00 0F", `"old1`)
			v311.want("20", "00 00")
			p.signal(t, sig)
			v5.want("E0", "8B")
			v5.wantEnd()
			v311.wantEnd()
			if code := p.exit(t); code != 0 {
				t.Errorf("exit status %d:\n%s", code, p.stderr)
			}
		})
	}
}

// Sessions, their messages and retained messages survive that the program is killed. [MQTT-3.1.2-5] [MQTT-4.4.0-1]
func TestProgramSurvivesKill(t *testing.T) {
	data := t.TempDir()
	p, s := serve(t, "--data", data)
	who := []string{"-i", "keeper", "-q", "2", "-t", "letters/#"}
	s.away(t, who...)
	want := ""
	for i := range 10 {
		s.pub(t, "-q", "1", "-t", "letters/x", "-m", fmt.Sprint("letter ", i))
		want += fmt.Sprintf("letter %d\n", i)
	}
	s.pub(t, "-q", "1", "-r", "-t", "house/door", "-m", "shut")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.exit(t)
	_, s = serve(t, "--data", data)
	if out := run(t, "", "mosquitto_sub", append([]string{"-p", s.Port, "-c", "-C", "10"}, who...)...); out != want {
		t.Errorf("after the restart:\n%s\nwant:\n%s", out, want)
	}
	if out := run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "house/+", "-C", "1", "-F", "%r %p"); out != "1 shut\n" {
		t.Errorf("retained after the restart: %q", out)
	}
}

// What cannot work is said in one line that names the cause, with an exit status of its own.
func TestProgramRefusesInOneLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := port(l.Addr())
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"port in use":     {[]string{"serve", "-p", taken}, 1, []string{"127.0.0.1:" + taken, "in use"}},
		"unknown flag":    {[]string{"serve", "--frobnicate"}, 3, []string{"--frobnicate", "--help"}},
		"unknown command": {[]string{"frobnicate"}, 3, []string{"frobnicate", "--help"}},
		"port no number":  {[]string{"serve", "-p", "http"}, 3, []string{"http"}},
		"port too large":  {[]string{"serve", "-p", "65536"}, 3, []string{"65536"}},
		"pub: no server":  {[]string{"pub", "-p", mosquittotest.Port(t), "-t", "a", "-m", "b"}, 1, []string{"refused"}},
		"pub: bad host":   {[]string{"pub", "-h", "no..such.host", "-t", "a", "-m", "b"}, 1, []string{"no..such.host"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, program(t), c.args...)
			if code := p.exit(t); code != c.code {
				t.Errorf("exit status %d, want %d", code, c.code)
			}
			said := strings.TrimSpace(p.stderr.String())
			if strings.Count(said, "\n") != 0 || !containsAll(said, c.says) || p.String() != "" {
				t.Errorf("it said %q and %q; want one line with %q on standard error", said, p, c.says)
			}
		})
	}
}
