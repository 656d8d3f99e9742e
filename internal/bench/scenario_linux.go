package bench

import (
	"fmt"
	"time"
)

// measure drives all streams: a tenth of the messages to warm up, then the measured ones.
func (r *run) measure(each int) error {
	r.current = "warm-up"
	g := r.ledger
	g.allow(warm(each))
	if err := r.warmedUp(r.drive()); err != nil {
		return err
	}
	g.timing = true
	copies := 0
	for _, s := range g.streams {
		copies += s.copies
	}
	r.done = r.delivered(each * copies)
	s, err := r.step(r.o.Scenario, "message", func() (int64, error) {
		was := g.delivered
		g.allow(each)
		err := r.drive()
		return g.delivered - was, err
	})
	if err == nil {
		s.Latency = g.latency.latency()
	}
	return err
}

func warm(each int) int { return max(each/10, 1) }

// total is how many messages a stream has with the warm-up.
func total(each int) int { return each + warm(each) }

func (r *run) each(streams int) int { return max(r.o.Messages/streams, 1) }

// pairs connects n publishers and n subscribers.
func (r *run) pairs(each int) error {
	n, g := r.o.Connections, r.ledger
	subs, err := r.open(n, func(i int) *link { return r.subscriber("sub", i, r.topic("pair/%d", i)) })
	if err != nil {
		return err
	}
	pubs, err := r.open(n, func(i int) *link { return r.client("pub", i) })
	if err != nil {
		return err
	}
	for i, p := range pubs {
		g.acknowledges(p, g.stream(p, r.topic("pair/%d", i), r.o.QoS, false, 1))
		g.receives(subs[i], i, 1, total(each))
	}
	return nil
}

func (r *run) pair() error {
	each := r.each(r.o.Connections)
	if err := r.pairs(each); err != nil {
		return err
	}
	return r.measure(each)
}

func (r *run) fanIn() error {
	each, g := r.each(r.o.Connections), r.ledger
	subs, err := r.open(1, func(i int) *link { return r.subscriber("sub", i, r.topic("in/#")) })
	if err != nil {
		return err
	}
	if err := r.publishers("in/%d"); err != nil {
		return err
	}
	g.receives(subs[0], 0, r.o.Connections, total(each))
	return r.measure(each)
}

// publishers connects the publishers, with a stream each.
func (r *run) publishers(topic string) error {
	pubs, err := r.open(r.o.Connections, func(i int) *link { return r.client("pub", i) })
	for i, p := range pubs {
		r.ledger.acknowledges(p, r.ledger.stream(p, r.topic(topic, i), r.o.QoS, false, 1))
	}
	return err
}

func (r *run) fanOut() error {
	g := r.ledger
	subs, err := r.open(r.o.Subscribers, func(i int) *link { return r.subscriber("sub", i, r.topic("out")) })
	if err != nil {
		return err
	}
	pubs, err := r.open(1, func(i int) *link { return r.client("pub", i) })
	if err != nil {
		return err
	}
	g.acknowledges(pubs[0], g.stream(pubs[0], r.topic("out"), r.o.QoS, false, len(subs)))
	for _, l := range subs {
		g.receives(l, 0, 1, total(r.o.Messages))
	}
	return r.measure(r.o.Messages)
}

func (r *run) shared() error {
	each, g := r.each(r.o.Connections), r.ledger
	subs, err := r.open(r.o.Subscribers, func(i int) *link {
		return r.subscriber("sub", i, "$share/"+r.o.Prefix+"/"+r.topic("shared/#"))
	})
	if err != nil {
		return err
	}
	if err := r.publishers("shared/%d"); err != nil {
		return err
	}
	got := make([]int64, len(subs))
	for i, l := range subs {
		if i == 0 {
			g.receives(l, 0, r.o.Connections, total(each))
		} else {
			g.shares(l, subs[0])
		}
		l.onMessage = func(l *link, topic, payload []byte, flags byte) {
			was := g.delivered
			g.arrived(l, topic, payload, flags)
			got[i] += g.delivered - was
		}
	}
	if err := r.measure(each); err != nil {
		return err
	}
	r.report.Steps[0].PerSubscriber = got // with the warm-up
	return nil
}

// paced publishes one message after the other when it is due, so that nobody can gather several. It waits for nobody: a
// stall of the broker shows in the latency of all that it delays, or, where it leaves this process no processor, in how late
// they were sent.
func (r *run) paced() error {
	each, g := r.each(r.o.Connections), r.ledger
	if err := r.pairs(each); err != nil {
		return err
	}
	r.e.stamp()
	for _, s := range g.streams {
		if s.qos > 0 {
			s.from.sentAt = make(map[uint16]int64)
		}
	}
	if err := r.warmedUp(r.pace(warm(each))); err != nil {
		return err
	}
	g.timing = true
	r.done = r.delivered(each * r.o.Connections)
	s, err := r.step("paced", "message", func() (int64, error) {
		was := g.delivered
		err := r.pace(each)
		return g.delivered - was, err
	})
	if err == nil {
		s.Latency, s.AckLatency, s.Late = g.latency.latency(), g.ackLatency.latency(), g.late.latency()
	}
	return err
}

func (r *run) pace(each int) error {
	g, e := r.ledger, r.e
	start, all := e.clock(), each*len(g.streams)
	due := func(i int) int64 { return start + int64(float64(i)*float64(time.Second)/float64(r.o.Rate)) }
	for i := 0; i < all; {
		for now := e.clock(); i < all && due(i) <= now; i++ {
			if s := g.streams[i%len(g.streams)]; s.from.state == ready {
				s.limit++
				g.publish(s, now)
				if g.timing {
					g.late.add(now - due(i))
				}
			}
		}
		e.flush()
		if err := e.turn(r.ctx, time.Duration(due(i)-e.clock())); err != nil {
			return err
		}
	}
	return r.gaveUp(r.await(func() int64 { return g.delivered + g.acked }, g.settled))
}

// connect makes connections that end at once.
func (r *run) connect() error {
	done, of := 0, r.o.Messages
	r.done = func() (int64, int64) { return int64(done), int64(of) }
	_, err := r.step("connect", "connection", func() (int64, error) {
		for done < of {
			n := min(r.o.Connections, of-done)
			links, err := r.openAtOnce(n, n, func(i int) *link {
				return r.subscriber("visitor", done+i, r.topic("visit/%d", i))
			})
			if err != nil {
				return 0, err
			}
			for _, l := range links {
				l.disconnect()
			}
			done += n
		}
		return int64(of), nil
	})
	return err
}

// idle opens connections, leaves them alone, and then sends each of them a message.
func (r *run) idle() error {
	n, g := r.o.Connections, r.ledger
	r.e.frugal = true
	var links []*link
	r.done = func() (int64, int64) { return int64(len(links)), int64(n) }
	_, err := r.step("connect", "connection", func() (_ int64, err error) {
		links, err = r.open(n, func(i int) *link { return r.subscriber("device", i, r.topic("device/%d/cmd", i)) })
		if err != nil {
			return 0, err
		}
		return int64(n), r.rest(min(r.o.Hold, time.Second))
	})
	if err != nil {
		return err
	}
	r.done = nil
	quiet, err := r.step("silence", "connection", func() (int64, error) { return int64(n), r.rest(r.o.Hold) })
	if err != nil {
		return err
	}
	if quiet.Server != nil {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("the server used %.2f ms of CPU time a second for %d silent connections",
			1e3*quiet.Server.CPU/quiet.Seconds, n))
	}
	pubs, err := r.open(1, func(i int) *link { return r.client("pub", i) })
	if err != nil {
		return err
	}
	g.window = 1
	for i, l := range links {
		g.stream(pubs[0], r.topic("device/%d/cmd", i), 0, false, 1)
		g.receives(l, i, 1, 1)
	}
	r.done = r.delivered(n)
	_, err = r.step("a message each", "connection", func() (int64, error) {
		const together = 50
		for i := 0; i < n; i += together {
			for _, s := range g.streams[i:min(i+together, n)] {
				s.limit = 1
				g.enqueue(s)
			}
			end := int64(min(i+together, n))
			if err := r.gaveUp(r.await(func() int64 { return g.delivered }, func() bool {
				g.fillWindows()
				return g.delivered >= end
			})); err != nil {
				return 0, err
			}
		}
		return int64(n), r.rest(min(r.o.Hold, time.Second))
	})
	return err
}

// wildcard publishes through a table of subscriptions of four kinds. A message matches one of the first and one of the
// second kind, of different subscribers.
func (r *run) wildcard() error {
	o, g := &r.o, r.ledger
	groups := max(o.Subscribers/4, 2*wildTopics)
	if o.Connections < 2 {
		return fmt.Errorf("at least 2 connections are needed")
	}
	var subs []*link
	_, err := r.step("subscribe", "subscription", func() (_ int64, err error) {
		subs, err = r.open(o.Connections, func(i int) *link {
			l := r.client("sub", i)
			for k := i; k < groups; k += o.Connections {
				for _, f := range []string{"site-%[1]d/+/temp", "+/dev-%[1]d/#", "site-%[1]d/dev-%[1]d/humidity", "+/+/plant-%[1]d/#"} {
					l.filters = append(l.filters, r.filter(r.topic(f, k))...)
				}
			}
			return l
		})
		return int64(4 * groups), err
	})
	if err != nil {
		return err
	}
	pubs, err := r.open(4, func(i int) *link { return r.client("pub", i) })
	if err != nil {
		return err
	}
	each := r.each(wildTopics)
	for k := range wildTopics {
		site := k * groups / wildTopics
		dev := (site + groups/2 + 1) % groups
		if dev%o.Connections == site%o.Connections {
			dev = (dev + 1) % groups
		}
		p := pubs[k%len(pubs)]
		g.stream(p, r.topic("site-%d/dev-%d/temp", site, dev), o.QoS, false, 2)
	}
	if o.QoS > 0 {
		return fmt.Errorf("wildcard is for QoS 0")
	}
	for _, l := range subs {
		g.receives(l, 0, wildTopics, total(each))
	}
	return r.measure(each)
}

const wildTopics = 64 // enough to meet different parts of the table

func (r *run) needsAcks() error {
	if r.o.QoS == 0 {
		return fmt.Errorf("QoS 1 or 2 is needed: acknowledgements are counted")
	}
	return nil
}
