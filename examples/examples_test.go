// Package examples tests the example programs, as they are run by hand.
package examples

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
)

// program is a running example.
type program struct {
	cmd   *exec.Cmd
	lines <-chan string // of both outputs; closed at the end
}

func start(t *testing.T, path string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	out, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		w.Close()
	}()
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range lines {
		}
	})
	return &program{cmd, lines}
}

// await reads until a line contains text.
func (p *program) await(t *testing.T, text string) {
	t.Helper()
	var said []string
	for line := range p.lines {
		said = append(said, line)
		if strings.Contains(line, text) {
			return
		}
	}
	t.Fatalf("%q did not come, but\n%s", text, strings.Join(said, "\n"))
}

// The subscriber sees what the publisher sends, and is thrown out by one with its identifier [MQTT-3.1.4-3].
func TestPublishAndSubscribe(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "./publish", "./subscribe")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := broker.New(broker.Config{Listeners: []broker.Listener{{Address: "127.0.0.1:0", Anonymous: true}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	server := "mqtt://" + b.Addrs()[0].String()
	publish, subscribe := filepath.Join(dir, "publish"), filepath.Join(dir, "subscribe")

	sub := start(t, subscribe, "-server", server, "-id", "kitchen")
	sub.await(t, "event.kind=connected")
	seen := make(chan bool)
	go func() { // the subscription is a moment younger than the connection
		defer close(seen)
		sub.await(t, "example/temperature: 21.0 °C")
	}()
	for done := false; !done; {
		pub := start(t, publish, "-server", server, "-id", "hall")
		pub.await(t, "21.0 °C, acknowledged")
		for range pub.lines {
		}
		select {
		case <-seen:
			done = true
		default:
		}
	}
	start(t, publish, "-server", server, "-id", "kitchen").await(t, "acknowledged")
	sub.await(t, "Session taken over")
	for range sub.lines {
	}
	if code := sub.cmd.ProcessState.ExitCode(); code != 1 {
		t.Error("exit status of the subscriber:", code)
	}
	if p := start(t, publish, "-server", "mqtt://127.0.0.1:1"); true {
		p.await(t, "publish: connect:")
	}
}
