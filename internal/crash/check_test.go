package crash

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nightjarmq/nightjar/packet"
)

// checkRetained compares the retained messages after a start with what their
// publishers know: of each topic the one acknowledged last, or a later one.
// [MQTT-3.3.1-5]
func (c *campaign) checkRetained(found map[string]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, r := range c.retained {
		now := found[topic]
		delete(found, topic)
		if now == r.acked || r.flying != nil && now == *r.flying {
			continue
		}
		return fmt.Errorf("the retained message of %s is %.60q, acknowledged last was %.60q", topic, now, r.acked)
	}
	if len(found) > 0 {
		return fmt.Errorf("retained messages that nobody has published: %.200q", found)
	}
	return nil
}

// check judges everything at the end: each message that was acknowledged has
// reached each subscription that was acknowledged before, one of QoS 2 once.
func (c *campaign) check(subs []*subscriber) error {
	var errs []error
	for i := range c.messages {
		m := &c.messages[i]
		for _, s := range subs {
			if err := s.judge(i, m); err != nil {
				errs = append(errs, fmt.Errorf("%s: message %d, number %d of %+v, sent at %d, acknowledged at %d: %w",
					s.who, i, m.n, m.stream, m.sent, m.acked, err))
			}
		}
		if len(errs) > 20 {
			break
		}
	}
	return errors.Join(errs...)
}

// judge looks at one message of one subscriber. That a message of QoS 2 does not
// come twice was seen when it came.
func (s *subscriber) judge(i int, m *message) error {
	must, may := s.expects(m)
	switch got := s.got[i]; {
	case must && m.acked != 0 && got == 0:
		return errors.New("lost")
	case !may && got > 0:
		return errors.New("came without a subscription")
	}
	return nil
}

// expects says whether the subscriber must receive the message, and whether it
// may.
func (s *subscriber) expects(m *message) (must, may bool) {
	kind, number, _ := strings.Cut(m.topic, "/")
	if kind != "flip" {
		_, there := s.subscribed(m.topic)
		return there && !m.removes, there
	}
	k, _ := strconv.Atoi(number)
	for _, x := range s.flips[k].spans {
		if x.suback != 0 && x.suback < m.sent && (x.unsubscribe == 0 || m.acked < x.unsubscribe) { // [MQTT-3.8.4-5]
			must = true
		}
		if (m.acked == 0 || x.subscribe < m.acked) && (x.unsuback == 0 || m.sent < x.unsuback) { // [MQTT-3.10.4-3]
			may = true
		}
	}
	return must, may
}

// afterCleanStop stops the broker in order, starts it again, and looks whether
// all sessions are there with nothing left in them.
func (c *campaign) afterCleanStop(subs []*subscriber) error {
	for _, s := range subs {
		if len(s.half) > 0 {
			return fmt.Errorf("%s: identifiers not released: %v", s.who, s.half)
		}
	}
	var stopped error
	c.bringDown("stop", func() error { stopped = c.broker.stop(); return nil })
	if stopped != nil {
		return stopped
	}
	if err := c.raise(); err != nil {
		return err
	}
	for _, s := range subs {
		if err := c.visit(s); err != nil {
			return fmt.Errorf("%s after a stop: %w", s.who, err)
		}
	}
	return c.broker.stop()
}

func (c *campaign) visit(s *subscriber) error {
	w, err := dial(c, s.who, c.addr)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := s.connect(w); err != nil {
		return err
	}
	if p, err := w.ask(&packet.Pingreq{}); err != nil || p.Type() != packet.TypePingresp {
		return fmt.Errorf("something comes again: %v %w", p, err)
	}
	return nil
}
