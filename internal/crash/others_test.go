package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// mortal has a will. Sometimes it comes back only when it has seen its will
// published, and sometimes at once: that is no reason for it not to come.
type mortal struct {
	c       *campaign
	i       int
	who     string
	rnd     *rand.Rand
	version packet.Version

	number int // of the connection, names the will
	past   []past
}

// past is a connection that had CONNACK and has ended, and whose will nobody has
// looked for.
type past struct {
	number int
	normal bool // DISCONNECT was seen by the broker
	killed bool // the broker ended with the connection
	ended  int  // incarnation in which it ended
}

func newMortal(c *campaign, i int) *mortal {
	m := &mortal{c: c, i: i, who: "mortal" + strconv.Itoa(i), rnd: random(c.seed, 3000+i), version: packet.V311}
	if i%2 == 0 {
		m.version = packet.V5
	}
	return m
}

// will names the will of one connection.
func (m *mortal) will(number int) int { return m.i*1_000_000 + number }

// willQoS is that of a will with this name.
func willQoS(will int) byte { return byte(1 + will/1_000_000%2) }

func (m *mortal) life(w *wire) (done bool, err error) {
	last := m.c.finishing()
	if last || m.rnd.IntN(2) == 0 {
		if err := m.look(w); err != nil || last {
			return err == nil, err
		}
	}
	m.number++
	will := m.will(m.number)
	k := &packet.Connect{Version: m.version, ClientID: m.who, CleanStart: m.version == packet.V5 && m.rnd.IntN(4) == 0, Will: &packet.Will{
		Topic: "will/" + m.who, Payload: strconv.AppendInt(nil, int64(will), 10), QoS: willQoS(will)}}
	if m.version == packet.V5 {
		k.SessionExpiry = packet.Some[uint32](3600)
	}
	if _, err := w.open(k); err != nil {
		return false, err
	}
	w.pause(time.Duration(m.rnd.Int64N(int64(300 * time.Millisecond))))
	normal := false
	switch m.rnd.IntN(3) {
	case 0:
		if err = w.leave(&packet.Disconnect{}); err != nil {
			return false, err // nobody knows whether the broker has seen it
		}
		normal = true
	case 1:
		err = w.hangUp()
	default: // the next connection may take this one over
	}
	m.past = append(m.past, past{m.number, normal, err != nil, w.incarnation})
	return false, err
}

// look looks at the wills of connections that have ended: each must have been
// published, or must not, and once only if the broker was not killed.
func (m *mortal) look(w *wire) error {
	for ; len(m.past) > 0; m.past = m.past[1:] {
		p := &m.past[0]
		will := m.will(p.number)
		if !p.normal && !m.c.awaitWill(w, will) { // [MQTT-3.1.2-8]
			return lost{errors.New("the broker goes, or the will of an ended connection does not come")}
		}
		if p.killed || p.ended != w.incarnation {
			continue
		}
		times := m.c.willCount(will)
		if p.normal && times > 0 { // [MQTT-3.14.4-3]
			return fmt.Errorf("will %d came after a DISCONNECT", will)
		}
		if times > 1 {
			return fmt.Errorf("will %d came %d times", will, times)
		}
	}
	return nil
}

// awaitWill waits until the will has come, or the broker has gone.
func (c *campaign) awaitWill(w *wire, will int) bool {
	tooLate := time.Now().Add(patience)
	late := time.AfterFunc(patience, c.changed.Broadcast)
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.wills[will] == 0 && c.err == nil && c.incarnation == w.incarnation && c.addr != "" && time.Now().Before(tooLate) {
		c.changed.Wait()
	}
	return c.wills[will] > 0
}

func (c *campaign) willCount(will int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wills[will]
}

func (c *campaign) willArrived(payload string) error {
	n, err := strconv.Atoi(payload)
	if err != nil {
		return fmt.Errorf("a will that nobody has: %q", payload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wills[n]++
	c.changed.Broadcast()
	if c.wills[n] > 1 && willQoS(n) == 2 { // [MQTT-4.3.3-10]
		return fmt.Errorf("will %d of QoS 2 came twice", n)
	}
	return nil
}

// resetter begins and ends sessions in all ways, and looks at session present.
type resetter struct {
	c       *campaign
	who     string
	rnd     *rand.Rand
	version packet.Version
	session knowledge
	unsure  int // the incarnation that may forget that the session has ended
}

func newResetter(c *campaign, i int) *resetter {
	return &resetter{
		c: c, who: "reset" + strconv.Itoa(i), rnd: random(c.seed, 4000+i), version: packet.V311 + packet.Version(i%2),
	}
}

func (r *resetter) life(w *wire) (done bool, err error) {
	if r.c.finishing() {
		return true, nil
	}
	if r.unsure != 0 && r.unsure != w.incarnation && r.session == none {
		r.session = maybe // it ended, but nobody was told that this is on the disk
	}
	k := &packet.Connect{Version: r.version, ClientID: r.who, CleanStart: r.rnd.IntN(3) == 0}
	durable := !k.CleanStart
	if r.version == packet.V5 {
		if durable = r.rnd.IntN(3) > 0; durable {
			k.SessionExpiry = packet.Some[uint32](3600)
		}
	}
	was := r.session
	if k.CleanStart { // [MQTT-3.1.2-4]
		was = none
	}
	r.session = maybe
	ack, err := w.open(k)
	if err != nil {
		return false, err
	}
	if err := was.judge(ack.SessionPresent); err != nil {
		return false, fmt.Errorf("%s: %w", describe(k), err)
	}
	return false, r.depart(w, durable)
}

func (r *resetter) depart(w *wire, durable bool) error {
	r.session, r.unsure = there, 0
	if !durable {
		r.session, r.unsure = none, w.incarnation
	}
	w.pause(time.Duration(r.rnd.Int64N(int64(200 * time.Millisecond))))
	switch r.rnd.IntN(3) {
	case 0:
		return w.leave(&packet.Disconnect{})
	case 1:
		return w.hangUp()
	}
	if r.version < packet.V5 || !durable {
		return nil
	}
	r.session = maybe
	if err := w.leave(&packet.Disconnect{SessionExpiry: packet.Some[uint32](0)}); err != nil {
		return err
	}
	r.session, r.unsure = none, w.incarnation
	return nil
}
