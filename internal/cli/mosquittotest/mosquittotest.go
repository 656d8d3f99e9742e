// Package mosquittotest starts Debian's mosquitto for tests that compare with it or talk to it.
//
// It knows how to run that program on free loopback ports, and nothing of MQTT. It is for tests only.
//
//	b := mosquittotest.Start(t, "")
//	c, err := client.Dial(ctx, b.URL, client.Options{})
package mosquittotest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Broker is a running mosquitto.
type Broker struct {
	URL    string // mqtt://127.0.0.1:port
	Port   string
	WS     string // ws://127.0.0.1:port, "" if not built in
	Socket string // path of the Unix socket
}

// Program finds a program of mosquitto, or skips the test. Under CI=true a missing program is a failure.
func Program(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/local/sbin/"} {
		if p, err := exec.LookPath(dir + name); err == nil {
			return p
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and CI must compare with it", name)
	}
	t.Skipf("%s is not installed: apt-get install mosquitto mosquitto-clients", name)
	return ""
}

// Start runs a broker until the test ends. It lets anybody in; extra lines of configuration come last.
func Start(t testing.TB, extra string) *Broker {
	t.Helper()
	program := Program(t, "mosquitto")
	var said string
	for range 5 { // another process may take a port between our choice and the start
		b, out := attempt(t, program, extra)
		if b != nil {
			return b
		}
		said = out
		if !strings.Contains(out, "in use") {
			break
		}
	}
	t.Fatalf("mosquitto did not start:\n%s", said)
	return nil
}

func attempt(t testing.TB, program, extra string) (*Broker, string) {
	dir, err := os.MkdirTemp("", "mosq") // short, because the path of a Unix socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port, wsPort := freePort(t), freePort(t)
	b := &Broker{URL: "mqtt://127.0.0.1:" + port, Port: port, WS: "ws://127.0.0.1:" + wsPort, Socket: filepath.Join(dir, "s")}
	config := fmt.Sprintf("user root\nper_listener_settings false\nallow_anonymous true\nlog_dest stderr\nlog_type all\n"+
		"listener %s 127.0.0.1\nlistener 0 %s\nlistener %s 127.0.0.1\nprotocol websockets\n%s\n", port, b.Socket, wsPort, extra)
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", file)
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running, ended := make(chan bool, 1), make(chan string, 1)
	go watch(logs, running, ended)
	select {
	case <-running:
		t.Cleanup(func() {
			cmd.Process.Kill()
			<-ended
			cmd.Wait()
		})
		return b, ""
	case out := <-ended:
		cmd.Wait()
		return nil, out
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		return nil, "no sign of life for 20 s:\n" + <-ended
	}
}

// watch reads the log to its end, so that mosquitto never blocks.
func watch(logs interface{ Read([]byte) (int, error) }, running chan<- bool, ended chan<- string) {
	var all strings.Builder
	lines := bufio.NewScanner(logs)
	for lines.Scan() {
		if all.Len() < 64<<10 {
			all.WriteString(lines.Text() + "\n")
		}
		if strings.HasSuffix(lines.Text(), " running") {
			running <- true
		}
	}
	ended <- all.String()
}

func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
