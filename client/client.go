package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// maxBuffered is how many bytes may wait to be written before Publish waits too.
const maxBuffered = 256 << 10

// maxWrite is how many bytes must get through in the time that the keep-alive allows.
const maxWrite = 64 << 10

// drainTime bounds the wait for the server to close its side after our DISCONNECT.
const drainTime = 2 * time.Second

// Client is one connection to a server. It is safe for concurrent use. It is made by Dial and never reconnects.
type Client struct {
	opt     Options
	v       packet.Version
	conn    net.Conn
	in      frames
	connack packet.Connack
	id      string
	limits  limits
	tick    time.Duration // keep-alive in force; 0 is off

	quota    chan struct{} // one element per QoS 1 or 2 message in flight [MQTT-4.9.0-1]
	wake     chan struct{} // the writer has something to do; capacity 1
	stop     chan struct{} // closed when err is set
	done     chan struct{} // closed when both goroutines have ended
	lastRead atomic.Int64  // nanoseconds since start; written by the reader
	asked    atomic.Int64  // nanoseconds since start: when a PINGREQ had been written; written by the writer
	handled  atomic.Uint64 // grows when the handlers of a message begin, and when they end; written by the reader
	start    time.Time

	mu        sync.Mutex
	session   *Session            // guarded by mu, except its routes
	buf       []byte              // guarded by mu: what the writer sends next
	space     chan struct{}       // guarded by mu: closed when the writer took buf; nil if nobody waits
	err       error               // guarded by mu: why the connection ended
	finishing bool                // guarded by mu: DISCONNECT is in buf, nothing may follow
	handling  bool                // guarded by mu: a QoS 1 or 2 message is with its handlers, its acknowledgement due
	goodbye   *packet.Disconnect  // guarded by mu: to be sent after that acknowledgement
	control   map[uint16]*control // guarded by mu: SUBSCRIBE and UNSUBSCRIBE that await their answer
	backlog   []*outgoing         // guarded by mu: to be sent again as the quota allows
	unacked   []unacked           // guarded by mu: received, and held by a handler or behind one that is
	aliases   aliases             // guarded by mu: outbound topic aliases
	reauth    chan error          // guarded by mu: a Reauthenticate waits
	keptBack  int                 // guarded by mu: places of the quota that nothing gets before something is acknowledged
	heard     bool                // guarded by mu: the server has acknowledged a message

	reader reader // owned by the reading goroutine
}

// limits are what the server announced in CONNACK.
type limits struct {
	maxQoS     byte
	retain     bool
	packetSize int
	aliases    uint16
}

// control is a SUBSCRIBE or UNSUBSCRIBE on its way. answer has room for one.
type control struct {
	want   packet.Type
	answer chan packet.Packet
}

// Dial connects to the server that rawURL names and returns when the server has accepted. The context bounds that, and
// means nothing afterwards. A refusal is an *Error.
//
// URLs are mqtt://host:port or tcp:// (port 1883), mqtts:// or ssl:// or tls:// (8883), ws://host:port/path (80),
// wss:// (443), with the path /mqtt when there is none, and unix:///path/to/socket. A URL may carry user:password@.
//
// The client owns two goroutines from here on, until Close, Disconnect or the loss of the connection.
func Dial(ctx context.Context, rawURL string, o Options) (*Client, error) {
	t, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if t.user != nil && o.Username == "" && o.Password == nil {
		o.Username = t.user.Username()
		if pw, ok := t.user.Password(); ok {
			o.Password = []byte(pw)
		}
	}
	o = o.withDefaults()
	if o.Version < packet.V5 && o.Resume && o.ClientID == "" { // [3.1.1: MQTT-3.1.3-7]
		return nil, errors.New("connect: before 5.0 a session needs a ClientID: set one, or clear Resume")
	}
	if err := checkConnect(o.connect()); err != nil {
		return nil, err
	}
	if !o.Session.inUse.CompareAndSwap(false, true) {
		return nil, ErrSessionInUse
	}
	c, err := dial(ctx, t, o)
	if err != nil {
		o.Session.inUse.Store(false)
		return nil, err
	}
	go c.run()
	return c, nil
}

func dial(ctx context.Context, t target, o Options) (*Client, error) {
	conn, err := t.open(ctx, &o)
	if err != nil {
		return nil, err
	}
	c := &Client{
		opt: o, v: o.Version, conn: conn, session: o.Session, start: time.Now(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	c.in = frames{r: deadlineReader{c}, max: int(o.MaximumPacketSize)}
	if c.in.max == 0 {
		c.in.max = packet.MaxVarint + 5
	}
	// Cancelling makes the handshake's reads and writes fail at once.
	release := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = c.handshake(ctx)
	if !release() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("connect: %w", ctx.Err())
		}
		return nil, err
	}
	return c, nil
}

// run is the life of the connection after the handshake.
func (c *Client) run() {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), handlerKey{}, c))
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		defer cancel() // a handler that waits for its context keeps the reader from seeing the end
		c.writeLoop()
	}()
	err := c.readLoop(ctx)
	c.refuse(err)
	cancel()
	<-writing
	c.conn.Close()
	c.settle()
	c.session.inUse.Store(false)
	close(c.done)
}

// refuse ends the connection because of err. If the server is to blame it is told so (5.0 section 4.13.1).
// [3.1.1: MQTT-4.8.0-1] [MQTT-4.13.2-1]
func (c *Client) refuse(err error) {
	var broken *packet.Error
	if !errors.As(err, &broken) || c.v < packet.V5 {
		c.fail(err)
		return
	}
	c.mu.Lock()
	if c.err == nil {
		c.send(&packet.Disconnect{Code: broken.Code}) // [MQTT-3.14.2-1]
		c.finish(fmt.Errorf("server broke the protocol: %w", err))
	}
	c.mu.Unlock()
}

// fail ends the connection at once.
// [3.1.1: MQTT-4.8.0-2]
func (c *Client) fail(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = err
		close(c.stop)
	}
	finishing := c.finishing
	c.mu.Unlock()
	if first || !finishing {
		c.conn.Close()
	}
}

// finish lets the writer send what is buffered and then close. The caller holds the lock.
// [MQTT-3.14.4-1]
func (c *Client) finish(err error) {
	c.err = err
	c.finishing = true
	close(c.stop)
	c.signal()
}

// settle tells everybody who waits that no answer will come. Both goroutines have ended.
func (c *Client) settle() {
	c.mu.Lock()
	var callbacks []func(packet.Ack, error)
	for _, o := range c.session.unfinished() {
		if o.done != nil {
			callbacks = append(callbacks, o.done)
			o.done = nil
		}
	}
	err := c.err
	c.mu.Unlock()
	for _, done := range callbacks {
		done(packet.Ack{}, lost(err))
	}
}

// lost words the end of the connection for a call that was under way.
func lost(err error) error { return fmt.Errorf("connection ended: %w", err) }

// Done is closed when the connection has ended and both goroutines with it.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the connection ended, and is nil while it lasts: ErrClosed, an *Error with Op "disconnected by server", a
// protocol failure that wraps a *packet.Error, or the error of the network.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// ClientID is the identifier in force, which the server may have assigned. It is empty if the server keeps it to itself.
func (c *Client) ClientID() string { return c.id }

// Connack is the server's answer to CONNECT, with its properties. It must not be changed.
func (c *Client) Connack() *packet.Connack { return &c.connack }

// Close says goodbye with "normal disconnection", and returns when both goroutines have ended. It waits a few seconds at
// most for a server that does not react and for a handler that does not return, so it should not be called from one. It
// returns nil, also when the connection had ended before.
func (c *Client) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*drainTime)
	defer cancel()
	c.Disconnect(ctx, nil)
	return nil
}

// Disconnect sends what is buffered and then d, or "normal disconnection" when d is nil, and returns when both goroutines
// have ended. It does not wait for acknowledgements of the server, but it does wait for a handler that is running, so that
// the message it handles is acknowledged. When ctx ends first the connection is cut, and with it the handler's context, and
// the error of ctx is returned two seconds later at most, whether the handler has returned or not. A ReasonString and User
// properties that would make d larger than the server takes are left out.
//
// A handler may call it with its own context. Then it returns at once, the message at hand is the last one that is handled,
// and DISCONNECT follows its acknowledgement.
func (c *Client) Disconnect(ctx context.Context, d *packet.Disconnect) error {
	if d == nil {
		d = new(packet.Disconnect)
	}
	d = c.fitting(d)
	c.mu.Lock()
	err := c.err
	switch {
	case err != nil:
	case c.handling:
		c.goodbye = d
	default:
		c.send(d)
		c.finish(ErrClosed)
	}
	c.mu.Unlock()
	if c.inHandler(ctx) {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.fail(ErrClosed)
		c.conn.Close()
		c.linger()
		return ctx.Err()
	}
	if err != nil {
		return lost(err)
	}
	return nil
}

// linger waits for the goroutines of a connection that was cut, which end at once unless a handler does not return.
func (c *Client) linger() {
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	}
}

// fitting is d without what would make it larger than the server, or any packet, takes [MQTT-3.14.2-3], [MQTT-3.14.2-4].
func (c *Client) fitting(d *packet.Disconnect) *packet.Disconnect {
	var l lengths
	l.add(len(d.ReasonString.Value))
	l.user(d.User)
	if l.check("disconnect") == nil && len(d.Append(nil, c.v)) <= c.limits.packetSize {
		return d
	}
	short := *d
	short.ReasonString, short.User = packet.Opt[string]{}, nil
	return &short
}

type handlerKey struct{}

// inHandler reports whether ctx is the one that this client gave to a handler.
func (c *Client) inHandler(ctx context.Context) bool { return ctx.Value(handlerKey{}) == c }

// FromContext gives the client that runs the handler with this context, nil if it is no handler's. A handler needs it
// when messages of a resumed session can come before Dial has returned.
func FromContext(ctx context.Context) *Client {
	c, _ := ctx.Value(handlerKey{}).(*Client)
	return c
}
