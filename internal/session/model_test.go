package session

import (
	"slices"
	"strconv"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
	"pgregory.net/rapid"
)

// world is a session with all that surrounds it, as simple as possible: a store
// that is a list, a client that keeps the rules, a connection that breaks.
type world struct {
	t  *rapid.T
	s  *Session
	fx Effects
	p  Params

	spare Spare
	store []Entry // in the order of Seq
	seq   uint64

	// the client
	open    map[uint16]bool // QoS 2 identifiers it has answered by PUBREC
	due     []packet.Packet // what it has to answer, of this connection
	flying  int             // PUBLISH of this connection that have not ended
	here    map[uint16]bool // their identifiers
	aliases map[uint16]string
	last    int         // the highest message that has come, since the world began without LiveFirst
	mark    int         // messages from this one on were published on this connection
	past    int         // the highest of the others that has come first on it
	mode    string      // LiveFirst: never, always, sometimes
	live    []int       // of those since mark, what waited when the packets at hand were written
	order   map[int]int // of the messages that have come, by when they came first
	again   int         // the latest of those that has come again on this connection
	came    map[int]int // how often each message was taken
	refused map[int]bool
	dropped map[string]bool
	qos     []byte // of each message
}

// TestSessionModel plays random steps.
func TestSessionModel(t *testing.T) { rapid.Check(t, playSession) }

// FuzzSession plays the steps that bytes stand for.
func FuzzSession(f *testing.F) { f.Fuzz(rapid.MakeFuzz(playSession)) }

func playSession(t *rapid.T) {
	w := &world{t: t, open: map[uint16]bool{}, came: map[int]int{}, refused: map[int]bool{}, dropped: map[string]bool{}, order: map[int]int{}, last: -1}
	w.mode = rapid.SampledFrom([]string{"never", "always", "sometimes"}).Draw(t, "live first")
	w.connect(true)
	t.Repeat(map[string]func(*rapid.T){
		"publish": func(t *rapid.T) {
			w.publish(rapid.SampledFrom([]byte{1, 2}).Draw(t, "qos"), rapid.Bool().Draw(t, "room"))
		},
		"answer": func(t *rapid.T) {
			for range rapid.IntRange(0, len(w.due)).Draw(t, "n") {
				w.answer(rapid.IntRange(0, len(w.due)-1).Draw(t, "which"), rapid.IntRange(0, 9).Draw(t, "refuse") == 0)
			}
		},
		"stray": func(t *rapid.T) {
			if id := rapid.Uint16().Draw(t, "id"); w.s.sent(id) == nil {
				w.s.Puback(id, &w.fx)
				w.s.Pubcomp(id, &w.fx)
			}
		},
		"drop":    func(*rapid.T) { w.dropOldest() },
		"rest":    func(*rapid.T) { w.s.Rest() },
		"connect": func(*rapid.T) { w.connect(false) },
		"":        func(*rapid.T) { w.check() },
	})
	w.p.SendMaximum = 3
	w.connect(false)
	for range 10000 {
		w.pump()
		if len(w.due) == 0 {
			break
		}
		w.answer(0, false)
	}
	w.checkAll()
}

func (w *world) connect(first bool) {
	w.p = Params{
		Version: packet.V5, Durable: true, Spare: &w.spare,
		SendMaximum: rapid.Uint16Range(1, 5).Draw(w.t, "receive maximum"),
		SendAliases: rapid.Uint16Range(0, 2).Draw(w.t, "aliases"),
		LiveFirst:   w.mode == "always" || w.mode == "sometimes" && rapid.Bool().Draw(w.t, "live first"),
	}
	w.s = New(w.p)
	w.fx.Reset()
	w.due, w.flying, w.aliases, w.here = nil, 0, map[uint16]string{}, map[uint16]bool{}
	w.mark, w.past, w.again = len(w.qos), -1, -1
	if w.mode != "never" {
		w.last = -1
	}
	if first {
		return
	}
	var inflight []Entry
	var released []bool
	waiting, bytes := 0, 0
	for _, e := range w.store {
		if e.PacketID == 0 {
			waiting++
			bytes += e.Message.Size()
			continue
		}
		released = append(released, e.released)
		e.released = false
		inflight = append(inflight, e)
	}
	w.s.Resume(nil, inflight, released, Stored{waiting, bytes, w.seq}, &w.fx)
	w.pump()
}

func (w *world) publish(qos byte, room bool) {
	n := len(w.qos)
	w.qos = append(w.qos, qos)
	e := Entry{Message: msg(strconv.Itoa(n)), QoS: qos}
	id, v := w.s.Offer(&e, room)
	w.seq++
	e.Seq, e.PacketID = w.seq, id
	w.store = append(w.store, e)
	switch v {
	case Transmit:
		w.s.Stored(id, e.Seq)
		if !w.s.write(w.s.sent(id), false, 0, &w.fx) {
			w.t.Fatal("not written")
		}
	case Store:
		w.s.Filed()
	default:
		w.t.Fatalf("verdict %d", v)
	}
	w.pump()
}

// dropOldest gives up what has waited longest, wherever it is.
func (w *world) dropOldest() {
	seq, loaded := w.s.Oldest()
	behind, stored := w.s.Backlog()
	if !loaded && !stored {
		return
	}
	i := slices.IndexFunc(w.store, func(e Entry) bool {
		return e.PacketID == 0 && (loaded && e.Seq == seq || !loaded && e.Seq > behind)
	})
	if i < 0 {
		w.t.Fatalf("number %d (loaded %t) is not in the store", seq, loaded)
	}
	if j := slices.IndexFunc(w.store, func(e Entry) bool { return e.PacketID == 0 }); j != i {
		w.t.Fatalf("number %d is given up, and %d is older", w.store[i].Seq, w.store[j].Seq)
	}
	m := w.store[i].Message
	w.store = slices.Delete(w.store, i, i+1)
	w.dropped[string(m.Payload)] = true
	if loaded {
		w.s.DropOldest()
	} else {
		w.s.DropStored(m.Size())
	}
}

func (w *world) pump() {
	for {
		w.s.Pump(rapid.IntRange(1, 40).Draw(w.t, "room"), 0, &w.fx)
		refill := w.fx.Refill
		w.fx.Refill = 0
		w.receive()
		switch {
		case refill > 0:
			w.load(refill)
		case !w.s.Pending() || !w.s.open() && len(w.s.again) == 0 || w.flying >= int(w.p.SendMaximum):
			return
		}
	}
}

func (w *world) load(n int) {
	var list []Entry
	for _, e := range w.store {
		if e.PacketID == 0 && e.Seq > w.s.Cursor() && len(list) < n {
			list = append(list, e)
		}
	}
	w.s.Loaded(list, len(list) == n)
}

// receive applies the changes, and then lets the client see the packets.
func (w *world) receive() {
	w.live = w.live[:0]
	for _, e := range w.store {
		if n := int(e.Seq) - 1; e.PacketID == 0 && n >= w.mark {
			w.live = append(w.live, n)
		}
	}
	for _, c := range w.fx.Changes {
		i := slices.IndexFunc(w.store, func(e Entry) bool { return e.Seq == c.Seq })
		if i < 0 {
			w.t.Fatalf("a change of what is not there: %+v", c)
		}
		switch c.Kind {
		case Sent:
			w.store[i].PacketID = c.PacketID
		case Received:
			w.store[i].released, w.store[i].Message = true, nil
		case Done:
			w.store = slices.Delete(w.store, i, i+1)
		}
	}
	w.fx.Changes = w.fx.Changes[:0]
	for b := w.fx.Out; len(b) > 0; {
		h, _, err := packet.ReadHeader(b)
		if err != nil {
			w.t.Fatal(err)
		}
		p, err := packet.Decode(h, b[h.Size:h.Size+h.Remaining], packet.V5)
		if err != nil {
			w.t.Fatal(err)
		}
		b = b[h.Size+h.Remaining:]
		if pub, ok := p.(*packet.Publish); ok {
			w.take(pub)
		}
		w.due = append(w.due, p)
	}
	w.fx.Out = nil
}

func (w *world) take(p *packet.Publish) {
	if p.TopicAlias.Set {
		if len(p.Topic) > 0 {
			w.aliases[p.TopicAlias.Value] = string(p.Topic)
		}
		if p.TopicAlias.Value > w.p.SendAliases || w.aliases[p.TopicAlias.Value] != "t" {
			w.t.Fatalf("alias %d with topic %q", p.TopicAlias.Value, p.Topic)
		}
	} else if string(p.Topic) != "t" {
		w.t.Fatalf("topic %q", p.Topic)
	}
	if w.here[p.PacketID] {
		w.t.Fatalf("identifier %d is in use", p.PacketID) // [MQTT-2.2.1-4]
	}
	w.here[p.PacketID] = true
	w.flying++
	if w.flying > int(w.p.SendMaximum) {
		w.t.Fatalf("%d messages, Receive Maximum %d", w.flying, w.p.SendMaximum) // [MQTT-3.3.4-9]
	}
	n, err := strconv.Atoi(string(p.Payload))
	if err != nil {
		w.t.Fatal(err)
	}
	w.checkOrder(n, p.Dup)
	if p.QoS == 2 {
		if w.open[p.PacketID] {
			return
		}
		w.open[p.PacketID] = true
	}
	w.came[n]++
}

// checkOrder looks at the turn of a message: first what is sent again, in its order, then the others, in theirs; with
// LiveFirst those from before the connection when no newer ones wait. [MQTT-4.6.0-1] [MQTT-4.6.0-5]
func (w *world) checkOrder(n int, dup bool) {
	turn, known := w.order[n]
	if dup != known { // [MQTT-3.3.1-1]
		w.t.Fatalf("message %d: DUP %t", n, dup)
	}
	if dup {
		if turn <= w.again && (w.p.LiveFirst || w.mode == "never") { // else what is sent again has the order of the queue
			w.t.Fatalf("message %d comes again, but was sent before the last that did", n)
		}
		w.again = turn
		return
	}
	w.order[n] = len(w.order)
	highest := &w.last
	if w.p.LiveFirst && n < w.mark {
		highest = &w.past
		for _, x := range w.live {
			if _, came := w.order[x]; !came && !w.dropped[strconv.Itoa(x)] {
				w.t.Fatalf("message %d before the newer %d", n, x)
			}
		}
	}
	if n <= *highest {
		w.t.Fatalf("message %d after %d", n, *highest)
	}
	*highest = n
}

func (w *world) answer(i int, refuse bool) {
	p := w.due[i]
	w.due = slices.Delete(w.due, i, i+1)
	switch p := p.(type) {
	case *packet.Publish:
		switch {
		case p.QoS == 1:
			w.s.Puback(p.PacketID, &w.fx)
			w.end(p.PacketID)
		case refuse:
			delete(w.open, p.PacketID)
			w.s.Pubrec(p.PacketID, packet.UnspecifiedError, &w.fx)
			w.end(p.PacketID)
		default:
			w.s.Pubrec(p.PacketID, packet.Success, &w.fx)
		}
	case *packet.Pubrel:
		if p.Code != packet.Success {
			w.t.Fatalf("PUBREL %d %v", p.PacketID, p.Code)
		}
		delete(w.open, p.PacketID)
		w.s.Pubcomp(p.PacketID, &w.fx)
		w.end(p.PacketID)
	}
	w.pump()
}

func (w *world) end(id uint16) {
	if w.here[id] {
		delete(w.here, id)
		w.flying--
	}
}

func (w *world) check() {
	if w.s.outbound == nil {
		if w.flying != 0 {
			w.t.Fatalf("the session has sent nothing, the client counts %d messages under way", w.flying)
		}
	} else if w.s.flying != w.flying {
		w.t.Fatalf("the session counts %d messages under way, the client %d", w.s.flying, w.flying)
	}
	waiting, bytes := 0, 0
	for _, e := range w.store {
		if e.PacketID == 0 {
			waiting++
			bytes += e.Message.Size()
		}
	}
	if n, b := w.s.Waiting(); n != waiting || b != bytes {
		w.t.Fatalf("%d messages of %d bytes wait, the store has %d of %d", n, b, waiting, bytes)
	}
	if w.s.Inflight() != len(w.store)-waiting {
		w.t.Fatalf("%d in flight, the store has %d", w.s.Inflight(), len(w.store)-waiting)
	}
}

// checkAll: everything has come; QoS 2 once.
func (w *world) checkAll() {
	if len(w.store) != 0 || w.s.Pending() || w.s.Inflight() != 0 {
		w.t.Fatalf("left: %+v", w.store)
	}
	for n, qos := range w.qos {
		if c := w.came[n]; c == 0 != w.dropped[strconv.Itoa(n)] || qos == 2 && c > 1 {
			w.t.Fatalf("message %d of QoS %d came %d times", n, qos, c)
		}
	}
}
