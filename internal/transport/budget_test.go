package transport

import (
	"testing"

	"github.com/nightjarmq/nightjar/internal/budget"
)

// TestBudgetCountsMemory: what waits for a peer that does not read counts as the buffers that it lies in, not as the bytes in
// them: of the first a part has left, and the last has room.
func TestBudgetCountsMemory(t *testing.T) {
	for _, k := range kinds {
		if k.network != "pipe" && !k.goroutines { // a goroutine that writes has taken its part out of the output
			t.Run(k.name, func(t *testing.T) { testBudgetCountsMemory(t, k) })
		}
	}
}

func testBudgetCountsMemory(t *testing.T, k kind) {
	shared := budget.New(4<<20, 0)
	full := make(chan struct{}, 1)
	handlers, made := probes(t, &probe{feed: func(p *probe, b *Batch, data []byte) (int, error) {
		for p.c.Send(b, make([]byte, 10_000)) {
		}
		full <- struct{}{}
		return len(data), nil
	}})
	c := start(t, k, Config{NewHandler: handlers, Budget: shared, OutLimit: 1 << 30}, ListenerConfig{}).dial(t)
	if _, err := c.Write([]byte("go")); err != nil {
		t.Fatal(err)
	}
	await(t, full)
	p := await(t, made)
	eventually(t, "the buffers count", func() bool {
		p.c.mu.Lock()
		defer p.c.mu.Unlock()
		return p.c.flags&(writing|blocked) == blocked && p.c.memory() <= int(shared.Used())
	})
	p.c.Close(nil)
	c.Close()
	eventually(t, "nothing counts", func() bool { return shared.Used() == 0 })
}

// memory is what the buffers of the output take. The mutex is held.
func (c *Conn) memory() (n int) {
	for p := c.head; p != nil; p = p.next {
		n += len(p.b) - c.frameRoom()
	}
	return n
}
