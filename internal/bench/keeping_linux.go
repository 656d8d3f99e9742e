package bench

import (
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// offline stores messages for a session without a connection, and then has it come for them.
func (r *run) offline() error {
	if err := r.needsAcks(); err != nil {
		return err
	}
	o, g := &r.o, r.ledger
	away, err := r.open(1, func(int) *link {
		l := r.client("sleeper", 0)
		l.filters = r.filter(r.topic("offline"))
		l.staysAway()
		return l
	})
	if err != nil {
		return err
	}
	away[0].disconnect()
	r.kept = away
	pubs, err := r.open(1, func(i int) *link { return r.client("pub", i) })
	if err != nil {
		return err
	}
	if err := r.rest(200 * time.Millisecond); err != nil { // the broker has to see the end
		return err
	}
	s := g.stream(pubs[0], r.topic("offline"), o.QoS, false, 1)
	r.done = func() (int64, int64) { return g.acked, int64(o.Messages) }
	if _, err := r.step("store", "stored message", func() (int64, error) {
		err := r.acknowledgeAll(s)
		return g.acked, err
	}); err != nil {
		return err
	}
	r.done = r.delivered(o.Messages)
	return r.read("drain", func() *link {
		l := r.client("sleeper", 0)
		l.staysAway()
		g.receives(l, 0, 1, o.Messages)
		return l
	})
}

// acknowledgeAll publishes the messages of the scenario to streams in turns, and waits for the acknowledgements. They
// arrive later.
func (r *run) acknowledgeAll(streams ...*stream) error {
	g, of := r.ledger, r.o.Messages
	from := streams[0].from
	window := min(r.o.Window, from.window)
	sent := 0
	if from.onAck == nil {
		g.acknowledges(from, streams[0])
	}
	return r.gaveUp(r.await(func() int64 { return g.acked }, func() bool {
		now := g.e.clock()
		for ; sent < of && sent-int(g.acked) < window && from.state == ready; sent++ {
			s := streams[sent%len(streams)]
			s.limit++
			g.publish(s, now)
		}
		return int(g.acked) >= of
	}))
}

// read measures how a new connection gets everything that waits for it.
func (r *run) read(step string, make func() *link) error {
	g := r.ledger
	// The time at which the messages were published says nothing here: latency counts from the start of the step.
	last := &r.report.Steps[len(r.report.Steps)-1]
	last.Lost = 0 // they are to come
	_, err := r.step(step, "message", func() (int64, error) {
		was := g.delivered
		links, err := r.open(1, func(int) *link { return make() })
		if err != nil {
			return 0, err
		}
		defer links[0].disconnect()
		err = r.gaveUp(r.await(func() int64 { return g.delivered }, func() bool { return g.delivered >= g.expected }))
		if err == nil {
			err = r.rest(100 * time.Millisecond) // for what comes twice
		}
		return g.delivered - was, err
	})
	return err
}

func (r *run) leftBehind(err error) {
	if r.ctx.Err() == nil {
		r.report.Notes = append(r.report.Notes, "could not tidy up: "+err.Error())
	}
}

// retained sets retained messages and reads them.
func (r *run) retained() error {
	if err := r.needsAcks(); err != nil {
		return err
	}
	o, g := &r.o, r.ledger
	pubs, err := r.open(1, func(i int) *link { return r.client("pub", i) })
	if err != nil {
		return err
	}
	streams := make([]*stream, o.Messages)
	for i := range streams {
		streams[i] = g.stream(pubs[0], r.topic("retained/area-%d/device-%d/state", i/1000, i%1000), o.QoS, true, 1)
	}
	topics := make([]string, 0, o.Messages+o.Subscribers)
	for _, s := range streams {
		topics = append(topics, s.topic)
	}
	for i := range o.Subscribers {
		topics = append(topics, r.topic("before/area-%d/device-%d/state", i/1000, i%1000))
	}
	defer r.retain(pubs[0], topics, nil)
	r.retain(pubs[0], topics[o.Messages:], r.ledger.fill)
	r.done = func() (int64, int64) { return g.acked, int64(o.Messages) }
	if _, err := r.step("set", "retained message", func() (int64, error) {
		err := r.acknowledgeAll(streams...)
		return g.acked, err
	}); err != nil {
		return err
	}
	set := &r.report.Steps[0]
	set.Unacknowledged = int64(o.Messages) - g.acked // one link, many streams: counted here
	for _, s := range streams {
		s.acked = s.sent
	}
	r.done = r.delivered(o.Messages)
	return r.read("read", func() *link {
		l := r.subscriber("sub", 0, r.topic("retained/#"))
		g.receives(l, 0, o.Messages, 1)
		return l
	})
}

// retain publishes the payload to each topic, without counting; an empty one removes what is there.
func (r *run) retain(l *link, topics []string, payload []byte) {
	window, sent, acked := min(r.o.Window, l.window), 0, 0
	l.onAck = func(*link, uint16, packet.Code) { acked++ }
	defer func() { l.onAck = nil }()
	var frame []byte
	err := r.await(func() int64 { return int64(acked) }, func() bool {
		for ; sent < len(topics) && sent-acked < window && l.state == ready; sent++ {
			p := packet.Publish{QoS: 1, Retain: true, PacketID: l.newID(), Topic: []byte(topics[sent]), Payload: payload}
			frame = p.Append(frame[:0], l.connect.Version)
			l.send(frame)
		}
		return acked >= len(topics) || l.state != ready
	})
	if err != nil {
		r.leftBehind(err)
	}
}
