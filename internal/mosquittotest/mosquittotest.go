// Package mosquittotest starts Debian's mosquitto for tests that compare with it or talk to it.
//
// It knows how to run that program on free loopback ports, and nothing of MQTT. It is for tests only. Programs of other tests
// that have to be told a port get theirs here too.
//
//	b := mosquittotest.Start(t, "")
//	c, err := client.Dial(ctx, b.URL, client.Options{})
package mosquittotest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// Start runs a broker until the test ends. It lets anybody in; extra lines of configuration come last. What it logged is shown
// when the test has failed.
func Start(t testing.TB, extra string) *Broker {
	t.Helper()
	program := Program(t, "mosquitto")
	dir, err := os.MkdirTemp("", "mosq") // short, because the path of a Unix socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port, wsPort := Port(t), Port(t)
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
	t.Cleanup(func() {
		cmd.Process.Kill()
		said := <-ended
		cmd.Wait()
		if t.Failed() {
			t.Logf("mosquitto says:\n%s", said)
		}
	})
	select {
	case <-running:
	case said := <-ended:
		ended <- said
		t.Fatal("mosquitto did not start")
	case <-time.After(time.Minute):
		t.Fatal("mosquitto gives no sign of life for a minute")
	}
	return b
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

// Port returns a TCP port of 127.0.0.1 that is free until the test ends, whoever else runs tests: it lies below those that
// systems give to who connects, and the UDP port of the same number, held meanwhile, keeps others from choosing it.
func Port(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(20_000 + rand.IntN(12_000))
		claim, err := net.ListenPacket("udp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			claim.Close()
			continue
		}
		l.Close()
		t.Cleanup(func() { claim.Close() })
		return port
	}
	t.Fatal("no free port")
	return ""
}
