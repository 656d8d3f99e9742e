package transport

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
)

// TestMove: a connection that changes its loop with every input loses nothing,
// while others send to it.
func TestMove(t *testing.T) {
	for _, k := range []kind{kinds[0], kinds[2], kinds[3]} {
		t.Run(k.name, func(t *testing.T) {
			var mu sync.Mutex
			owners := map[*loop]int{}
			handlers, made := probes(t, &probe{feed: func(p *probe, b *Batch, data []byte) (int, error) {
				own := p.c.loop
				mu.Lock()
				owners[own]++
				mu.Unlock()
				for _, l := range own.s.loops {
					if l != own {
						own.balance.target, own.balance.moving, own.balance.active = l, 1, 0
						p.c.seen = own.balance.window
					}
				}
				p.c.Send(b, data)
				return len(data), nil
			}})
			r := start(t, k, Config{NewHandler: handlers}, ListenerConfig{})
			c := r.dial(t)
			for range 500 {
				exchange(t, c, []byte("x"))
			}
			p := await(t, made)
			var others sync.WaitGroup
			for range 4 {
				others.Go(func() {
					for range 200 {
						b := r.s.Batch()
						if !p.c.Send(b, []byte("y")) {
							t.Error("not sent")
						}
						r.s.ReleaseBatch(b)
					}
				})
			}
			go func() {
				for range 200 {
					c.Write([]byte("x"))
				}
			}()
			if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			others.Wait()
			r.ln.CloseConnections(ErrListenerClosed)
			if err := await(t, p.closed); err != ErrListenerClosed {
				t.Errorf("closed by %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(owners) != 2 {
				t.Errorf("seen by %d loops", len(owners))
			}
		})
	}
}

// TestMoveBlocked: a connection whose peer does not read changes its loop, and the
// sweep of the loop that it has left does not touch it.
func TestMoveBlocked(t *testing.T) {
	handlers, _ := probes(t, &probe{feed: func(p *probe, b *Batch, data []byte) (int, error) {
		own := p.c.loop
		first, second := own.s.loops[0], own.s.loops[1]
		own.balance.began = own.s.clock.elapsed() + balanceEvery*1000 // no measurement for now
		answer := data[:1]
		switch data[0] {
		case 'f': // fill
			answer = make([]byte, 32<<20)
		case 'm': // move to the second loop
			if own == first {
				own.balance.target, own.balance.moving, own.balance.active = second, 1, 0
				p.c.seen = own.balance.window
			}
		case 'w': // where?
			answer = []byte{'0' + byte(slices.Index(own.s.loops, own))}
		case 's': // has the first loop swept since?
			if own.nextSweep != 0 || len(own.watched) != 0 {
				answer = []byte("n")
			}
		}
		p.c.Send(b, answer)
		return 1, nil
	}})
	r := start(t, kinds[0], Config{NewHandler: handlers, Loops: 2, OutLimit: 64 << 20}, ListenerConfig{})
	ask := func(c net.Conn, question string) string {
		t.Helper()
		if _, err := io.WriteString(c, question); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, len(question))
		if _, err := io.ReadFull(c, answer); err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	for range 3 { // so that the last one has a number that the first loop does not know
		c := r.dial(t)
		ask(c, "m")
		if where := ask(c, "w"); where != "1" {
			t.Fatalf("moved to loop %s", where)
		}
	}
	c, other := r.dial(t), r.dial(t)
	ask(c, "f")
	io.WriteString(c, "m")
	for ask(other, "s") != "s" {
	}
	if _, err := io.ReadFull(c, make([]byte, 32<<20)); err != nil { // the rest, and the answer to m
		t.Fatal(err)
	}
	if where := ask(c, "w"); where != "1" {
		t.Errorf("the blocked connection is on loop %s", where)
	}
}

func TestPlan(t *testing.T) {
	cases := []struct {
		name           string
		self           int
		loads          []int32
		active         int
		target, moving int // target -1: none
	}{
		{"calm first loop keeps all", 0, []int32{50, 0}, 10, -1, 0},
		{"busy first loop gives half", 0, []int32{100, 0}, 10, 1, 5},
		{"the idlest gets it", 0, []int32{100, 80, 20}, 10, 2, 4},
		{"equal loops keep", 0, []int32{90, 90}, 10, -1, 0},
		{"one connection cannot be split", 0, []int32{100, 0}, 1, 1, 0},
		{"calm loops gather", 1, []int32{20, 20}, 10, 0, 10},
		{"not when the first would be busy", 1, []int32{40, 20}, 10, -1, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &Server{}
			for _, percent := range c.loads {
				l := &loop{s: s, b: &Batch{Now: 1}}
				l.load.percent.Store(percent)
				l.load.since.Store(1)
				s.loops = append(s.loops, l)
			}
			l := s.loops[c.self]
			l.balance.active = c.active
			l.plan(int(c.loads[c.self]))
			target := -1
			for i, other := range s.loops {
				if other == l.balance.target {
					target = i
				}
			}
			if target != c.target || l.balance.moving != c.moving {
				t.Errorf("%d to %d, want %d to %d", l.balance.moving, target, c.moving, c.target)
			}
		})
	}
}

// TestNoDescriptors: a server that is out of descriptors serves who waits as
// soon as it has some again.
func TestNoDescriptors(t *testing.T) {
	p := spawn(t, "few", 1)
	r := &rig{kind: kind{network: "tcp"}, addr: p.addr}
	first := r.dial(t)
	exchange(t, first, []byte("x"))
	var held []io.Closer
	for range 2 * fewFiles {
		held = append(held, r.dial(t))
	}
	last := r.dial(t)
	exchange(t, first, []byte("still served"))
	for _, c := range held {
		c.Close()
	}
	exchange(t, last, []byte("served at last"))
}

// TestOtherLoop: while the first loop is busy, another takes new connections.
func TestOtherLoop(t *testing.T) {
	owners := make(chan *loop, 2)
	handlers, _ := probes(t, &probe{feed: func(p *probe, b *Batch, data []byte) (int, error) {
		own := p.c.loop
		owners <- own
		own.load.percent.Store(100)
		own.load.since.Store(b.Now + staleAfter*1000)
		own.balance.began = own.s.clock.elapsed() + balanceEvery*1000 // no measurement for now
		p.c.Send(b, data)
		return len(data), nil
	}})
	r := start(t, kinds[0], Config{NewHandler: handlers}, ListenerConfig{})
	exchange(t, r.dial(t), []byte("x"))
	exchange(t, r.dial(t), []byte("x"))
	if first, second := await(t, owners), await(t, owners); first == second {
		t.Error("both on one loop")
	}
}
