package realclients

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

// Patience is how long anything may take that has to happen. A test ends much earlier, unless it fails.
const Patience = time.Minute

// Server is a broker that runs until the end of the test.
type Server struct {
	Port   string // of MQTT on 127.0.0.1
	WSPort string // of MQTT over WebSocket on 127.0.0.1
	Socket string // path of the Unix socket
	Log    *Lines // what it logs; nil with NIGHTJAR_PEER=mosquitto

	subs int // how many sentinels were used; the test's goroutine
}

// Start runs a broker of its own for the test, which everybody on this machine may use.
func Start(t testing.TB) *Server {
	t.Helper()
	if os.Getenv("NIGHTJAR_PEER") == "mosquitto" {
		return startMosquitto(t)
	}
	dir, err := os.MkdirTemp("", "nj") // short, because the path of a Unix socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{Socket: filepath.Join(dir, "s"), Log: NewLines()}
	b, err := broker.New(broker.Config{
		Log:         slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Data:        filepath.Join(dir, "data"), // as the program does, with a sync before each acknowledgement
		SysInterval: 200 * time.Millisecond,
		Listeners: []broker.Listener{
			{Address: "127.0.0.1:0", Anonymous: true},
			{Address: "127.0.0.1:0", Anonymous: true, WebSocket: true},
			{Network: "unix", Address: s.Socket, Anonymous: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Port, s.WSPort = port(b.Addrs()[0]), port(b.Addrs()[1])
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the broker ended with an error: %v", err)
			}
		case <-time.After(Patience):
			t.Errorf("the broker did not stop")
		}
		if t.Failed() {
			t.Logf("log of the broker:\n%s", s.Log)
		}
	})
	return s
}

func startMosquitto(t testing.TB) *Server {
	m := mosquittotest.Start(t, "sys_interval 1\nmax_queued_messages 0\n")
	_, ws, err := net.SplitHostPort(m.WS[len("ws://"):])
	if err != nil {
		t.Fatal(err)
	}
	return &Server{Port: m.Port, WSPort: ws, Socket: m.Socket}
}

func port(a net.Addr) string {
	_, p, _ := net.SplitHostPort(a.String())
	return p
}
