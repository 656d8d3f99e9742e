package gopeers

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long anything may take that has to happen.
const patience = time.Minute

// server is a nightjar that runs until the end of the test.
type server struct {
	Port   string // of MQTT on 127.0.0.1
	WSPort string // of MQTT over WebSocket on 127.0.0.1
	Socket string // path of the Unix socket
}

// built is the folder with the program; TestMain makes and removes it.
var built string

// build makes the program in its own module, whose dependencies this one does not repeat.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "nightjar")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/nightjar")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build nightjar: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "nj"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

// start runs the program for the test, with its store in a folder of the test.
func start(t *testing.T) *server {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(built, "") // short, because the path of a Unix socket is limited
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Socket: filepath.Join(dir, "s")}
	cmd := exec.Command(program, "serve", "--data", filepath.Join(dir, "data"),
		"--listen", "mqtt://127.0.0.1:0", "--listen", "ws://127.0.0.1:0", "--listen", "unix://"+s.Socket)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, said := make(chan bool, 1), make(chan string, 1)
	go func() { said <- s.read(log, ready) }()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		text := <-said
		if err := cmd.Wait(); err != nil {
			t.Errorf("nightjar: %v", err)
		}
		if t.Failed() {
			t.Logf("nightjar said:\n%s", text)
		}
	})
	take(t, "greeting of the broker", ready)
	return s
}

// read finds the ports in the greeting, and reads the log to its end.
func (s *server) read(log io.Reader, ready chan<- bool) string {
	var all strings.Builder
	for lines := bufio.NewScanner(log); lines.Scan(); {
		line := lines.Text()
		all.WriteString(line + "\n")
		if p, ok := strings.CutPrefix(line, "listening on mqtt://127.0.0.1:"); ok {
			s.Port = p
		}
		if p, ok := strings.CutPrefix(line, "listening on ws://127.0.0.1:"); ok {
			s.WSPort = p
		}
		if strings.Contains(line, "nightjar pub") { // the last line of the greeting
			ready <- true
		}
	}
	return all.String()
}
