package client

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// send appends a packet to what the writer sends next. The caller holds the lock and knows that the connection lives.
func (c *Client) send(p packet.Packet) {
	if c.opt.Trace != nil {
		c.opt.Trace(true, p)
	}
	c.buf = p.Append(c.buf, c.v)
	c.signal()
}

// sendAck is send for an acknowledgement with code Success, without making a packet.
// It never has a Reason String or User Properties, so that it fits every server. [MQTT-2.2.1-5]
// [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3]
// [MQTT-3.7.2-2] [MQTT-3.7.2-3]
func (c *Client) sendAck(t packet.Type, id uint16) {
	if c.opt.Trace != nil {
		c.opt.Trace(true, ackPacket(t, packet.Ack{PacketID: id}))
	}
	c.buf = packet.AppendAck(c.buf, t, id)
	c.signal()
}

// signal wakes the writer.
func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// lockToSend takes the lock when there is room in the buffer. After an error the lock is not held.
func (c *Client) lockToSend(ctx context.Context) error {
	c.mu.Lock()
	for c.err == nil && len(c.buf) >= maxBuffered {
		if c.space == nil {
			c.space = make(chan struct{})
		}
		space := c.space
		c.mu.Unlock()
		if c.inHandler(ctx) {
			return ErrInHandler
		}
		select {
		case <-space:
		case <-c.stop:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.mu.Lock()
	}
	if err := c.err; err != nil {
		c.mu.Unlock()
		return lost(err)
	}
	return nil
}

// writeLoop sends what has been buffered, in as few writes as possible, and keeps the connection alive.
func (c *Client) writeLoop() {
	var spare []byte
	var due <-chan time.Time
	alive := newKeepAlive(c)
	if alive.timer != nil {
		due = alive.timer.C
		defer alive.timer.Stop()
	}
	stop := c.stop
	for {
		select {
		case <-c.wake:
		case <-due:
			alive.check()
		case <-stop:
			stop = nil
			c.mu.Lock()
			finishing := c.finishing
			c.mu.Unlock()
			if !finishing {
				return
			}
		}
		var last bool
		if spare, last = c.flush(alive, spare); last {
			return
		}
	}
}

// flush writes until nothing is buffered. It gives back the buffer to use next time, and last when the connection is over.
func (c *Client) flush(alive *keepAlive, spare []byte) (_ []byte, last bool) {
	for {
		b, last := c.take(spare)
		if len(b) > 0 {
			if err := c.writeAll(b); err != nil {
				c.fail(err)
				c.conn.Close()
				return nil, true
			}
			alive.written()
		}
		if last {
			c.hangUp()
			return nil, true
		}
		empty := len(b) == 0
		if spare = b; cap(b) > 2*maxBuffered {
			spare = nil
		}
		if empty {
			return spare, false
		}
	}
}

// writeAll writes in pieces, each of which must get through in time: a large packet on a slow link is no dead server.
func (c *Client) writeAll(b []byte) error {
	for len(b) > 0 {
		if c.tick > 0 {
			c.conn.SetWriteDeadline(time.Now().Add(c.tick + c.tick/2))
		}
		n, err := c.conn.Write(b[:min(len(b), maxWrite)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// take exchanges the buffer for an empty one. last is true when nothing may follow.
func (c *Client) take(spare []byte) (b []byte, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, c.buf = c.buf, spare[:0]
	if c.space != nil {
		close(c.space)
		c.space = nil
	}
	return b, c.finishing
}

// hangUp closes our side and leaves the reader to wait for the server to close its own, because closing a TCP socket
// with unread input would make the kernel discard what the server has not read yet [MQTT-3.14.4-2].
func (c *Client) hangUp() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.conn.Close()
		return
	}
	c.conn.SetReadDeadline(time.Now().Add(drainTime))
}

// keepAlive decides when a PINGREQ is due: when for one period either nothing was sent, as the standard demands
// [MQTT-3.1.2-20], or nothing was received, because only an answer shows that the server is there.
type keepAlive struct {
	c      *Client
	timer  *time.Timer
	wrote  time.Time
	pinged time.Time
	asking bool // a PINGREQ is buffered
}

func newKeepAlive(c *Client) *keepAlive {
	k := &keepAlive{c: c, wrote: time.Now()}
	if c.tick > 0 {
		k.timer = time.NewTimer(c.tick)
	}
	return k
}

func (k *keepAlive) check() {
	now := time.Now()
	quiet := k.c.start.Add(time.Duration(k.c.lastRead.Load()))
	if k.wrote.Before(quiet) {
		quiet = k.wrote
	}
	if k.pinged.After(quiet) {
		quiet = k.pinged
	}
	if wait := quiet.Add(k.c.tick).Sub(now); wait > 0 {
		k.timer.Reset(wait)
		return
	}
	k.pinged = now
	k.c.mu.Lock()
	if k.c.err == nil {
		k.c.send(new(packet.Pingreq))
		k.asking = true
	}
	k.c.mu.Unlock()
	k.timer.Reset(k.c.tick)
}

// written notes that everything which was buffered has been written.
func (k *keepAlive) written() {
	k.wrote = time.Now()
	if k.asking {
		k.asking = false
		k.c.asked.Store(int64(time.Since(k.c.start)))
	}
}

// deadlineReader reads from the connection and gives up on a server that stays silent although it was sent a PINGREQ.
type deadlineReader struct{ c *Client }

func (r deadlineReader) Read(b []byte) (int, error) {
	for {
		n, err := r.read(b)
		if n > 0 || r.c.tick == 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !r.c.mayStillAnswer() {
			return n, err
		}
	}
}

// mayStillAnswer reports whether a silent server was not asked yet, because the PINGREQ is behind a large packet that is
// still being written, or was asked a moment ago.
func (c *Client) mayStillAnswer() bool {
	select {
	case <-c.stop:
		return false
	default:
	}
	asked := time.Duration(c.asked.Load())
	return asked <= time.Duration(c.lastRead.Load()) || time.Since(c.start)-asked < c.tick/2
}

func (r deadlineReader) read(b []byte) (int, error) {
	c := r.c
	if c.tick > 0 {
		select {
		case <-c.stop: // the deadline for draining is set and must stay
		default:
			c.conn.SetReadDeadline(time.Now().Add(c.tick + c.tick/2))
		}
	}
	n, err := c.conn.Read(b)
	if n > 0 && c.tick > 0 {
		c.lastRead.Store(int64(time.Since(c.start)))
	}
	return n, err
}
