package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nightjarmq/nightjar/packet"
)

// property is one use of -D, in the order given.
type property struct {
	kind  *propertyKind
	num   uint32
	key   string // user-property
	value string
}

type properties []property

// propertyKind describes a property of 5.0 that a client may set.
type propertyKind struct {
	name     string
	id       byte
	form     propertyForm
	low      uint32
	high     uint32
	commands string // words separated by blanks
}

type propertyForm uint8

const (
	formNumber propertyForm = iota
	formText
	formBinary
	formPair
)

func propertyKinds() []propertyKind {
	return []propertyKind{
		{"payload-format-indicator", 0x01, formNumber, 0, 1, "publish will"},
		{"message-expiry-interval", 0x02, formNumber, 0, 1<<32 - 1, "publish will"},
		{"content-type", 0x03, formText, 0, 0, "publish will"},
		{"response-topic", 0x08, formText, 0, 0, "publish will"},
		{"correlation-data", 0x09, formBinary, 0, 0, "publish will"},
		{"subscription-identifier", 0x0B, formNumber, 1, packet.MaxVarint, "subscribe"},
		{"session-expiry-interval", 0x11, formNumber, 0, 1<<32 - 1, "connect disconnect"},
		{"authentication-method", 0x15, formText, 0, 0, "connect"},
		{"authentication-data", 0x16, formBinary, 0, 0, "connect"},
		{"request-problem-information", 0x17, formNumber, 0, 1, "connect"},
		{"will-delay-interval", 0x18, formNumber, 0, 1<<32 - 1, "will"},
		{"request-response-information", 0x19, formNumber, 0, 1, "connect"},
		{"reason-string", 0x1F, formText, 0, 0, "disconnect"},
		{"receive-maximum", 0x21, formNumber, 1, 65535, "connect"},
		{"topic-alias-maximum", 0x22, formNumber, 0, 65535, "connect"},
		{"topic-alias", 0x23, formNumber, 1, 65535, "publish"},
		{"user-property", 0x26, formPair, 0, 0, "connect publish subscribe unsubscribe disconnect will"},
		{"maximum-packet-size", 0x27, formNumber, 1, 1<<32 - 1, "connect"},
	}
}

// takeProperty parses the words after -D: command, name, value, and for a user property two values.
func (o *options) takeProperty(words []string) (int, error) {
	o.version = packet.V5
	const form = "it goes -D COMMAND NAME VALUE, or -D COMMAND user-property KEY VALUE"
	if len(words) < 3 {
		return 0, errors.New("too few words; " + form)
	}
	command := strings.ToLower(words[0])
	list := o.propertiesOf(command)
	if list == nil {
		return 0, fmt.Errorf("%q is not a command that takes properties; use connect, publish, subscribe, unsubscribe, disconnect or will", words[0])
	}
	p, used, err := parseProperty(command, words[1:])
	if err != nil {
		return 0, err
	}
	for _, other := range *list {
		if other.kind.name == p.kind.name && p.kind.form != formPair {
			return 0, fmt.Errorf("%s is given twice for %s", p.kind.name, command)
		}
	}
	*list = append(*list, p)
	return 1 + used, nil
}

func (o *options) propertiesOf(command string) *properties {
	switch command {
	case "connect":
		return &o.connectProps
	case "publish":
		return &o.publishProps
	case "subscribe":
		return &o.subscribeProps
	case "unsubscribe":
		return &o.unsubscribeProps
	case "disconnect":
		return &o.disconnectProps
	case "will":
		return &o.willProps
	}
	return nil
}

func parseProperty(command string, words []string) (property, int, error) {
	var p property
	kinds := propertyKinds()
	for i := range kinds {
		if kinds[i].name == words[0] {
			p.kind = &kinds[i]
		}
	}
	if p.kind == nil {
		return p, 0, fmt.Errorf("%q is not a property that a client sets; names are as in content-type", words[0])
	}
	if !strings.Contains(" "+p.kind.commands+" ", " "+command+" ") {
		return p, 0, fmt.Errorf("%s does not belong to %s but to %s", p.kind.name, command, strings.ReplaceAll(p.kind.commands, " ", ", "))
	}
	if p.kind.form == formPair {
		if len(words) < 3 {
			return p, 0, errors.New("user-property needs a key and a value")
		}
		p.key, p.value = words[1], words[2]
		return p, 3, errors.Join(checkText(p.key), checkText(p.value))
	}
	p.value = words[1]
	switch p.kind.form {
	case formNumber:
		n, err := strconv.ParseUint(p.value, 10, 32)
		if err != nil || uint32(n) < p.kind.low || uint32(n) > p.kind.high {
			return p, 0, fmt.Errorf("%s must be a number from %d to %d, not %q", p.kind.name, p.kind.low, p.kind.high, p.value)
		}
		p.num = uint32(n)
	case formText:
		return p, 2, checkText(p.value)
	case formBinary:
		if len(p.value) > packet.MaxString {
			return p, 0, errors.New(p.kind.name + " is longer than 65535 bytes")
		}
	}
	return p, 2, nil
}

func checkText(s string) error {
	if len(s) > packet.MaxString {
		return errors.New("a text is longer than 65535 bytes")
	}
	return checkUTF8(s)
}

// checkProperties refuses contradictions between -D and other options.
func (o *options) checkProperties() error {
	for _, p := range o.connectProps {
		if p.kind.id == 0x11 && o.expiry.Set {
			return misuse("-D connect session-expiry-interval contradicts -x or -c; give one of them")
		}
	}
	if len(o.willProps) > 0 && o.will.Topic == "" {
		return misuse("-D will needs --will-topic")
	}
	return nil
}

func (ps properties) user() (list []packet.UserProperty) {
	for _, p := range ps {
		if p.kind.form == formPair {
			list = append(list, packet.UserProperty{Key: p.key, Value: p.value})
		}
	}
	return list
}

// number gives a numeric property.
func (ps properties) number(id byte) packet.Opt[uint32] {
	for _, p := range ps {
		if p.kind.id == id {
			return packet.Some(p.num)
		}
	}
	return packet.Opt[uint32]{}
}

func (ps properties) byteValue(id byte) packet.Opt[byte] {
	n := ps.number(id)
	return packet.Opt[byte]{Value: byte(n.Value), Set: n.Set}
}

func (ps properties) short(id byte) packet.Opt[uint16] {
	n := ps.number(id)
	return packet.Opt[uint16]{Value: uint16(n.Value), Set: n.Set}
}

func (ps properties) text(id byte) packet.Opt[string] {
	for _, p := range ps {
		if p.kind.id == id {
			return packet.Some(p.value)
		}
	}
	return packet.Opt[string]{}
}

// bytes gives a property as bytes, nil if it is absent.
func (ps properties) bytes(id byte) []byte {
	if t := ps.text(id); t.Set {
		return []byte(t.Value)
	}
	return nil
}

// publish gives the properties of PUBLISH. Those that pass through a server unaltered are encoded here, because they are
// sent in the order in which they were given.
func (ps properties) publish() packet.PublishProperties {
	out := packet.PublishProperties{TopicAlias: ps.short(0x23), MessageExpiry: ps.number(0x02)}
	for _, p := range ps {
		switch p.kind.id {
		case 0x01:
			out.Forward = append(out.Forward, p.kind.id, byte(p.num))
		case 0x03, 0x08:
			out.Forward = packet.AppendString(append(out.Forward, p.kind.id), p.value)
		case 0x09:
			out.Forward = packet.AppendBinary(append(out.Forward, p.kind.id), []byte(p.value))
		case 0x26:
			out.Forward = packet.AppendString(packet.AppendString(append(out.Forward, p.kind.id), p.key), p.value)
		}
	}
	return out
}

// will adds the properties to w.
func (ps properties) will(w packet.Will) *packet.Will {
	w.DelayInterval, w.PayloadFormat, w.MessageExpiry = ps.number(0x18), ps.byteValue(0x01), ps.number(0x02)
	w.ContentType, w.ResponseTopic, w.CorrelationData = ps.text(0x03), ps.text(0x08), ps.bytes(0x09)
	w.User = ps.user()
	return &w
}

// disconnect gives a DISCONNECT with the properties.
func (ps properties) disconnect(code packet.Code) *packet.Disconnect {
	return &packet.Disconnect{Code: code, SessionExpiry: ps.number(0x11), ReasonString: ps.text(0x1F), User: ps.user()}
}
