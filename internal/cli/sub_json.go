package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// messageJSON is the output of %j, and with raw that of %J, where the payload must itself be JSON. Bytes are those that
// mosquitto_sub prints, down to the form of numbers: %.15g, and %.17g where that is not exact.
func messageJSON(m *packet.Publish, now time.Time, raw, pretty bool) (string, error) {
	w := jsonWriter{pretty: pretty}
	w.open('{')
	w.key("tst")
	w.string([]byte(now.Format("2006-01-02T15:04:05.000000Z-0700")))
	w.key("topic")
	w.string(m.Topic)
	w.key("qos")
	w.int(int(m.QoS))
	w.key("retain")
	w.int(map[bool]int{true: 1}[m.Retain])
	w.key("payloadlen")
	w.int(len(m.Payload))
	if m.QoS > 0 {
		w.key("mid")
		w.int(int(m.PacketID))
	}
	w.properties(&m.PublishProperties)
	w.key("payload")
	switch {
	case len(m.Payload) == 0:
		w.b.WriteString("null")
	case raw:
		if !w.value(m.Payload) {
			return "", fmt.Errorf("message payload is not valid JSON on topic %s", m.Topic)
		}
	default:
		text, _, _ := bytes.Cut(m.Payload, []byte{0}) // mosquitto prints what a C string holds
		w.string(text)
	}
	w.close('}')
	return w.b.String(), nil
}

// jsonWriter writes JSON in the layout of the cJSON library.
type jsonWriter struct {
	b      strings.Builder
	pretty bool
	depth  int
	first  bool // no element of the innermost object or array is written yet
}

func (w *jsonWriter) open(c byte) {
	w.b.WriteByte(c)
	w.depth++
	w.first = true
	if c == '{' && w.pretty {
		w.b.WriteByte('\n')
	}
}

func (w *jsonWriter) close(c byte) {
	w.depth--
	if c == '}' && w.pretty {
		if !w.first {
			w.b.WriteByte('\n')
		}
		w.b.WriteString(strings.Repeat("\t", w.depth))
	}
	w.b.WriteByte(c)
	w.first = false
}

// key starts a member of an object.
func (w *jsonWriter) key(name string) {
	if !w.first {
		w.b.WriteByte(',')
		if w.pretty {
			w.b.WriteByte('\n')
		}
	}
	w.first = false
	if w.pretty {
		w.b.WriteString(strings.Repeat("\t", w.depth))
	}
	w.string([]byte(name))
	w.b.WriteByte(':')
	if w.pretty {
		w.b.WriteByte('\t')
	}
}

// element starts an element of an array.
func (w *jsonWriter) element() {
	if !w.first {
		w.b.WriteByte(',')
		if w.pretty {
			w.b.WriteByte(' ')
		}
	}
	w.first = false
}

func (w *jsonWriter) int(n int) { w.b.WriteString(strconv.Itoa(n)) }

func (w *jsonWriter) string(s []byte) {
	w.b.WriteByte('"')
	for _, c := range s {
		switch c {
		case '"', '\\':
			w.b.WriteString(`\` + string(rune(c)))
		case '\b':
			w.b.WriteString(`\b`)
		case '\f':
			w.b.WriteString(`\f`)
		case '\n':
			w.b.WriteString(`\n`)
		case '\r':
			w.b.WriteString(`\r`)
		case '\t':
			w.b.WriteString(`\t`)
		default:
			if c < 0x20 {
				fmt.Fprintf(&w.b, `\u%04x`, c)
			} else {
				w.b.WriteByte(c)
			}
		}
	}
	w.b.WriteByte('"')
}

func (w *jsonWriter) float(f float64) {
	text := strconv.FormatFloat(f, 'g', 15, 64)
	back, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(back-f) > max(math.Abs(back), math.Abs(f))*0x1p-52 {
		text = strconv.FormatFloat(f, 'g', 17, 64)
	}
	w.b.WriteString(text)
}

// value copies a JSON text, member by member, and reports whether it is one.
func (w *jsonWriter) value(text []byte) bool {
	if !json.Valid(text) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return w.copyValue(d) == nil
}

func (w *jsonWriter) copyValue(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		w.open(byte(t))
		for d.More() {
			if t == '{' {
				name, err := d.Token()
				if err != nil {
					return err
				}
				text, _ := name.(string)
				w.key(text)
			} else {
				w.element()
			}
			if err := w.copyValue(d); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return err
		}
		w.close(byte(t) + 2) // '{' and '}', '[' and ']' are two apart
	case string:
		w.string([]byte(t))
	case json.Number:
		f, err := strconv.ParseFloat(string(t), 64)
		if err != nil { // too large
			w.b.WriteString("null")
			return nil
		}
		w.float(f)
	case bool:
		w.b.WriteString(strconv.FormatBool(t))
	default:
		w.b.WriteString("null")
	}
	return nil
}

// properties writes the properties of 5.0 in the order in which mosquitto's broker sends them: subscription identifiers,
// then those of the publisher in the publisher's order, then the remaining message expiry.
func (w *jsonWriter) properties(p *packet.PublishProperties) {
	if p.Forward == nil && len(p.SubscriptionIDs) == 0 && !p.MessageExpiry.Set {
		return
	}
	w.key("properties")
	w.open('{')
	for _, id := range p.SubscriptionIDs {
		w.key("subscription-identifier")
		w.int(int(id))
	}
	w.forwarded(p)
	if p.MessageExpiry.Set {
		w.key("message-expiry-interval")
		w.int(int(p.MessageExpiry.Value))
	}
	w.close('}')
}

// forwarded walks over the properties that were passed on, in their order. They are known to be well-formed.
func (w *jsonWriter) forwarded(p *packet.PublishProperties) {
	user := false
	for b := p.Forward; len(b) > 1; {
		id := b[0]
		b = b[1:]
		if id == 0x01 {
			w.key("payload-format-indicator")
			w.int(int(b[0]))
			b = b[1:]
			continue
		}
		var text []byte
		text, b = prefixed(b)
		switch id {
		case 0x03:
			w.key("content-type")
			w.string(text)
		case 0x08:
			w.key("response-topic")
			w.string(text)
		case 0x09:
			w.key("correlation-data")
			text, _, _ = bytes.Cut(text, []byte{0})
			w.string(text)
		case 0x26:
			_, b = prefixed(b)
			if !user { // all of them together, where the first one stands
				user = true
				w.users(p.User)
			}
		}
	}
}

func (w *jsonWriter) users(list []packet.UserPair) {
	w.key("user-properties")
	w.open('{')
	for _, u := range list {
		w.key(string(u.Key))
		w.string(u.Value)
	}
	w.close('}')
}

// prefixed takes a field with a two-byte length off b.
func prefixed(b []byte) (field, rest []byte) {
	if len(b) < 2 {
		return nil, nil
	}
	n := min(int(b[0])<<8|int(b[1]), len(b)-2)
	return b[2 : 2+n], b[2+n:]
}
