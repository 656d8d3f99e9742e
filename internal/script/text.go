package script

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nightjarmq/nightjar/packet"
)

// ParsePacket reads a packet from its text.
func ParsePacket(text string) (packet.Packet, error) {
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("no packet")
	}
	p := byName(words[0])
	if p == nil {
		return nil, fmt.Errorf("there is no packet %q", words[0])
	}
	fields := reader{p: p}
	for _, w := range words[1:] {
		if err := fields.word(w); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", words[0], w, err)
		}
	}
	return p, nil
}

func byName(name string) packet.Packet {
	for t := packet.TypeConnect; t <= packet.TypeAuth; t++ {
		if t.String() == name {
			return packet.New(t, packet.V5)
		}
	}
	return nil
}

// split cuts text at spaces that are not within double quotes.
func split(text string) (words []string, err error) {
	start, quoted := -1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
			if start < 0 {
				start = i
			}
		case c == ' ' && !quoted:
			if start >= 0 {
				words = append(words, text[start:i])
			}
			start = -1
		case start < 0:
			start = i
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is not closed in %s", text)
	}
	if start >= 0 {
		words = append(words, text[start:])
	}
	return words, nil
}

// reader fills a packet with the words of its text.
type reader struct {
	p          packet.Packet
	positional int
}

func (r *reader) word(w string) error {
	key, value, ok := strings.Cut(w, "=")
	if !ok || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz-") != "" || key == "" {
		s, err := unquote(w)
		if err != nil {
			return err
		}
		return r.alone(s)
	}
	value, err := unquote(value)
	if err != nil {
		return err
	}
	if s, ok := r.p.(*packet.Subscribe); ok && len(s.Filters) > 0 {
		return set(reflect.ValueOf(&s.Filters[len(s.Filters)-1].Options).Elem(), key, value)
	}
	if c, ok := r.p.(*packet.Connect); ok && strings.HasPrefix(key, "will-") {
		if c.Will == nil {
			c.Will = new(packet.Will)
		}
		return set(reflect.ValueOf(c.Will).Elem(), key[len("will-"):], value)
	}
	return set(reflect.ValueOf(r.p).Elem(), key, value)
}

// alone takes a word without a key: a topic and a payload, or filters.
func (r *reader) alone(s string) error {
	r.positional++
	switch p := r.p.(type) {
	case *packet.Publish:
		switch r.positional {
		case 1:
			p.Topic = []byte(s)
			return nil
		case 2:
			b, err := parseBytes(s)
			p.Payload = b
			return err
		}
	case *packet.Subscribe:
		p.Filters = append(p.Filters, packet.SubscribeFilter{Filter: s})
		return nil
	case *packet.Unsubscribe:
		p.Filters = append(p.Filters, s)
		return nil
	}
	return fmt.Errorf("a word without a key")
}

func set(v reflect.Value, key, value string) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			if set(v.Field(i), key, value) == nil {
				return nil
			}
		} else if keyOf(f.Name) == key {
			return setValue(v.Field(i), value)
		}
	}
	return fmt.Errorf("there is no field %q", key)
}

func setValue(v reflect.Value, s string) error {
	switch x := v.Addr().Interface().(type) {
	case *[]byte:
		b, err := parseBytes(s)
		*x = b
		return err
	case *[]packet.UserProperty:
		k, val, _ := strings.Cut(s, ":")
		*x = append(*x, packet.UserProperty{Key: k, Value: val})
		return nil
	case *[]packet.UserPair:
		k, val, _ := strings.Cut(s, ":")
		*x = append(*x, packet.UserPair{Key: []byte(k), Value: []byte(val)})
		return nil
	case *[]packet.Code:
		for c := range strings.SplitSeq(s, ",") {
			n, err := strconv.ParseUint(c, 0, 8)
			if err != nil {
				return err
			}
			*x = append(*x, packet.Code(n))
		}
		return nil
	case *[]uint32:
		n, err := strconv.ParseUint(s, 0, 32)
		*x = append(*x, uint32(n))
		return err
	}
	switch v.Kind() {
	case reflect.Struct: // packet.Opt
		v.Field(1).SetBool(true)
		return setValue(v.Field(0), s)
	case reflect.Bool:
		v.SetBool(s == "1")
		return nil
	case reflect.String:
		v.SetString(s)
		return nil
	}
	n, err := strconv.ParseUint(s, 0, v.Type().Bits())
	v.SetUint(n)
	return err
}

// keyOf turns a field's name into its key: MaximumQoS is maximum-qos.
func keyOf(name string) string {
	switch name {
	case "Version":
		return "v"
	case "ClientID", "PacketID":
		return "id"
	case "CleanStart":
		return "clean"
	case "KeepAlive":
		return "keepalive"
	case "SessionPresent":
		return "present"
	case "SubscriptionIDs":
		return "subscription-id"
	}
	name = strings.NewReplacer("ID", "Id", "QoS", "Qos").Replace(name)
	var b strings.Builder
	for i, c := range name {
		if unicode.IsUpper(c) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

func unquote(s string) (string, error) {
	if strings.HasPrefix(s, `"`) {
		return strconv.Unquote(s)
	}
	return s, nil
}

func parseBytes(s string) ([]byte, error) {
	if strings.HasPrefix(s, "0x") {
		return hex.DecodeString(s[2:])
	}
	return []byte(s), nil
}

// PrintPacket writes a packet as text, in one canonical form. v decides about the
// code of a CONNACK.
func PrintPacket(p packet.Packet, v packet.Version) string {
	if c, ok := p.(*packet.Connack); ok && v < packet.V5 {
		if rc, ok := c.Code.ReturnCode(); ok {
			older := *c
			older.Code = packet.Code(rc)
			p = &older
		}
	}
	words := []string{p.Type().String()}
	if pub, ok := p.(*packet.Publish); ok {
		slices.Sort(pub.SubscriptionIDs) // their order means nothing
		words = append(words, quote(string(pub.Topic)), quoteBytes(pub.Payload, true))
	}
	words = printFields(words, reflect.ValueOf(p).Elem(), "")
	switch p := p.(type) {
	case *packet.Subscribe:
		for _, f := range p.Filters {
			words = printFields(append(words, quote(f.Filter)), reflect.ValueOf(f.Options), "")
		}
	case *packet.Unsubscribe:
		for _, f := range p.Filters {
			words = append(words, quote(f))
		}
	}
	return strings.Join(words, " ")
}

func printFields(words []string, v reflect.Value, prefix string) []string {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch f.Name {
		case "Forward", "Filters":
			continue
		case "Topic", "Payload":
			if prefix == "" {
				continue
			}
		case "Will":
			if !v.Field(i).IsNil() {
				words = printFields(words, v.Field(i).Elem(), "will-")
			}
			continue
		}
		if f.Anonymous {
			words = printFields(words, v.Field(i), prefix)
			continue
		}
		words = printValue(words, prefix+keyOf(f.Name), v.Field(i))
	}
	return words
}

// always are the fields that are printed when they are zero, too.
func always(key string) bool { return key == "present" || key == "clean" }

func printValue(words []string, key string, v reflect.Value) []string {
	word := func(s string) { words = append(words, key+"="+s) }
	switch x := v.Interface().(type) {
	case []byte:
		if x != nil {
			word(quoteBytes(x, false))
		}
		return words
	case []packet.UserProperty:
		for _, u := range x {
			word(quote(u.Key + ":" + u.Value))
		}
		return words
	case []packet.UserPair:
		for _, u := range x {
			word(quote(string(u.Key) + ":" + string(u.Value)))
		}
		return words
	case []packet.Code:
		codes := make([]string, len(x))
		for i, c := range x {
			codes[i] = fmt.Sprintf("0x%02x", byte(c))
		}
		word(strings.Join(codes, ","))
		return words
	case []uint32:
		for _, n := range x {
			word(strconv.Itoa(int(n)))
		}
		return words
	case packet.Code:
		word(fmt.Sprintf("0x%02x", byte(x)))
		return words
	}
	switch v.Kind() {
	case reflect.Struct: // packet.Opt
		if !v.Field(1).Bool() {
			return words
		}
		if v.Field(0).Kind() == reflect.String {
			word(quote(v.Field(0).String()))
			return words
		}
		if v.Field(0).IsZero() && v.Field(0).CanUint() {
			word("0")
			return words
		}
		return printValue(words, key, v.Field(0))
	case reflect.Bool:
		if v.Bool() {
			word("1")
		} else if always(key) {
			word("0")
		}
	case reflect.String:
		word(quote(v.String()))
	default:
		if v.Uint() != 0 {
			word(strconv.FormatUint(v.Uint(), 10))
		}
	}
	return words
}

// quote puts s in quotes unless it is plain.
func quote(s string) string {
	if s == "" || strings.ContainsAny(s, " \"'=\\") || strings.HasPrefix(s, "0x") || !printable(s) {
		return strconv.Quote(s)
	}
	return s
}

func quoteBytes(b []byte, text bool) string {
	s := string(b)
	switch {
	case !printable(s) || strings.HasPrefix(s, "0x"):
		return "0x" + hex.EncodeToString(b)
	case text:
		return strconv.Quote(s)
	}
	return quote(s)
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// matches reports whether a packet that came is the expected one. A Reason String
// is for people: it counts only where it is expected.
func matches(want, got string) bool {
	w, err := split(want)
	if err != nil {
		return false
	}
	g, err := split(got)
	if !strings.Contains(want, " reason-string=") {
		g = slices.DeleteFunc(g, func(s string) bool { return strings.HasPrefix(s, "reason-string=") })
	}
	if err != nil || len(w) != len(g) {
		return false
	}
	for i := range w {
		if w[i] == g[i] {
			continue
		}
		key, anything := strings.CutSuffix(w[i], "=*")
		if !anything || !strings.HasPrefix(g[i], key+"=") {
			return false
		}
	}
	return true
}

// parseRaw reads bytes: hexadecimal, with text in single quotes among it.
func parseRaw(s string) ([]byte, error) {
	var out []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}
