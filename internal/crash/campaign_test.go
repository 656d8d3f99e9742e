package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// How many clients of each kind a campaign has beside its publishers and
// subscribers.
const (
	mortals   = 4
	resetters = 4
)

// campaign is one directory, many clients, and a broker that is killed.
type campaign struct {
	seed  uint64
	bin   string
	dir   string // of everything
	size  int    // how many publishers, and how many subscribers
	h     *history
	log   *os.File
	rnd   *rand.Rand // of the campaign itself
	began time.Time

	broker  *process
	slowest time.Duration // from the start of the process to the first CONNACK

	mu          sync.Mutex // guards what follows
	changed     *sync.Cond // any of it changed
	addr        string     // "": the broker is down, or not for the clients yet
	down        chan struct{}
	incarnation int // counts the starts
	links       int // connections that clients hold
	stopped     bool
	armed       bool  // the broker kills itself at a failpoint
	err         error // the first
	messages    []message
	retained    map[string]*retained
	wills       map[int]int // how often which came
}

// message is one that was published, or tried to.
type message struct {
	stream
	n     int    // its number in the stream, from 1
	sent  uint64 // in the history, first
	acked uint64 // PUBACK or PUBREC in the history, 0 when none came

	removes bool // the retained message: no payload that says who it is
	again   bool // sent more than once
}

// stream is what has an order. [MQTT-4.6.0-5]
type stream struct {
	publisher int
	topic     string
	qos       byte
}

func newCampaign(bin, dir string, size int, seed uint64) (*campaign, error) {
	c := &campaign{
		seed: seed, bin: bin, dir: dir, size: size, rnd: random(seed, 0), began: time.Now(),
		retained: make(map[string]*retained), wills: make(map[int]int),
	}
	c.changed = sync.NewCond(&c.mu)
	h, err := os.Create(filepath.Join(dir, "history.txt"))
	if err != nil {
		return nil, err
	}
	c.h = newHistory(h)
	if c.log, err = os.Create(filepath.Join(dir, "broker.log")); err != nil {
		return nil, err
	}
	return c, os.WriteFile(filepath.Join(dir, "seed.txt"), fmt.Appendln(nil, seed), 0o600)
}

// random is the n-th source of a campaign.
func random(seed uint64, n int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(n))) }

// run plays the campaign; harm is what is done to the broker while the clients
// are at it.
func (c *campaign) run(harm func() error) error {
	defer func() {
		c.fail(errors.New("over")) // nobody goes on
		if c.broker != nil {
			c.broker.kill()
		}
		_ = c.h.flush()
		c.log.Close()
	}()
	if err := c.raise(); err != nil {
		return err
	}
	var subscribing, others sync.WaitGroup
	subs := c.subscribe(&subscribing)
	if c.failure() == nil {
		c.publish(&others)
		c.try(harm())
	}
	c.finish()
	others.Wait()
	c.try(c.end())
	subscribing.Wait()
	if err := c.failure(); err != nil {
		return err
	}
	if err := c.check(subs); err != nil {
		return err
	}
	return c.afterCleanStop(subs)
}

// subscribe starts the subscribers and returns when all have subscribed.
func (c *campaign) subscribe(wg *sync.WaitGroup) (subs []*subscriber) {
	var ready sync.WaitGroup
	for i := range c.size {
		s := newSubscriber(c, i, &ready)
		subs = append(subs, s)
		wg.Go(func() { c.live(s.who, s.life) })
	}
	ready.Wait()
	return subs
}

// publish starts everybody else.
func (c *campaign) publish(wg *sync.WaitGroup) {
	for i := range c.size {
		p := newPublisher(c, i)
		wg.Go(func() { c.live(p.who, p.life) })
	}
	for i := range mortals {
		m := newMortal(c, i)
		wg.Go(func() { c.live(m.who, m.life) })
	}
	for i := range resetters {
		r := newResetter(c, i)
		wg.Go(func() { c.live(r.who, r.life) })
	}
}

// raise starts the broker, looks at the retained messages, and lets the clients
// in.
func (c *campaign) raise(env ...string) error {
	p, err := start(c.bin, filepath.Join(c.dir, "data"), c.log, env...)
	if err != nil {
		return err
	}
	c.broker = p
	addr, err := p.address()
	if err != nil {
		return err
	}
	if err := c.inspect(addr); err != nil {
		return fmt.Errorf("after start %d: %w", c.incarnation+1, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.incarnation++
	c.addr, c.down = addr, make(chan struct{})
	c.changed.Broadcast()
	return nil
}

// killing kills and starts the broker again.
func (c *campaign) killing(kills int) error {
	for i := range kills {
		after := time.NewTimer(5*time.Millisecond + time.Duration(c.rnd.Int64N(int64(1995*time.Millisecond))))
		<-after.C
		if c.failure() != nil {
			return nil
		}
		c.bringDown(fmt.Sprintf("kill %d", i+1), func() error { c.broker.kill(); return nil })
		if c.rnd.IntN(6) == 0 {
			if err := c.killEarly(); err != nil {
				return err
			}
		}
		if err := c.raise(); err != nil {
			return err
		}
	}
	return nil
}

// killEarly kills the broker while it starts.
func (c *campaign) killEarly() error {
	p, err := start(c.bin, filepath.Join(c.dir, "data"), c.log)
	if err != nil {
		return err
	}
	t := time.NewTimer(time.Duration(c.rnd.Int64N(int64(60 * time.Millisecond))))
	select {
	case <-t.C:
	case <-p.ended:
	}
	p.kill()
	return nil
}

// bringDown ends the broker and waits until no client holds a connection to it.
func (c *campaign) bringDown(why string, end func() error) {
	c.mu.Lock()
	c.addr = ""
	close(c.down)
	c.changed.Broadcast()
	c.mu.Unlock()
	c.h.note("broker", why)
	c.try(end())
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.links > 0 {
		c.changed.Wait()
	}
}

// live gives a client one connection after the other until it has ended.
func (c *campaign) live(who string, life func(*wire) (done bool, err error)) {
	for {
		w, err := c.admit(who)
		if err != nil || w == nil {
			c.try(err)
			return
		}
		done, err := life(w)
		c.release(w)
		if _, ok := errors.AsType[lost](err); ok && c.killed(w) {
			err = nil
		} else if err == nil && done {
			return
		}
		if err != nil {
			c.try(fmt.Errorf("%s: %w", who, err))
			return
		}
	}
}

// admit waits for the broker and connects; nil: it is over.
func (c *campaign) admit(who string) (*wire, error) {
	for {
		c.mu.Lock()
		for c.addr == "" && c.err == nil {
			c.changed.Wait()
		}
		if c.err != nil {
			c.mu.Unlock()
			return nil, nil
		}
		addr, down, n := c.addr, c.down, c.incarnation
		c.links++
		c.mu.Unlock()
		w, err := dial(c, who, addr)
		if err == nil {
			w.down, w.incarnation = down, n
			return w, nil
		}
		c.release(nil)
		if !c.killed(&wire{down: down}) {
			return nil, fmt.Errorf("%s: %w", who, err)
		}
	}
}

func (c *campaign) release(w *wire) {
	if w != nil {
		w.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links--
	c.changed.Broadcast()
}

// killed reports whether the broker of the connection is gone.
func (c *campaign) killed(w *wire) bool {
	select {
	case <-w.down:
		return true
	default:
	}
	c.mu.Lock()
	armed := c.armed
	c.mu.Unlock()
	if armed {
		<-w.down // it goes by itself, and somebody looks whether it did
	}
	return armed
}

func (c *campaign) fail(err error) { c.try(err) }

func (c *campaign) try(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		c.changed.Broadcast()
		if c.broker != nil {
			_ = c.broker.cmd.Process.Kill() // wakes all who wait for it
		}
	}
}

func (c *campaign) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// finish tells the publishers and the others to come to an end.
func (c *campaign) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.changed.Broadcast()
}

func (c *campaign) finishing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// end publishes the message behind which a subscriber expects no more.
func (c *campaign) end() error {
	if c.failure() != nil {
		return nil
	}
	w, err := dial(c, "end", c.addr)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.open(&packet.Connect{Version: packet.V5, ClientID: "end", CleanStart: true}); err != nil {
		return err
	}
	_, err = w.ask(&packet.Publish{Topic: []byte("end"), QoS: 1, PacketID: 1})
	return err
}

// inspect is the first client after a start: it compares the retained messages
// with what their publishers know.
func (c *campaign) inspect(addr string) error {
	w, err := dial(c, "inspector", addr)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.open(&packet.Connect{Version: packet.V5, ClientID: "inspector", CleanStart: true}); err != nil {
		return err
	}
	c.slowest = max(c.slowest, time.Since(c.broker.began))
	_, err = w.send(
		&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: "r/#"}}},
		&packet.Pingreq{})
	if err != nil {
		return err
	}
	found := make(map[string]string)
	for {
		p, err := w.next()
		if err != nil {
			return err
		}
		if k, ok := p.(*packet.Publish); ok {
			found[string(k.Topic)] = strings.Clone(string(k.Payload))
		}
		if p.Type() == packet.TypePingresp {
			return c.checkRetained(found)
		}
	}
}
