package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/packet"
)

// Errors of [DecodeRecord].
var (
	// ErrUnknownRecord: the record's kind is not known. A newer version wrote it.
	ErrUnknownRecord = errors.New("record of an unknown kind")
	// ErrDamagedRecord: the bytes are not what AppendRecord writes, or end early.
	ErrDamagedRecord = errors.New("damaged record")
)

// A record is written as the byte of its kind and its fields in the order of
// the methods below. Numbers are varints as encoding/binary has them, in as few
// bytes as they need; strings and lists have their length in front. So a record
// has exactly one form, and what decodes encodes to the same bytes. A kind is
// never given another meaning: a record that changes gets another kind.
const (
	kindSessionOpened  = 1
	kindSessionClosed  = 2
	kindSessionRemoved = 3
	kindWillTaken      = 4
	kindSubscribed     = 5
	kindUnsubscribed   = 6
	kindPublished      = 7
	kindSent           = 8
	kindReceived       = 9
	kindDone           = 10
	kindIncoming       = 11
	kindReleased       = 12
	kindPublishedShare = 13 // Published, some of it by shared subscriptions
)

// AppendRecord appends r as bytes to dst. It has no length and no checksum:
// what holds it, has. QoS and Retain Handling must be at most 2.
func AppendRecord(dst []byte, r Record) []byte {
	kind := kindOf(r)
	c := coder{b: append(dst, kind), shares: kind == kindPublishedShare}
	c.record(r)
	return c.b
}

// DecodeRecord reads the record that b begins with and returns how many bytes
// it took. The record shares no memory with b. Errors are [ErrUnknownRecord]
// and [ErrDamagedRecord], wrapped.
func DecodeRecord(b []byte) (r Record, n int, err error) {
	if len(b) == 0 {
		return nil, 0, fmt.Errorf("decode record: no bytes: %w", ErrDamagedRecord)
	}
	r = newRecord(b[0])
	if r == nil {
		return nil, 0, fmt.Errorf("decode record: kind %d: %w", b[0], ErrUnknownRecord)
	}
	c := coder{b: b[1:], decoding: true, shares: b[0] == kindPublishedShare}
	c.record(r)
	if c.shares && kindOf(r) != kindPublishedShare {
		c.fail() // there is another form for it
	}
	if c.damaged {
		return nil, 0, fmt.Errorf("decode %T of %d bytes: %w", r, len(b), ErrDamagedRecord)
	}
	return r, len(b) - len(c.b), nil
}

func kindOf(r Record) byte {
	switch r := r.(type) {
	case *SessionOpened:
		return kindSessionOpened
	case *SessionClosed:
		return kindSessionClosed
	case *SessionRemoved:
		return kindSessionRemoved
	case *WillTaken:
		return kindWillTaken
	case *Subscribed:
		return kindSubscribed
	case *Unsubscribed:
		return kindUnsubscribed
	case *Published:
		if slices.ContainsFunc(r.To, func(to Recipient) bool { return to.Share != "" }) {
			return kindPublishedShare
		}
		return kindPublished
	case *Sent:
		return kindSent
	case *Received:
		return kindReceived
	case *Done:
		return kindDone
	case *Incoming:
		return kindIncoming
	case *Released:
		return kindReleased
	}
	panic(fmt.Sprintf("store: no kind for %T", r))
}

func newRecord(kind byte) Record {
	switch kind {
	case kindSessionOpened:
		return new(SessionOpened)
	case kindSessionClosed:
		return new(SessionClosed)
	case kindSessionRemoved:
		return new(SessionRemoved)
	case kindWillTaken:
		return new(WillTaken)
	case kindSubscribed:
		return new(Subscribed)
	case kindUnsubscribed:
		return new(Unsubscribed)
	case kindPublished, kindPublishedShare:
		return new(Published)
	case kindSent:
		return new(Sent)
	case kindReceived:
		return new(Received)
	case kindDone:
		return new(Done)
	case kindIncoming:
		return new(Incoming)
	case kindReleased:
		return new(Released)
	}
	return nil
}

// A coder writes the fields it is shown, or reads them: so both directions are
// one list of fields. Once damaged, it reads zeros.
type coder struct {
	b        []byte // what is written, or what is left to read
	decoding bool
	damaged  bool
	shares   bool // recipients have a Share
}

// record lists the fields of every record.
func (c *coder) record(r Record) {
	switch r := r.(type) {
	case *SessionOpened:
		number(c, &r.Session)
		number(c, &r.Epoch)
		c.text(&r.ClientID)
		c.text(&r.User)
		number(c, &r.Expiry)
		c.will(&r.Will)
		number(c, &r.Time)
	case *SessionClosed:
		number(c, &r.Session)
		number(c, &r.Expiry)
		c.flag(&r.KeepWill)
		number(c, &r.Time)
	case *SessionRemoved:
		number(c, &r.Session)
	case *WillTaken:
		number(c, &r.Session)
	case *Subscribed:
		number(c, &r.Session)
		c.text(&r.Filter)
		c.qos(&r.Options.QoS)
		c.flag(&r.Options.NoLocal)
		c.flag(&r.Options.RetainAsPublished)
		c.qos(&r.Options.RetainHandling)
		number(c, &r.ID)
	case *Unsubscribed:
		number(c, &r.Session)
		c.text(&r.Filter)
	case *Published:
		number(c, &r.Seq)
		c.message(&r.Message)
		c.flag(&r.Retain)
		c.recipients(&r.To)
		number(c, &r.From)
		number(c, &r.FromID)
	case *Sent:
		c.delivery(&r.Session, &r.Seq)
		number(c, &r.PacketID)
	case *Received:
		c.delivery(&r.Session, &r.Seq)
		number(c, &r.PacketID)
	case *Done:
		c.delivery(&r.Session, &r.Seq)
	case *Incoming:
		number(c, &r.Session)
		number(c, &r.PacketID)
	case *Released:
		number(c, &r.Session)
		number(c, &r.PacketID)
	}
}

func (c *coder) delivery(id *SessionID, seq *Seq) {
	number(c, id)
	number(c, seq)
}

func (c *coder) message(p **message.Message) {
	if c.decoding {
		*p = new(message.Message)
	}
	m := *p
	c.text(&m.Topic)
	c.bytes(&m.Payload)
	c.bytes(&m.Props)
	number(c, &m.Expires)
	c.qos(&m.QoS)
	c.flag(&m.Retain)
}

func (c *coder) will(p **Will) {
	there := *p != nil
	c.flag(&there)
	if !there {
		return
	}
	if c.decoding {
		*p = new(Will)
	}
	c.message(&(*p).Message)
	c.optional(&(*p).Expiry)
	number(c, &(*p).Delay)
}

// optional is a flag and, if that is set, a number.
func (c *coder) optional(v *packet.Opt[uint32]) {
	c.flag(&v.Set)
	if v.Set {
		number(c, &v.Value)
	}
}

// recipientLen is the length of the shortest recipient.
const recipientLen = 6

func (c *coder) recipients(p *[]Recipient) {
	n := c.length(len(*p), recipientLen)
	if c.decoding && n > 0 {
		*p = make([]Recipient, n)
	}
	for i := range *p {
		to := &(*p)[i]
		number(c, &to.Session)
		number(c, &to.Epoch)
		number(c, &to.PacketID)
		c.qos(&to.QoS)
		c.flag(&to.Retain)
		c.ids(&to.IDs)
		if c.shares {
			c.text(&to.Share)
		}
	}
}

func (c *coder) ids(p *[]uint32) {
	n := c.length(len(*p), 1)
	if c.decoding && n > 0 {
		*p = make([]uint32, n)
	}
	for i := range *p {
		number(c, &(*p)[i])
	}
}

// number is a varint that T can hold.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64](c *coder, v *T) {
	if !c.decoding {
		c.b = binary.AppendUvarint(c.b, uint64(*v))
		return
	}
	x := c.uvarint()
	*v = T(x)
	if uint64(*v) != x {
		c.fail()
	}
}

func (c *coder) uvarint() uint64 {
	x, n := binary.Uvarint(c.b)
	if n <= 0 || n > 1 && c.b[n-1] == 0 { // cut short, too long, or padded
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return x
}

// fail makes everything that is still to be read zero.
func (c *coder) fail() {
	c.damaged = true
	c.b = nil
}

// qos is a number up to 2.
func (c *coder) qos(v *byte) {
	number(c, v)
	if c.decoding && *v > 2 {
		c.fail()
	}
}

func (c *coder) flag(v *bool) {
	var x byte
	if *v {
		x = 1
	}
	number(c, &x)
	if x > 1 {
		c.fail()
	}
	if c.decoding { // else it is read only: a message that is written may be read by others
		*v = x == 1
	}
}

// length is that of a list whose elements take least bytes or more each, so
// that no more memory is claimed than bytes are there for.
func (c *coder) length(n, least int) int {
	x := uint64(n)
	number(c, &x)
	if c.decoding && x > uint64(len(c.b)/least) {
		c.fail()
		return 0
	}
	return int(x)
}

func (c *coder) text(v *string) {
	n := c.length(len(*v), 1)
	if c.decoding {
		*v = string(c.take(n))
		return
	}
	c.b = append(c.b, *v...)
}

// bytes reads nil where there are none.
func (c *coder) bytes(v *[]byte) {
	n := c.length(len(*v), 1)
	if c.decoding {
		*v = append([]byte(nil), c.take(n)...)
		return
	}
	c.b = append(c.b, *v...)
}

func (c *coder) take(n int) []byte {
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

// AppendMessage appends m as bytes to dst, in the form it has in a record.
func AppendMessage(dst []byte, m *message.Message) []byte {
	c := coder{b: dst}
	c.message(&m)
	return c.b
}

// DecodeMessage reads the message that is all of b. The message shares no
// memory with b. The error is [ErrDamagedRecord], wrapped.
func DecodeMessage(b []byte) (*message.Message, error) {
	var m *message.Message
	c := coder{b: b, decoding: true}
	c.message(&m)
	if c.damaged || len(c.b) > 0 {
		return nil, fmt.Errorf("decode a message of %d bytes: %w", len(b), ErrDamagedRecord)
	}
	return m, nil
}

// MessageExpires reads when the message that is all of b expires, without a copy
// of it. The error is [ErrDamagedRecord], wrapped.
func MessageExpires(b []byte) (int64, error) {
	c := coder{b: b, decoding: true}
	for range 3 { // topic, payload, properties
		c.take(c.length(0, 1))
	}
	var m message.Message
	number(&c, &m.Expires)
	c.qos(&m.QoS)
	c.flag(&m.Retain)
	if c.damaged || len(c.b) > 0 {
		return 0, fmt.Errorf("decode a message of %d bytes: %w", len(b), ErrDamagedRecord)
	}
	return m.Expires, nil
}

// AppendWill appends w, which is not nil, as bytes to dst.
func AppendWill(dst []byte, w *Will) []byte {
	c := coder{b: dst}
	c.will(&w)
	return c.b
}

// DecodeWill reads the will that is all of b. The will shares no memory with b.
// The error is [ErrDamagedRecord], wrapped.
func DecodeWill(b []byte) (*Will, error) {
	var w *Will
	c := coder{b: b, decoding: true}
	c.will(&w)
	if c.damaged || len(c.b) > 0 || w == nil {
		return nil, fmt.Errorf("decode a will of %d bytes: %w", len(b), ErrDamagedRecord)
	}
	return w, nil
}
