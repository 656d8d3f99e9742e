package hub

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/session"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/timer"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Client is a session and, while there is one, its connection. It lives as long
// as the session.
type Client struct {
	hub  *Hub
	ID   string
	User string // who it belongs to, for life; "" is the anonymous

	// link is the connection; nil while there is none. Written under mu, read
	// without it by the delivery of QoS 0.
	link atomic.Pointer[Link]

	drops atomic.Pointer[drops] // nil: nothing was dropped for it

	mu      sync.Mutex       // guards all below
	sess    *session.Session // nil while there is no connection
	pending uint32           // copies that it took and that are not in the store yet; with ended, none is added
	asked   uint32           // the Hub.asked for which subscriptions and queue hold
	durable store.SessionID  // 0: the session ends with its connection
	epoch   uint32           // counts connections
	expiry  uint32           // seconds that the session survives its connection
	will    *store.Will      // nil: none
	willAt  int64            // unix ms at which the will is due; 0: not waiting
	endAt   int64            // unix ms at which the absent session ends; 0: never
	subs    subscriptions
	held    *line    // output that waits for the disk; nil while nothing does
	replays *replays // nil: none
	turns   uint32   // counts subscriptions and SUBSCRIBEs
	ended   bool     // the session is over; the client is in no registry
	due     bool     // the will is being published; meanwhile no connection comes, and the session does not end
	shares  bool     // the store has, or had, a message of a shared subscription for it
	waiting int      // messages queued while absent
	bytes   int      // their size
	timer   timer.Entry

	expiring *expiring // nil: nothing that waits in the store is known to expire
}

// Link is a client's connection as the hub sees it. Everything exported is
// fixed while it lasts.
type Link struct {
	Conn      *transport.Conn
	Client    *Client
	Mount     string // before every topic of the client; see ListenerConfig of the broker
	MaxPacket int    // bytes the client accepts in one packet; 0: no limit
	Version   packet.Version
	MaxQoS    byte // most that a subscription is granted
	Aliases   bool // the client takes Topic Aliases
	Problems  bool // it takes Reason Strings in acknowledgements [MQTT-3.1.2-29]

	state atomic.Uint32 // of the flags below

	owed atomic.Int64 // bytes of answers since there was room; see owe
}

// The state of a Link.
const (
	greeted = 1 << iota // CONNACK was given to the connection; it may wait for the disk, and nothing goes before it [MQTT-3.2.0-1]
	feeding             // packets of the client are being handled
	halted              // no more of them are
)

// Begin says that packets of the client are about to be handled, until End. It
// reports false if they must not be, because another connection has taken over.
func (l *Link) Begin() bool { return l.state.Or(feeding)&halted == 0 }

// End says that no packet of the client is being handled.
func (l *Link) End() { l.state.And(^uint32(feeding)) }

// halt ends what comes by this connection, and returns when nothing of it is being
// handled: what comes by the next one of the client is behind all of it.
// [MQTT-4.6.0-5] No lock is held, because that handling may want it.
func (l *Link) halt() {
	l.state.Or(halted)
	for l.is(feeding) {
		runtime.Gosched()
	}
}

// is reports whether a flag is set.
func (l *Link) is(flag uint32) bool { return l.state.Load()&flag != 0 }

// Connected reports whether the client has a connection now.
func (c *Client) Connected() bool { return c.link.Load() != nil }

// Queued counts the messages that the client has not acknowledged, and the bytes
// of those that were not sent.
func (c *Client) Queued() (messages, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sess == nil {
		return c.waiting, c.bytes
	}
	messages, bytes = c.sess.Waiting()
	return messages + c.sess.Inflight(), bytes
}

// Link returns the connection, nil if there is none.
func (c *Client) Link() *Link { return c.link.Load() }

// Kick ends a connection; a 5.0 client is told the code first.
// [MQTT-3.14.0-1] [MQTT-4.13.1-1]
// User Properties are not sent. [MQTT-3.14.2-4] [MQTT-4.13.2-1]
func (l *Link) Kick(b *transport.Batch, code packet.Code, reason string, cause error) {
	if l.Version >= packet.V5 && l.is(greeted) {
		d := packet.Disconnect{Code: code}
		p := d.Append(nil, l.Version)
		if reason != "" {
			d.ReasonString = packet.Some(reason)
			if long := d.Append(nil, l.Version); l.fits(len(long)) { // [MQTT-3.14.2-3]
				p = long
			}
		}
		l.Conn.SendControl(b, p)
	}
	l.Conn.Close(cause)
}

// room returns how many bytes the connection can take before its messages
// should rather wait in the queue.
// It is positive whenever the connection calls Drained.
func (l *Link) room() int { return (l.Conn.OutLimit()+1)/2 - l.Conn.Buffered() }

// put sends what must not be lost while the connection lasts. Messages are
// bounded by room before, and answers by owe.
func (l *Link) put(b *transport.Batch, out []byte) {
	if h := l.Client.hub; h.Tracing() {
		h.Trace("Sending", l.Client.ID, l.Version, out)
	}
	l.Conn.SendWhole(b, out)
	if !l.is(greeted) { // what is put first is CONNACK
		l.state.Or(greeted)
	}
}

// mostOwed is how many bytes of answers may wait for a client that has no room
// for messages.
const mostOwed = 64 << 10

// owe counts n bytes of answers that are about to be given to the client. There
// is no limit to how long one message takes to arrive, and the answers behind it
// may wait as long; but a client that asks for answer after answer and reads none
// is cut off.
func (l *Link) owe(room, n int) {
	if room > 0 {
		l.owed.Store(0)
	} else if l.owed.Add(int64(n)) > mostOwed+int64(n) {
		l.Conn.Close(errTakesNothing)
	}
}

// Answer sends a packet that waits for nothing, except for CONNACK.
// [MQTT-3.2.0-1]
func (c *Client) Answer(b *transport.Batch, l *Link, out []byte) {
	if l.is(greeted) {
		c.hub.Trace("Sending", c.ID, l.Version, out)
		l.owe(l.room(), len(out))
		l.Conn.SendWhole(b, out)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link.Load() == l {
		l.owe(c.room(l), len(out))
		c.emit(b, 0, out, 0)
	}
}

var errTakesNothing = errors.New("the client does not read its answers")

// fits reports whether a packet of n bytes may be sent to the client; one of 0
// bytes is larger than the protocol can say.
// [MQTT-3.1.2-24]
func (l *Link) fits(n int) bool { return n > 0 && (l.MaxPacket == 0 || n <= l.MaxPacket) }
