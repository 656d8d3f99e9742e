package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startup is how long a broker may take until it accepts connections, and stop until it has ended.
const startup, stop = time.Minute, time.Minute

// Nightjar passes every case in both versions.
func TestNightjar(t *testing.T) {
	program := filepath.Join(t.TempDir(), "nightjar")
	build := exec.Command("go", "build", "-o", program, "./cmd/nightjar")
	build.Dir = ".." // the module of the broker, which is not ours
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	addr := start(t, func(addr string) *exec.Cmd {
		return exec.Command(program, "serve", "--listen", "mqtt://"+addr, "--allow-anonymous", "--data", t.TempDir())
	})
	var out bytes.Buffer
	if code := run([]string{"-addr", addr, "-patience", "30s", "-v"}, &out, os.Stderr); code != 0 {
		t.Errorf("exit code %d\n%s", code, failing(out.String()))
	}
}

// failing are the lines of the table about cases that failed, and the last one.
func failing(table string) string {
	var b strings.Builder
	show := false
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "     ") || !strings.HasPrefix(line, " ") {
			show = strings.HasPrefix(line, "  fail") || strings.Contains(line, " passed, ")
		}
		if show {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Mosquitto fails where testdata/mosquitto.txt says so, which README.md explains, and nowhere else.
func TestMosquitto(t *testing.T) {
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto"
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("mosquitto is not installed")
	}
	known, err := os.ReadFile("testdata/mosquitto.txt")
	if err != nil {
		t.Fatal(err)
	}
	version, list, _ := strings.Cut(string(known), "\n")
	if help, _ := exec.Command(program, "-h").Output(); !strings.Contains(string(help), "version "+version+"\n") {
		t.Skipf("it is not mosquitto %s, which testdata/mosquitto.txt is about", version)
	}
	addr := start(t, func(addr string) *exec.Cmd {
		_, port, _ := net.SplitHostPort(addr)
		file := filepath.Join(t.TempDir(), "mosquitto.conf")
		if err := os.WriteFile(file, []byte("listener "+port+" 127.0.0.1\nallow_anonymous true\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.Command(program, "-c", file)
	})
	var out bytes.Buffer
	run([]string{"-addr", addr, "-patience", "10s", "-json"}, &out, os.Stderr)
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(list), "\n")
	for _, name := range r.failures() {
		if !slices.Contains(want, name) {
			t.Errorf("mosquitto fails %q, and testdata/mosquitto.txt does not say so", name)
		}
	}
	for _, name := range want {
		if !slices.Contains(r.failures(), name) {
			t.Errorf("mosquitto does not fail %q, and testdata/mosquitto.txt says so", name)
		}
	}
}

// start runs a broker on a free port until the test ends.
func start(t *testing.T, command func(addr string) *exec.Cmd) (addr string) {
	t.Helper()
	addr = free(t)
	cmd := command(addr)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(stop):
			cmd.Process.Kill()
			<-ended
			t.Error("the broker did not end")
		}
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(cmd.Path), log.String())
		}
	})
	await(t, addr, ended)
	return addr
}

// free returns an address that nobody listens on, with a port below those that systems give to who connects.
func free(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := "127.0.0.1:" + strconv.Itoa(10_000+rand.IntN(8_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// await returns when somebody answers at an address.
func await(t *testing.T, addr string, ended <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startup)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatal("the broker has ended")
		case <-ctx.Done():
			t.Fatal("the broker does not listen")
		case <-again.C:
		}
	}
}

// A broker that breaks rules is found out: this one closes every connection, and that one accepts everything.
func TestBadBrokers(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"closes": func(c net.Conn) { c.Close() },
		"accepts": func(c net.Conn) {
			defer c.Close()
			c.Write([]byte("\x20\x02\x00\x00"))
			io.Copy(io.Discard, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go serve(c)
				}
			}()
			var out bytes.Buffer
			args := []string{"-addr", l.Addr().String(), "-run", "PINGREQ is answered|MQTT-3.1.2-3$", "-patience", "200ms"}
			if code := run(args, &out, os.Stderr); code != 1 || !strings.Contains(out.String(), " failed") {
				t.Errorf("exit code %d\n%s", code, out.String())
			}
		})
	}
}
