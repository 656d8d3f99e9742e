package model

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// link is a network connection to the broker, in raw packets.
type link struct {
	conn    net.Conn
	version packet.Version
	done    chan struct{} // the reader has ended
	more    chan struct{} // something has come

	replies   []reply // owed by the broker
	connected bool    // CONNACK with success has come
	closing   bool    // the broker must close it
	alias     map[uint16]string
	maximum   uint16 // Topic Alias Maximum of ours
	asked     int    // PINGREQs sent

	mu       sync.Mutex // guards the rest
	buf      []byte
	eof      bool
	answered int // PINGRESPs taken out of buf
}

func newLink(conn net.Conn, v packet.Version) *link {
	l := &link{conn: conn, version: v, done: make(chan struct{}), more: make(chan struct{}, 1), alias: make(map[uint16]string)}
	go l.read()
	return l
}

func (l *link) read() {
	defer close(l.done)
	buf := make([]byte, 16<<10)
	for {
		n, err := l.conn.Read(buf)
		l.mu.Lock()
		l.buf = append(l.buf, buf[:n]...)
		l.eof = err != nil
		l.mu.Unlock()
		select {
		case l.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// close ends the connection from our side and waits for the reader.
func (l *link) close() {
	l.conn.Close()
	<-l.done
}

func (l *link) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.eof
}

// next returns the next whole packet that has come, nil if there is none.
func (l *link) next() (packet.Packet, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, ok, err := packet.ReadHeader(l.buf)
	if err != nil {
		return nil, err
	}
	size := h.Size + h.Remaining
	if !ok || len(l.buf) < size {
		if l.eof && len(l.buf) > 0 {
			return nil, fmt.Errorf("the connection ends inside of a packet: %x", l.buf)
		}
		return nil, nil
	}
	if h.Type == packet.TypePingresp {
		l.answered++
	}
	body := slices.Clone(l.buf[h.Size:size])
	p, err := packet.Decode(h, body, l.version)
	l.buf = l.buf[size:]
	return p, err
}

// topic resolves the Topic Alias of a PUBLISH. [MQTT-3.1.2-26] [MQTT-3.1.2-27]
func (l *link) topic(p *packet.Publish) (string, error) {
	a := p.TopicAlias
	if !a.Set {
		return string(p.Topic), nil
	}
	if a.Value > l.maximum {
		return "", fmt.Errorf("Topic Alias %d is above the maximum %d [MQTT-3.1.2-26]", a.Value, l.maximum)
	}
	if len(p.Topic) > 0 {
		l.alias[a.Value] = string(p.Topic)
	} else if l.alias[a.Value] == "" {
		return "", fmt.Errorf("Topic Alias %d was never set", a.Value)
	}
	return l.alias[a.Value], nil
}

// patience is how long anything may take where it is not known when the broker
// is at rest.
const patience = time.Minute

var errPatience = errors.New("nothing came in time")

// await waits until something has come that is enough.
func (l *link) await(enough func() bool) error {
	t := time.NewTimer(patience)
	defer t.Stop()
	for !enough() {
		select {
		case <-l.more:
		case <-l.done:
			if !enough() {
				return errors.New("the connection was closed")
			}
		case <-t.C:
			return errPatience
		}
	}
	return nil
}

// awaitEnd waits for the broker's end of the connection.
func (l *link) awaitEnd() error {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-l.done:
		return nil
	case <-t.C:
		return fmt.Errorf("the broker does not close the connection: %w", errPatience)
	}
}

// answers counts the PINGRESPs that have come.
func (l *link) answers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.answered
	for b := l.buf; ; {
		h, ok, err := packet.ReadHeader(b)
		if err != nil || !ok || len(b) < h.Size+h.Remaining {
			return n
		}
		if h.Type == packet.TypePingresp {
			n++
		}
		b = b[h.Size+h.Remaining:]
	}
}

// ping waits for the answer to a PINGREQ, and so for all that was sent before.
func (l *link) ping() error {
	if _, err := l.conn.Write((&packet.Pingreq{}).Append(nil, l.version)); err != nil {
		return err
	}
	l.asked++
	return l.await(func() bool { return l.answers() >= l.asked })
}
