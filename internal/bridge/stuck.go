package bridge

import (
	"github.com/nightjarmq/nightjar/internal/ration"
	"github.com/nightjarmq/nightjar/packet"
)

// stuckAfter is how many connections in a row must end over a message before that is told.
const stuckAfter = 3

// first is the message that was passed on to the remote first on a connection; with id 0 there was none.
type first struct {
	id    uint16
	qos   byte
	topic string // at the remote
	bytes int
}

// passedOut notes what is about to be passed on with QoS 1 or 2. The reader of the local connection calls it.
func (l *link) passedOut(p *packet.Publish) {
	if l.first.id == 0 {
		l.first = first{p.PacketID, p.QoS, string(p.Topic), len(p.Payload)}
	}
}

// answered notes that the remote has acknowledged something. The reader of the remote connection calls it.
func (l *link) answered() {
	if !l.heard {
		l.heard = true
		l.b.stats.stuck.Store(0)
	}
}

// suspect considers a connection to the remote that has ended, because of err. When nothing was acknowledged on it the first
// message may be why. A bridge gives up nothing, so this is told each time: what waits behind it will not cross before
// somebody does something about it.
func (b *Bridge) suspect(l *link, err error) {
	switch {
	case l.heard:
		b.stuck, b.stuckTimes = first{}, 0
		return
	case l.first.id == 0:
		return
	case l.first != b.stuck:
		b.stuck, b.stuckTimes = l.first, 0
	}
	if b.stuckTimes++; b.stuckTimes < stuckAfter {
		return
	}
	b.stats.stuck.Store(int64(b.stuckTimes))
	b.log.Error("connections of a bridge end over a message; what waits behind it cannot cross", "server", l.server,
		"topic", ration.Cut(b.stuck.topic), "qos", b.stuck.qos, "payload", b.stuck.bytes, "times", b.stuckTimes, "err", err)
}
