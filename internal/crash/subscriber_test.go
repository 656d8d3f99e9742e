package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

const (
	someTopics = 16 // each with some subscribers
	flipTopics = 6  // of subscriptions that come and go
)

// subscriber has a session that outlives its connections, and receives until
// the message that ends the campaign.
type subscriber struct {
	c       *campaign
	i       int
	who     string
	rnd     *rand.Rand
	version packet.Version
	window  uint16
	ready   *sync.WaitGroup // until it has subscribed
	session knowledge

	qos     map[string]byte // of the subscriptions, by filter without /#
	flips   [flipTopics]flip
	pending packet.Packet // SUBSCRIBE or UNSUBSCRIBE without its answer
	ids     uint16

	half  map[uint16]int // QoS 2 identifiers received, until PUBREL, with the message
	got   map[int]int    // messages handed to the application, how often
	last  map[stream]int // number of the newest message, by stream
	owed  []packet.Packet
	ended bool
}

// flip is the life of a subscription that comes and goes: its spans, in the
// numbers of the history.
type flip struct {
	on    bool
	spans []span
}

type span struct{ subscribe, suback, unsubscribe, unsuback uint64 }

func newSubscriber(c *campaign, i int, ready *sync.WaitGroup) *subscriber {
	s := &subscriber{
		c: c, i: i, who: "sub" + strconv.Itoa(i), rnd: random(c.seed, 2000+i), version: packet.V311, ready: ready,
		half: make(map[uint16]int), got: make(map[int]int), last: make(map[stream]int),
	}
	if i%2 == 0 {
		s.version = packet.V5
	}
	s.window = uint16(1 + s.rnd.IntN(20))
	s.qos = map[string]byte{"end": 1, "one/" + strconv.Itoa(i): 2}
	for range 4 {
		s.qos["t/"+strconv.Itoa(s.rnd.IntN(someTopics))] = byte(1 + s.rnd.IntN(2))
	}
	if i%10 == 0 {
		s.qos["all"] = 2
	}
	if i < 3 {
		s.qos["r"] = 2
	}
	if i == 0 {
		s.qos["will"] = 2
	}
	ready.Add(1)
	return s
}

// flipQoS is that of the subscriptions that come and go.
func flipQoS(k int) byte { return byte(1 + k%2) }

func (s *subscriber) life(w *wire) (done bool, err error) {
	if err := s.connect(w); err != nil {
		return false, s.giveUp(err)
	}
	for {
		k, n, err := w.receive()
		if err == nil {
			err = s.handle(k, n)
		}
		if err != nil {
			return false, err
		}
		if s.ended && len(s.half) == 0 && s.pending == nil {
			return true, s.part(w)
		}
		if !s.ended && s.rnd.IntN(250) == 0 {
			return false, s.goAway(w)
		}
		if w.r.Buffered() > 0 && len(s.owed) < int(s.window) && s.rnd.IntN(3) == 0 {
			continue // answer several at once
		}
		owed := s.owed
		s.owed = nil
		if _, err := w.send(owed...); err != nil {
			return false, err
		}
		if s.pending == nil && !s.ended && s.session == there && s.rnd.IntN(40) == 0 {
			if err := s.flip(w); err != nil {
				return false, err
			}
		}
	}
}

// giveUp lets nobody wait for a subscriber that never subscribed.
func (s *subscriber) giveUp(err error) error {
	if _, ok := errors.AsType[lost](err); !ok {
		s.isReady()
	}
	return err
}

func (s *subscriber) isReady() {
	if s.ready != nil {
		s.ready.Done()
		s.ready = nil
	}
}

func (s *subscriber) connect(w *wire) error {
	k := &packet.Connect{Version: s.version, ClientID: s.who}
	if s.version == packet.V5 {
		k.SessionExpiry, k.ReceiveMaximum = packet.Some[uint32](0xFFFFFFFF), packet.Some(s.window)
	}
	was := s.session
	if was == none {
		s.session = maybe
	}
	ack, err := w.open(k)
	if err != nil {
		return err
	}
	if err := was.judge(ack.SessionPresent); err != nil {
		return err
	}
	s.session, s.owed = there, nil
	if s.ready != nil {
		s.pending = s.all()
	}
	if s.pending != nil {
		_, err = w.send(s.pending)
	}
	return err
}

// all subscribes to what stays.
func (s *subscriber) all() packet.Packet {
	k := &packet.Subscribe{PacketID: s.id()}
	for filter, qos := range s.qos {
		if filter != "end" && !strings.Contains(filter, "/") {
			filter += "/#"
		}
		k.Filters = append(k.Filters, packet.SubscribeFilter{Filter: filter, Options: packet.Options{QoS: qos}})
	}
	return k
}

func (s *subscriber) id() uint16 {
	s.ids = s.ids%1000 + 1
	return s.ids + 40000
}

// flip subscribes or unsubscribes.
func (s *subscriber) flip(w *wire) error {
	k := s.rnd.IntN(flipTopics)
	filter, f := "flip/"+strconv.Itoa(k), &s.flips[k]
	if f.on {
		s.pending = &packet.Unsubscribe{PacketID: s.id(), Filters: []string{filter}}
	} else {
		s.pending = &packet.Subscribe{PacketID: s.id(), Filters: []packet.SubscribeFilter{
			{Filter: filter, Options: packet.Options{QoS: flipQoS(k)}}}}
	}
	f.on = !f.on
	n, err := w.send(s.pending)
	if f.on {
		f.spans = append(f.spans, span{subscribe: n})
	} else {
		f.spans[len(f.spans)-1].unsubscribe = n
	}
	return err
}

// handle takes one packet from the broker.
func (s *subscriber) handle(k packet.Packet, n uint64) error {
	switch k := k.(type) {
	case *packet.Publish:
		return s.arrived(k)
	case *packet.Pubrel:
		delete(s.half, k.PacketID)
		s.owed = append(s.owed, &packet.Pubcomp{PacketID: k.PacketID})
		return nil
	case *packet.Suback, *packet.Unsuback:
		return s.answered(k, n)
	}
	return errors.New("unexpected: " + describe(k))
}

// answered takes the answer to a SUBSCRIBE or UNSUBSCRIBE.
func (s *subscriber) answered(k packet.Packet, n uint64) error {
	id, _ := identifier(k)
	var filter string
	switch p := s.pending.(type) {
	case *packet.Subscribe:
		if a, ok := k.(*packet.Suback); !ok || a.PacketID != p.PacketID || a.Codes[0] >= packet.UnspecifiedError {
			return errors.New("unexpected: " + describe(k))
		}
		filter = p.Filters[0].Filter
	case *packet.Unsubscribe:
		if p.PacketID != id {
			return errors.New("unexpected: " + describe(k))
		}
		filter = p.Filters[0]
	}
	s.pending = nil
	s.isReady()
	if number, ok := strings.CutPrefix(filter, "flip/"); ok {
		f := &s.flips[number[0]-'0']
		if last := &f.spans[len(f.spans)-1]; f.on {
			last.suback = n
		} else {
			last.unsuback = n
		}
	}
	return nil
}

// arrived takes a PUBLISH as the standard tells a client to. [MQTT-4.3.2-4] [MQTT-4.3.3-8]
func (s *subscriber) arrived(k *packet.Publish) error {
	topic := string(k.Topic)
	if k.QoS == 1 {
		s.owed = append(s.owed, &packet.Puback{PacketID: k.PacketID})
	} else {
		s.owed = append(s.owed, &packet.Pubrec{PacketID: k.PacketID})
	}
	number := -1
	if topic != "end" && len(k.Payload) > 0 && !strings.HasPrefix(topic, "will/") {
		var err error
		if number, err = index(k.Payload); err != nil {
			return err
		}
	}
	if k.QoS == 2 {
		if was, open := s.half[k.PacketID]; open { // [MQTT-4.3.3-10]
			if was != number {
				return fmt.Errorf("identifier %d carries message %d while message %d has not been released", k.PacketID, number, was)
			}
			return nil
		}
		s.half[k.PacketID] = number
	}
	switch {
	case topic == "end":
		s.ended = true
	case strings.HasPrefix(topic, "will/"):
		return s.c.willArrived(string(k.Payload))
	case number >= 0:
		return s.application(k, topic, number)
	}
	return nil
}

// application gets the message; what can be judged at once is.
func (s *subscriber) application(k *packet.Publish, topic string, number int) error {
	s.c.mu.Lock()
	if number >= len(s.c.messages) {
		s.c.mu.Unlock()
		return fmt.Errorf("message %d was never sent", number)
	}
	m := s.c.messages[number]
	s.c.mu.Unlock()
	qos, ok := s.subscribed(topic)
	switch {
	case m.topic != topic:
		return fmt.Errorf("message %d for %s came as one for %s", number, m.topic, topic)
	case !ok:
		return fmt.Errorf("message %d for %s came without a subscription", number, topic)
	case k.QoS != min(m.qos, qos): // [MQTT-3.8.4-8]
		return fmt.Errorf("message %d came with QoS %d", number, k.QoS)
	}
	s.got[number]++
	if s.got[number] > 1 {
		if k.QoS == 2 {
			return fmt.Errorf("message %d of QoS 2 came twice", number)
		}
		return nil
	}
	if last := s.last[m.stream]; m.n < last { // [MQTT-4.6.0-5]
		if m.again && m.qos == 1 && strings.HasPrefix(topic, "flip/") {
			return nil // the first copy came when there was no subscription, and is no copy of ours
		}
		return fmt.Errorf("message %d, number %d of %+v, came behind number %d", number, m.n, m.stream, last)
	}
	s.last[m.stream] = m.n
	return nil
}

// subscribed returns the QoS of the subscription that the topic falls under.
func (s *subscriber) subscribed(topic string) (byte, bool) {
	kind, number, _ := strings.Cut(topic, "/")
	if kind == "flip" {
		k, _ := strconv.Atoi(number)
		return flipQoS(k), len(s.flips[k].spans) > 0
	}
	if qos, ok := s.qos[topic]; ok {
		return qos, true
	}
	qos, ok := s.qos[kind]
	return qos, ok
}

// goAway ends the connection in one of several ways, and stays away for a while.
func (s *subscriber) goAway(w *wire) (err error) {
	switch s.rnd.IntN(3) {
	case 0:
		err = w.leave(&packet.Disconnect{})
	case 1:
		err = w.hangUp()
	}
	if err == nil {
		w.pause(time.Duration(s.rnd.Int64N(int64(400 * time.Millisecond))))
	}
	return err
}

// part answers what is owed and waits until the broker has seen it.
func (s *subscriber) part(w *wire) error {
	if _, err := w.send(append(s.owed, &packet.Pingreq{})...); err != nil {
		return err
	}
	s.owed = nil
	for {
		k, n, err := w.receive()
		if err != nil || k.Type() == packet.TypePingresp {
			return err
		}
		if err := s.handle(k, n); err != nil {
			return err
		}
		if _, err := w.send(s.owed...); err != nil {
			return err
		}
		s.owed = nil
	}
}
