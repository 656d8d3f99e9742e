package disk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
)

// errValue: a value is not what is written. Its checksum was right, so another
// program wrote it, or a fault of this one.
var errValue = errors.New("value of an unknown form")

// delivery is what is stored of one queued message.
type delivery struct {
	head   byte // as it was read
	qos    byte
	retain bool
	shared bool // the message is stored apart
	pid    uint16
	size   uint32 // what the message counts for
	ids    []uint32
	group  string           // the shared subscription it came by
	msg    *message.Message // nil when shared
}

// expires reads when the message that r comes to after the head expires, behind
// the identifiers and the group.
func (d *delivery) expires(r reader) (int64, error) {
	for range d.ids {
		r.number(1<<32 - 1)
	}
	if d.head&deliveryGroup != 0 {
		r.text()
	}
	if r.failed {
		return 0, fmt.Errorf("read a delivery: %w", errValue)
	}
	return store.MessageExpires(r.b)
}

// The first byte of a stored delivery.
const (
	deliveryQoS    = 3
	deliveryRetain = 1 << 2
	deliveryShared = 1 << 3
	deliveryIDs    = 1 << 4
	deliveryGroup  = 1 << 5
	deliveryBits   = 1<<6 - 1
)

func (d *delivery) append(dst []byte) []byte {
	head := d.qos
	if d.retain {
		head |= deliveryRetain
	}
	if d.shared {
		head |= deliveryShared
	}
	if len(d.ids) > 0 {
		head |= deliveryIDs
	}
	if d.group != "" {
		head |= deliveryGroup
	}
	dst = append(dst, head)
	dst = binary.AppendUvarint(dst, uint64(d.pid))
	dst = binary.AppendUvarint(dst, uint64(d.size))
	if len(d.ids) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(d.ids)))
		for _, id := range d.ids {
			dst = binary.AppendUvarint(dst, uint64(id))
		}
	}
	if d.group != "" {
		dst = appendText(dst, d.group)
	}
	if d.shared {
		return dst
	}
	return store.AppendMessage(dst, d.msg)
}

// reader reads numbers; once failed it reads zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.failed = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// decodeHead reads what the index keeps of a delivery and returns the rest.
func (d *delivery) decodeHead(b []byte) (reader, error) {
	r := reader{b: b}
	head := r.byte()
	*d = delivery{
		head:   head,
		qos:    head & deliveryQoS,
		retain: head&deliveryRetain != 0,
		shared: head&deliveryShared != 0,
		pid:    uint16(r.number(1<<16 - 1)),
		size:   uint32(r.number(1<<32 - 1)),
	}
	if r.failed || head&^deliveryBits != 0 {
		return r, fmt.Errorf("read a delivery: %w", errValue)
	}
	if head&deliveryIDs != 0 {
		n := r.number(uint64(len(r.b)))
		d.ids = make([]uint32, n)
	}
	return r, nil
}

// decode reads all of a delivery; what it points to is its own.
func (d *delivery) decode(b []byte) error {
	r, err := d.decodeHead(b)
	if err != nil {
		return err
	}
	for i := range d.ids {
		d.ids[i] = uint32(r.number(1<<32 - 1))
	}
	if d.head&deliveryGroup != 0 {
		d.group = r.text()
	}
	if r.failed || d.shared && len(r.b) > 0 {
		return fmt.Errorf("read a delivery: %w", errValue)
	}
	if !d.shared {
		d.msg, err = store.DecodeMessage(r.b)
	}
	return err
}

// Progress of a delivery: a byte that says whether it is released, and the
// packet identifier.
func appendProgress(dst []byte, pid uint16, released bool) []byte {
	var head byte
	if released {
		head = 1
	}
	return binary.AppendUvarint(append(dst, head), uint64(pid))
}

func decodeProgress(b []byte) (pid uint16, released bool, err error) {
	r := reader{b: b}
	head := r.byte()
	pid = uint16(r.number(1<<16 - 1))
	if r.failed || len(r.b) > 0 || head > 1 || pid == 0 {
		return 0, false, fmt.Errorf("read the progress of a delivery: %w", errValue)
	}
	return pid, head == 1, nil
}

// A message that is stored apart has its size in front.
func appendSized(dst []byte, m *message.Message) []byte {
	return store.AppendMessage(binary.AppendUvarint(dst, uint64(m.Size())), m)
}

func decodeSize(b []byte) (size uint32, rest []byte, err error) {
	r := reader{b: b}
	size = uint32(r.number(1<<32 - 1))
	if r.failed {
		return 0, nil, fmt.Errorf("read a message: %w", errValue)
	}
	return size, r.b, nil
}

func decodeSized(b []byte) (*message.Message, error) {
	_, rest, err := decodeSize(b)
	if err != nil {
		return nil, err
	}
	return store.DecodeMessage(rest)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func (r *reader) text() string {
	n := r.number(uint64(len(r.b)))
	if r.failed || n > uint64(len(r.b)) {
		r.failed = true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func appendIdentity(dst []byte, client, user string) []byte {
	return appendText(appendText(dst, client), user)
}

func decodeIdentity(b []byte) (client, user string, err error) {
	r := reader{b: b}
	client, user = r.text(), r.text()
	if r.failed || len(r.b) > 0 {
		err = fmt.Errorf("read a session's identity: %w", errValue)
	}
	return client, user, err
}

func (s *session) appendState(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.epoch))
	dst = binary.AppendUvarint(dst, uint64(s.expiry))
	dst = binary.AppendVarint(dst, s.opened)
	return binary.AppendVarint(dst, s.closed)
}

func (s *session) decodeState(b []byte) error {
	r := reader{b: b}
	s.epoch, s.expiry = uint32(r.number(1<<32-1)), uint32(r.number(1<<32-1))
	s.opened, s.closed = r.signed(), r.signed()
	if r.failed || len(r.b) > 0 {
		return fmt.Errorf("read a session's state: %w", errValue)
	}
	return nil
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// A subscription is its options in a byte, its identifier and its filter.
func appendSubscription(dst []byte, sub *store.Subscription) []byte {
	o := sub.Options
	head := o.QoS | o.RetainHandling<<2
	if o.NoLocal {
		head |= 1 << 4
	}
	if o.RetainAsPublished {
		head |= 1 << 5
	}
	return append(binary.AppendUvarint(append(dst, head), uint64(sub.ID)), sub.Filter...)
}

func decodeSubscription(b []byte) (store.Subscription, error) {
	r := reader{b: b}
	head := r.byte()
	var sub store.Subscription
	sub.Options.QoS = head & 3
	sub.Options.RetainHandling = head >> 2 & 3
	sub.Options.NoLocal = head&(1<<4) != 0
	sub.Options.RetainAsPublished = head&(1<<5) != 0
	sub.ID = uint32(r.number(1<<32 - 1))
	if r.failed || head>>6 != 0 {
		return sub, fmt.Errorf("read a subscription: %w", errValue)
	}
	sub.Filter = string(r.b)
	return sub, nil
}
