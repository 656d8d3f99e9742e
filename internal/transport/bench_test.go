package transport

import (
	"io"
	"net"
	"runtime/debug"
	"testing"
)

// echo answers with what it gets.
type echo struct{ c *Conn }

func (e *echo) Feed(b *Batch, data []byte) (int, error) {
	e.c.Send(b, data)
	return len(data), nil
}
func (e *echo) Drained(*Batch)       {}
func (e *echo) Closed(*Batch, error) {}

func newEcho(c *Conn, _ *Batch) Handler { return &echo{c} }

// exchangeOnce is one round trip without an allocation on the client's side.
func exchangeOnce(t testing.TB, c net.Conn, p, got []byte) {
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
}

// TestNoAllocations: read, Feed, Send and Flush allocate nothing once warm.
func TestNoAllocations(t *testing.T) {
	for _, k := range kinds {
		if k.ws || k.tls || k.network == "pipe" {
			continue // the clients of these allocate, and so does crypto/tls
		}
		t.Run(k.name, func(t *testing.T) {
			c := start(t, k, Config{NewHandler: newEcho}, ListenerConfig{}).dial(t)
			p, got := make([]byte, 100), make([]byte, 100)
			// A collection empties the shared pools, which is not what is measured.
			defer debug.SetGCPercent(debug.SetGCPercent(-1))
			if n := testing.AllocsPerRun(500, func() { exchangeOnce(t, c, p, got) }); n >= 1 {
				t.Errorf("%v allocations per round trip", n)
			}
		})
	}
}

func BenchmarkEcho(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			c := start(b, k, Config{NewHandler: newEcho}, ListenerConfig{}).dial(b)
			p, got := make([]byte, 64), make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				exchangeOnce(b, c, p, got)
			}
		})
	}
}
