package script

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// World is where a script is played.
type World struct {
	Dial func() (net.Conn, error)
	Stop func()              // tells the broker to end
	Pass func(time.Duration) // lets time pass

	// Settle returns when the broker has done all it will do with what it was
	// sent. nil where that cannot be known: then each client asks by a PINGREQ.
	Settle func()
}

// patience is how long an expected packet may take where Settle is nil.
const patience = time.Minute

// Run plays the script. The error shows the conversation up to the step that
// went wrong.
func Run(s *Script, w *World) error {
	r := &run{w: w, clients: make(map[string]*client)}
	defer r.end()
	for i := range s.Steps {
		st := &s.Steps[i]
		got, err := r.step(st)
		if err != nil {
			return fmt.Errorf("%sline %d:\n  want  %s\n  %w", r.transcript.String(), st.Line, st.Text, err)
		}
		fmt.Fprintf(&r.transcript, "  %s\n", got)
	}
	return nil
}

type run struct {
	w          *World
	clients    map[string]*client
	order      []*client
	transcript strings.Builder
}

func (r *run) end() {
	for _, c := range r.order {
		c.conn.Close()
		<-c.done
	}
}

// step returns its line as it turned out.
func (r *run) step(st *Step) (string, error) {
	if err := r.settle(st.Client); err != nil {
		return "", err
	}
	switch st.Do {
	case Advance:
		r.w.Pass(st.Time)
		return st.Text, nil
	case Stop:
		r.w.Stop()
		return st.Text, nil
	case Send:
		return st.Text, r.send(st)
	}
	c := r.clients[st.Client]
	if c == nil {
		return "", fmt.Errorf("%s is not connected", st.Client)
	}
	switch st.Do {
	case Receive:
		return r.receive(c, st)
	case Nothing:
		if err := r.settle(""); err != nil {
			return "", err
		}
		if err := r.settled(c); err != nil {
			return "", err
		}
		if got, ok := c.take(); ok {
			return "", fmt.Errorf("got   %s< %s", c.name, got)
		}
		if c.closed() {
			return "", fmt.Errorf("got   %s! (closed)", c.name)
		}
	case Closed:
		if got, ok := c.next(r.wait); ok {
			return "", fmt.Errorf("got   %s< %s", c.name, got)
		}
		if !c.closed() {
			return "", fmt.Errorf("got   nothing: the connection is open")
		}
	case Drop:
		c.drop(r.w.Settle == nil)
	}
	return st.Text, nil
}

// settle waits until the broker has handled what clients other than next have
// sent: only then the order of the lines is the order of events.
func (r *run) settle(next string) error {
	if r.w.Settle != nil {
		r.w.Settle()
		return nil
	}
	for _, c := range r.order {
		if c.dirty && c.name != next {
			if err := c.ping(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) settled(c *client) error {
	if r.w.Settle != nil {
		return nil // settle has done it
	}
	return c.ping()
}

// wait waits for a change at c and reports whether there may be one.
func (r *run) wait(c *client) bool {
	if r.w.Settle == nil {
		return c.wait()
	}
	r.w.Settle()
	return false
}

func (r *run) send(st *Step) error {
	c := r.clients[st.Client]
	if c == nil || c.closed() {
		conn, err := r.w.Dial()
		if err != nil {
			return err
		}
		c = newClient(st.Client, conn)
		r.clients[st.Client] = c
		r.order = append(r.order, c)
	}
	out, err := c.encode(st.Packet)
	if err != nil {
		return err
	}
	c.dirty = true
	if _, err := c.conn.Write(out); err != nil && !c.closed() {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func (r *run) receive(c *client, st *Step) (string, error) {
	p, err := ParsePacket(st.Packet)
	if err != nil {
		return "", err
	}
	want := PrintPacket(p, packet.V5)
	got, ok := c.next(r.wait)
	switch {
	case ok && matches(want, got):
		return c.name + "< " + got, nil
	case ok:
		return "", fmt.Errorf("got   %s< %s", c.name, got)
	case c.closed():
		return "", fmt.Errorf("got   %s! (closed)", c.name)
	}
	return "", fmt.Errorf("got   nothing")
}

// client is one connection. Its reader gathers what the broker sends.
type client struct {
	name      string
	conn      net.Conn
	version   packet.Version
	connected bool // CONNACK with success has come
	dirty     bool // sent something since the last ping
	pending   []string
	done      chan struct{} // the reader has ended
	more      chan struct{} // something has come

	mu  sync.Mutex // guards the rest
	buf []byte
	eof bool
}

func newClient(name string, conn net.Conn) *client {
	c := &client{name: name, conn: conn, version: packet.V311, done: make(chan struct{}), more: make(chan struct{}, 1)}
	go c.read()
	return c
}

func (c *client) read() {
	defer close(c.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := c.conn.Read(buf)
		c.mu.Lock()
		c.buf = append(c.buf, buf[:n]...)
		c.eof = err != nil
		c.mu.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
		if err != nil {
			c.conn.Close()
			return
		}
	}
}

func (c *client) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.eof && len(c.buf) == 0 && len(c.pending) == 0
}

// encode turns the text of a packet into bytes.
func (c *client) encode(text string) ([]byte, error) {
	if raw, ok := strings.CutPrefix(text, "raw "); ok {
		out, err := parseRaw(raw)
		c.learnVersion(out)
		return out, err
	}
	p, err := ParsePacket(text)
	if err != nil {
		return nil, err
	}
	if cp, ok := p.(*packet.Connect); ok {
		c.version = cp.Version
	}
	return p.Append(nil, c.version), nil
}

// learnVersion looks at raw bytes that may be a CONNECT.
func (c *client) learnVersion(out []byte) {
	h, ok, err := packet.ReadHeader(out)
	if err != nil || !ok || h.Type != packet.TypeConnect || c.connected {
		return
	}
	var p packet.Connect
	_ = p.Decode(h.Flags, out[h.Size:], 0) // the version is known early, whatever is wrong behind it
	if p.Version >= packet.V31 && p.Version <= packet.V5 {
		c.version = p.Version
	}
}

// take returns the next packet that has come, as text.
func (c *client) take() (string, bool) {
	if len(c.pending) > 0 {
		p := c.pending[0]
		c.pending = c.pending[1:]
		return p, true
	}
	return c.parse()
}

func (c *client) parse() (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok, err := packet.ReadHeader(c.buf)
	if err != nil {
		return c.garbage(err), true
	}
	size := h.Size + h.Remaining
	if !ok || len(c.buf) < size {
		if c.eof && len(c.buf) > 0 {
			return c.garbage(io.ErrUnexpectedEOF), true
		}
		return "", false
	}
	p, err := packet.Decode(h, c.buf[h.Size:size], c.version)
	if err != nil {
		return c.garbage(err), true
	}
	if a, ok := p.(*packet.Connack); ok && !a.Code.Failed() {
		c.connected = true
	}
	text := PrintPacket(p, c.version)
	c.buf = c.buf[size:]
	return text, true
}

func (c *client) garbage(err error) string {
	text := fmt.Sprintf("%x: %v", c.buf, err)
	c.buf = nil
	return text
}

// next returns the next packet; wait waits for more.
func (c *client) next(wait func(*client) bool) (string, bool) {
	for {
		if p, ok := c.take(); ok {
			return p, true
		}
		if c.closed() || !wait(c) {
			return c.take()
		}
	}
}

// wait waits until something has come and reports whether it has.
func (c *client) wait() bool {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-c.more:
		return true
	case <-t.C:
		return false
	}
}

// ping waits for the answer to a PINGREQ and keeps what comes before it.
func (c *client) ping() error {
	c.dirty = false
	if !c.connected || c.closed() {
		return nil
	}
	if _, err := c.conn.Write((&packet.Pingreq{}).Append(nil, c.version)); err != nil {
		return nil // the broker has closed the connection; what it said is read later
	}
	var came []string
	for {
		p, ok := c.next((*client).wait)
		if !ok && !c.closed() {
			return fmt.Errorf("%s got no PINGRESP", c.name)
		}
		if !ok || p == packet.TypePingresp.String() {
			c.pending = came
			return nil
		}
		came = append(came, p)
	}
}

// drop ends the connection without a DISCONNECT. awaited waits until the broker
// has noticed.
func (c *client) drop(awaited bool) {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok && awaited {
		half.CloseWrite()
		<-c.done
	}
	c.conn.Close()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf, c.pending = nil, nil
}
