package script

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/internal/conn"
	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/transport"
)

// parts is a broker put together by hand, within synctest, on a store of the test's.
type parts struct {
	dial func() (net.Conn, error)
	stop func() // when all connections have ended
}

func assemble(t *testing.T, s store.Store, a hub.Access) *parts {
	t.Helper()
	var h *hub.Hub
	var cs *conn.Server
	net := transport.New(transport.Config{
		Goroutines: true,
		NewHandler: func(c *transport.Conn, b *transport.Batch) transport.Handler { return cs.Handler(c, b) },
		NewLocal:   func() any { return h.NewLocal() },
	})
	h = hub.New(hub.Config{
		Store: s, Now: func() int64 { return time.Now().UnixMilli() }, Batch: net.Batch, Release: net.ReleaseBatch, Access: a,
	})
	cs = conn.NewServer(conn.Config{Hub: h, Batch: net.Batch, Release: net.ReleaseBatch})
	if err := h.Load(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen(transport.ListenerConfig{Network: "pipe", Data: &conn.Limits{Anonymous: true, MaxQoS: 2, MaxGranted: 2}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- net.Run(ctx) }()
	go func() { h.Run(ctx); ended <- nil }()
	synctest.Wait()
	return &parts{dial: ln.Dial, stop: func() {
		cancel()
		cs.Close()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}}
}
