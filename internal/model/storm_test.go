package model

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/store/disk"
	"github.com/nightjarmq/nightjar/packet"
)

// TestStorm lets many clients loose on the broker at once, over TCP: publishers
// and subscribers that lose their connections all the time, members of a shared
// subscription, and clients that take each other's identifiers. A checker judges
// what they saw.
func TestStorm(t *testing.T) { storms(t, configuration()) }

// TestStormDisk is TestStorm with the state on the disk.
func TestStormDisk(t *testing.T) {
	cfg := configuration()
	cfg.Data, cfg.Durability = t.TempDir(), disk.Sync
	storms(t, cfg)
}

func storms(t *testing.T, cfg broker.Config) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cfg.Listeners = []broker.Listener{{Address: "127.0.0.1:0"}}
	cfg.Loops = 4
	b, stop := start(t, cfg)
	defer stop()
	s := &storm{addr: b.Addrs()[0].String(), seed: seed, history: newHistory(), messages: 400}
	if testing.Short() {
		s.messages = 80
	}
	if err := s.run(); err != nil {
		tell(t, b)
		t.Fatal(err)
	}
}

// tell logs what says where a message has gone that somebody misses: a storm does not come again.
func tell(t *testing.T, b *broker.Broker) {
	for _, f := range b.Figures() {
		if strings.Contains(f.Topic, "dropped/") && f.Value != 0 {
			t.Logf("%s: %v", f.Topic, f.Value)
		}
	}
	for _, id := range append(names("sub", subscribers), names(shared, members)...) {
		n, _ := b.Queued(id)
		dropped := b.Dropped(id)
		maps.DeleteFunc(dropped, func(_ string, n int64) bool { return n == 0 })
		t.Logf("%s: %d messages wait or are not acknowledged; dropped: %v", id, n, dropped)
	}
}

type storm struct {
	addr     string
	seed     uint64
	messages int // of each publisher
	history  *history

	mu     sync.Mutex
	err    error // the first; guarded by mu
	failed chan struct{}
}

const (
	publishers  = 8
	subscribers = 5
	members     = 3
	rivals      = 4
)

func (s *storm) run() error {
	s.failed = make(chan struct{})
	var publishing, subscribing, ready sync.WaitGroup
	all, group := names("sub", subscribers), names(shared, members)
	for i, id := range append(all[:len(all):len(all)], group...) {
		filter := "storm/#"
		if i >= len(all) {
			filter = "$share/group/storm/#"
		}
		ready.Add(1)
		subscribing.Go(func() { s.try(s.subscriber(id, filter, s.random(i), ready.Done)) })
	}
	ready.Wait()
	for i, id := range names("pub", publishers) {
		publishing.Go(func() { s.try(s.publisher(id, s.random(100+i))) })
	}
	for i := range rivals {
		publishing.Go(func() { s.try(s.rival(s.random(200 + i))) })
	}
	publishing.Wait()
	s.try(s.end())
	subscribing.Wait()
	if s.err != nil {
		return s.err
	}
	return errors.Join(s.history.check(all), s.history.checkShared(group))
}

func names(prefix string, n int) (list []string) {
	for i := range n {
		list = append(list, prefix+strconv.Itoa(i))
	}
	return list
}

func (s *storm) random(i int) *rand.Rand { return rand.New(rand.NewPCG(s.seed, uint64(i))) }

func (s *storm) try(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.failed)
	}
}

func (s *storm) over() bool {
	select {
	case <-s.failed:
		return true
	default:
		return false
	}
}

// wire is a connection that is read where it is used.
type wire struct {
	net.Conn
	r *bufio.Reader
	v packet.Version
}

// dial connects; fresh is false if a session must be found.
func (s *storm) dial(k *packet.Connect, fresh bool) (*wire, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	w := &wire{conn, bufio.NewReader(conn), k.Version}
	k.Username = packet.Some("alice")
	p, err := w.ask(k)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: CONNECT: %w", k.ClientID, err)
	}
	if ack, ok := p.(*packet.Connack); !ok || ack.Code != 0 || !k.CleanStart && ack.SessionPresent == fresh {
		conn.Close()
		return nil, fmt.Errorf("%s: answer to CONNECT: %+v; a fresh session: %v", k.ClientID, p, fresh)
	}
	return w, nil
}

func (w *wire) ask(p packet.Packet) (packet.Packet, error) {
	if err := w.send(p); err != nil {
		return nil, err
	}
	return w.next()
}

func (w *wire) send(list ...packet.Packet) error {
	var out []byte
	for _, p := range list {
		out = p.Append(out, w.v)
	}
	_, err := w.Write(out)
	return err
}

func (w *wire) next() (packet.Packet, error) {
	head, err := w.r.Peek(2)
	for n := 2; err == nil; {
		h, ok, herr := packet.ReadHeader(head)
		if herr != nil {
			return nil, herr
		}
		if ok {
			b := make([]byte, h.Size+h.Remaining)
			if _, err := io.ReadFull(w.r, b); err != nil {
				return nil, err
			}
			return packet.Decode(h, b[h.Size:], w.v)
		}
		n++
		head, err = w.r.Peek(n)
	}
	return nil, err
}

// publisher publishes numbered messages with all three QoS, in windows, and
// loses its connection now and then.
func (s *storm) publisher(id string, rnd *rand.Rand) error {
	version := packet.V311 + packet.Version(rnd.IntN(2))
	p := &publisher{s: s, id: id, rnd: rnd, left: s.messages, fresh: true}
	for (p.left > 0 || len(p.open) > 0) && !s.over() {
		w, err := s.dial(&packet.Connect{Version: version, ClientID: id, SessionExpiry: packet.Some[uint32](3600)}, p.fresh)
		if err != nil {
			return err
		}
		p.fresh = false
		err = p.work(w)
		w.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

type publisher struct {
	s      *storm
	id     string
	rnd    *rand.Rand
	left   int
	fresh  bool
	number [3]int // of the last message, by QoS
	ids    uint16
	open   []*outgoing // QoS 1 and 2 without PUBACK or PUBCOMP, in order
}

type outgoing struct {
	packet.Publish
	released bool // PUBREC has come
}

// work publishes until the connection is lost, on purpose, or all is done.
func (p *publisher) work(w *wire) error {
	for _, o := range p.open { // [MQTT-4.4.0-1]
		var again packet.Packet = &packet.Pubrel{PacketID: o.PacketID}
		if !o.released {
			dup := o.Publish
			dup.Dup = true
			again = &dup
		}
		if err := w.send(again); err != nil {
			return err
		}
	}
	for p.left > 0 || len(p.open) > 0 {
		if err := w.send(p.more()...); err != nil {
			return err
		}
		if p.rnd.IntN(12) == 0 {
			return nil
		}
		for len(p.open) > 0 && (p.left == 0 || p.rnd.IntN(4) > 0) {
			if err := p.answer(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// more makes some messages.
func (p *publisher) more() (list []packet.Packet) {
	for range 1 + p.rnd.IntN(6) {
		if p.left == 0 || len(p.open) >= receiveMaximum {
			break
		}
		p.left--
		qos := byte(p.rnd.IntN(3))
		p.number[qos]++
		k := packet.Publish{
			Topic: fmt.Appendf(nil, "storm/%s/%d", p.id, qos), Payload: strconv.AppendInt(nil, int64(p.number[qos]), 10), QoS: qos,
		}
		if qos == 0 {
			p.s.history.acknowledged(stream{p.id, 0}) // sent, at least
		} else {
			p.ids++
			k.PacketID = p.ids
			p.open = append(p.open, &outgoing{Publish: k})
		}
		list = append(list, &k)
	}
	return list
}

// answer handles one packet from the broker.
func (p *publisher) answer(w *wire) error {
	k, err := w.next()
	if err != nil {
		return err
	}
	for i, o := range p.open {
		if o.PacketID != idOf(k) {
			continue
		}
		if k.Type() == packet.TypePubrec {
			o.released = true
			return w.send(&packet.Pubrel{PacketID: o.PacketID})
		}
		p.open = append(p.open[:i], p.open[i+1:]...)
		p.s.history.acknowledged(stream{p.id, o.QoS})
		return nil
	}
	return fmt.Errorf("%v for %d, which is not open", k.Type(), idOf(k))
}

// subscriber receives until the message that ends the storm, and loses its
// connection now and then.
func (s *storm) subscriber(id, filter string, rnd *rand.Rand, ready func()) error {
	c := &receiver{s: s, id: id, rnd: rnd, half: make(map[uint16]bool), window: 1 + rnd.IntN(10)}
	k := &packet.Connect{
		Version: packet.V5, ClientID: id, SessionExpiry: packet.Some[uint32](3600), ReceiveMaximum: packet.Some(uint16(c.window)),
	}
	w, err := s.dial(k, true)
	if err != nil {
		ready()
		return err
	}
	_, err = w.ask(&packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{
		{Filter: filter, Options: packet.Options{QoS: 2}}, {Filter: "end", Options: packet.Options{QoS: 2}},
	}})
	ready()
	for err == nil && !s.over() {
		err = c.work(w)
		w.Close()
		if err != nil || c.ended {
			break
		}
		w, err = s.dial(k, false)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	return nil
}

type receiver struct {
	s      *storm
	id     string
	rnd    *rand.Rand
	half   map[uint16]bool // QoS 2 received, PUBREL has not come
	window int
	ended  bool
}

// work receives until the connection is lost on purpose or the storm ends.
func (c *receiver) work(w *wire) error {
	flight := 0
	var owed []packet.Packet // withheld for a while
	for !c.ended {
		k, err := w.next()
		if err != nil {
			return err
		}
		var ack packet.Packet
		switch k := k.(type) {
		case *packet.Publish:
			if ack, err = c.arrived(k); err != nil {
				return err
			}
			if k.QoS > 0 {
				flight++
			}
		case *packet.Pubrel:
			delete(c.half, k.PacketID)
			ack = &packet.Pubcomp{PacketID: k.PacketID}
		}
		if flight > c.window { // [MQTT-3.3.4-9]
			return fmt.Errorf("%d messages exceed the Receive Maximum %d", flight, c.window)
		}
		if c.rnd.IntN(40) == 0 {
			return nil
		}
		if ack != nil {
			owed = append(owed, ack)
		}
		if len(owed) < c.window && c.rnd.IntN(3) == 0 && w.r.Buffered() > 0 {
			continue
		}
		for _, a := range owed {
			if a.Type() != packet.TypePubrec {
				flight = max(0, flight-1) // PUBCOMP may be of an earlier connection
			}
		}
		if err := w.send(owed...); err != nil {
			return err
		}
		owed = nil
	}
	return w.send(append(owed, &packet.Disconnect{})...)
}

// arrived notes a message and returns what to answer.
func (c *receiver) arrived(k *packet.Publish) (ack packet.Packet, err error) {
	switch k.QoS {
	case 1:
		ack = &packet.Puback{PacketID: k.PacketID}
	case 2:
		ack = &packet.Pubrec{PacketID: k.PacketID}
		if c.half[k.PacketID] { // [MQTT-4.3.3-10]
			return ack, nil
		}
		c.half[k.PacketID] = true
	}
	if string(k.Topic) == "end" {
		c.ended = true
		return ack, nil
	}
	from := strings.Split(string(k.Topic), "/")
	n, err := strconv.Atoi(string(k.Payload))
	if err != nil {
		return nil, err
	}
	return ack, c.s.history.arrived(c.id, stream{from[1], k.QoS}, n)
}

// rival takes an identifier that others use as well, again and again, and
// publishes with it. What is acknowledged counts, whoever took over meanwhile.
func (s *storm) rival(rnd *rand.Rand) error {
	id := "rival" + strconv.Itoa(rnd.IntN(2))
	for range s.messages / 4 {
		if s.over() {
			return nil
		}
		w, err := s.connectRival(id, rnd)
		if err != nil {
			return err
		}
		if w == nil {
			continue // taken over at once
		}
		_ = w.send(&packet.Publish{Topic: []byte("rivalry"), Payload: []byte("x"), QoS: 1, PacketID: 1})
		for {
			k, err := w.next()
			if err != nil {
				break // taken over
			}
			if k.Type() == packet.TypePuback {
				break
			}
		}
		w.Close()
	}
	return nil
}

func (s *storm) connectRival(id string, rnd *rand.Rand) (*wire, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	w := &wire{conn, bufio.NewReader(conn), packet.V5}
	k, err := w.ask(&packet.Connect{
		Version: packet.V5, ClientID: id, Username: packet.Some("alice"), CleanStart: rnd.IntN(3) == 0,
		SessionExpiry: packet.Some(uint32(rnd.IntN(2) * 100)),
		Will:          &packet.Will{Topic: "rivalry", Payload: []byte("gone"), QoS: 1},
	})
	if err != nil {
		conn.Close()
		return nil, nil
	}
	if k.Type() != packet.TypeConnack { // [MQTT-3.2.0-1]
		conn.Close()
		return nil, fmt.Errorf("%s: the first packet is %v", id, k.Type())
	}
	return w, nil
}

// end publishes the message that tells subscribers that nothing more will come.
func (s *storm) end() error {
	w, err := s.dial(&packet.Connect{Version: packet.V5, ClientID: "end", CleanStart: true}, true)
	if err != nil {
		return err
	}
	defer w.Close()
	_, err = w.ask(&packet.Publish{Topic: []byte("end"), QoS: 2, PacketID: 1})
	return err
}
