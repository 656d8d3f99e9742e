package cli

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// formatPart is a piece of -F: literal text, a conversion of the message, or one of strftime.
type formatPart struct {
	text  string
	kind  byte // 0 for text, '%' or '@'
	verb  byte
	left  bool
	zero  bool
	width int
	prec  int // -1: none; between groups of so many digits in hexadecimal output is sep
	sep   byte
}

// separators may stand before the letter of %x and %X.
const separators = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ "

// checkFormat finds mistakes in -F before there is a connection.
func checkFormat(format string) error {
	for i := 0; i < len(format); i++ {
		switch format[i] {
		case '%':
			part, n := percent(format[i+1:])
			if n == 0 {
				return errors.New("ends inside a % sequence; write %% for a percent sign")
			}
			if strings.IndexByte("%ACDEFIlmPpqRSrtjJUxXfd", part.verb) < 0 {
				return fmt.Errorf("%%%c is unknown; see --help, and write %%%% for a percent sign", part.verb)
			}
			if part.sep != 0 && part.verb != 'x' && part.verb != 'X' {
				return fmt.Errorf("%c before %c: only %%x and %%X take a separator", part.sep, part.verb)
			}
			i += n
		case '@':
			if i++; i == len(format) {
				return errors.New("ends inside an @ sequence; write @@ for an at sign")
			}
		case '\\':
			if i++; i == len(format) {
				return errors.New(`ends inside a \ sequence; write \\ for a backslash`)
			}
			if strings.IndexByte(`\0aenrtv`, format[i]) < 0 {
				return fmt.Errorf(`\%c is unknown; there are \\ \0 \a \e \n \r \t \v`, format[i])
			}
		}
	}
	return nil
}

// percent reads what follows a '%': a flag, a width, a precision, a separator and a letter. n is 0 if the letter is missing.
func percent(s string) (part formatPart, n int) {
	part = formatPart{kind: '%', prec: -1}
	if n < len(s) && s[n] == '-' {
		part.left = true
		n++
	}
	if n < len(s) && s[n] == '0' {
		part.zero = true
		n++
	}
	part.width, n = digits(s, n)
	if n < len(s) && s[n] == '.' {
		part.prec, n = digits(s, n+1)
	}
	if n < len(s) && strings.IndexByte(separators, s[n]) >= 0 {
		part.sep = s[n]
		n++
	}
	if n >= len(s) {
		return part, 0
	}
	part.verb = s[n]
	return part, n + 1
}

func digits(s string, n int) (value, end int) {
	for ; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
		value = min(value*10+int(s[n]-'0'), 1<<16)
	}
	return value, n
}

// parseFormat takes a checked format apart.
func parseFormat(format string) (parts []formatPart) {
	text := []byte(nil)
	flush := func() {
		if len(text) > 0 {
			parts = append(parts, formatPart{text: string(text)})
			text = nil
		}
	}
	escapes := map[byte]byte{'\\': '\\', '0': 0, 'a': '\a', 'e': 27, 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}
	for i := 0; i < len(format); i++ {
		switch format[i] {
		case '%':
			flush()
			part, n := percent(format[i+1:])
			parts = append(parts, part)
			i += n
		case '@':
			flush()
			i++
			parts = append(parts, formatPart{kind: '@', verb: format[i]})
		case '\\':
			i++
			text = append(text, escapes[format[i]])
		default:
			text = append(text, format[i])
		}
	}
	flush()
	return parts
}

// formatMessage writes m to s.line. What cannot be written is left out and reported.
func (s *subscriber) formatMessage(m *packet.Publish, now time.Time) (err error) {
	for i := range s.format {
		part := &s.format[i]
		switch part.kind {
		case 0:
			s.line.WriteString(part.text)
		case '@':
			s.line.WriteString(strftime(part.verb, now))
		case '%':
			if part.verb == 'j' || part.verb == 'J' {
				text, jsonErr := messageJSON(m, now, part.verb == 'J', s.o.pretty)
				if jsonErr != nil {
					err = jsonErr
				}
				s.line.WriteString(text)
				continue
			}
			if floatErr := part.write(&s.line, m, now); floatErr != nil {
				err = floatErr
			}
		}
	}
	return err
}

// write does one conversion. It fails for a number that is none.
func (f *formatPart) write(b *strings.Builder, m *packet.Publish, now time.Time) error {
	switch f.verb {
	case '%':
		b.WriteByte('%')
	case 'A':
		f.number(b, int(m.TopicAlias.Value), m.TopicAlias.Set)
	case 'C':
		f.string(b, string(m.ContentType))
	case 'D':
		b.Write(m.CorrelationData)
	case 'E':
		f.number(b, int(m.MessageExpiry.Value), m.MessageExpiry.Set)
	case 'F':
		f.number(b, int(m.PayloadFormat.Value), m.PayloadFormat.Set)
	case 'I':
		f.string(b, now.Format("2006-01-02T15:04:05-0700"))
	case 'l':
		f.number(b, len(m.Payload), true)
	case 'm':
		f.number(b, int(m.PacketID), true)
	case 'P':
		for i, u := range m.User {
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(b, "%s:%s", u.Key, u.Value)
		}
	case 'p':
		f.payload(b, m.Payload, "%s", 1)
	case 'q':
		b.WriteByte('0' + m.QoS)
	case 'R':
		if m.ResponseTopic != nil {
			f.string(b, string(m.ResponseTopic))
		}
	case 'r':
		b.WriteByte('0' + map[bool]byte{true: 1}[m.Retain])
	case 'S':
		if len(m.SubscriptionIDs) > 0 {
			f.number(b, int(m.SubscriptionIDs[0]), true)
		} else {
			f.number(b, 0, false)
		}
	case 't':
		f.string(b, string(m.Topic))
	case 'U':
		fmt.Fprintf(b, "%d.%09d", now.Unix(), now.Nanosecond())
	case 'x':
		f.payload(b, m.Payload, "%x", 2)
	case 'X':
		f.payload(b, m.Payload, "%X", 2)
	case 'f', 'd':
		return f.float(b, m)
	}
	return nil
}

// float writes a payload that is an IEEE 754 number of 4 (%f) or 8 bytes (%d) in this machine's byte order, with 6 digits
// behind the point unless the precision says otherwise.
func (f *formatPart) float(b *strings.Builder, m *packet.Publish) error {
	var value float64
	switch {
	case f.verb == 'f' && len(m.Payload) == 4:
		value = float64(math.Float32frombits(binary.NativeEndian.Uint32(m.Payload)))
	case f.verb == 'd' && len(m.Payload) == 8:
		value = math.Float64frombits(binary.NativeEndian.Uint64(m.Payload))
	default:
		return fmt.Errorf("%%%c needs a payload of %d bytes, that of %s has %d", f.verb, map[byte]int{'f': 4, 'd': 8}[f.verb], m.Topic, len(m.Payload))
	}
	flags := ""
	if f.left {
		flags = "-"
	} else if f.zero {
		flags = "0"
	}
	prec := f.prec
	if prec < 0 {
		prec = 6
	}
	fmt.Fprintf(b, "%"+flags+"*.*f", f.width, prec, value)
	return nil
}

// number writes n in the width, or blanks (zeros with the flag 0) when it is absent.
func (f *formatPart) number(b *strings.Builder, n int, present bool) {
	text := ""
	if present {
		text = strconv.Itoa(n)
	}
	pad := " "
	if f.zero && !(f.left && present) {
		pad = "0"
	}
	f.padded(b, text, pad)
}

// string writes a text in the width, cut to the precision. Both count bytes.
func (f *formatPart) string(b *strings.Builder, text string) {
	if f.prec >= 0 {
		text = text[:min(len(text), f.prec)]
	}
	f.padded(b, text, " ")
}

func (f *formatPart) padded(b *strings.Builder, text, pad string) {
	fill := strings.Repeat(pad, max(0, f.width-len(text)))
	if f.left {
		b.WriteString(text + fill)
	} else {
		b.WriteString(fill + text)
	}
}

// payload writes the payload; a width is also the greatest width. Like mosquitto, hexadecimal output with a width shows
// half as many bytes as the width, or as the payload has, whichever is less. With a precision the digits, and what fills
// them up on the left, are in groups.
func (f *formatPart) payload(b *strings.Builder, p []byte, format string, perByte int) {
	if f.width > 0 {
		p = p[:min(len(p), f.width)/perByte]
	}
	fill := max(0, f.width-len(p)*perByte)
	pad := " "
	if f.zero && !f.left {
		pad = "0"
	}
	text := string(p)
	if perByte > 1 {
		text = fmt.Sprintf(format, p)
	}
	if !f.left {
		text = strings.Repeat(pad, fill) + text
	}
	if perByte > 1 && f.prec > 0 {
		text = f.grouped(text)
	}
	b.WriteString(text)
	if f.left {
		b.WriteString(strings.Repeat(" ", fill))
	}
}

// grouped puts the separator, a blank unless the format names another, between every prec digits.
func (f *formatPart) grouped(digits string) string {
	sep := f.sep
	if sep == 0 {
		sep = ' '
	}
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 && i%f.prec == 0 {
			b.WriteByte(sep)
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}

// strftime does one conversion of the C library in the C locale. Unknown ones come out as they went in, with a percent
// sign, which is what the GNU library does. 'N', which is an addition, gives nanoseconds.
func strftime(verb byte, t time.Time) string {
	layouts := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02",
		'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'h': "Jan", 'H': "15", 'I': "03", 'm': "01", 'M': "04",
		'p': "PM", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05",
		'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST", 'P': "pm",
	}
	if layout, ok := layouts[verb]; ok {
		return t.Format(layout)
	}
	isoYear, isoWeek := t.ISOWeek()
	weekday := int(t.Weekday())
	monday := (weekday + 6) % 7
	switch verb {
	case '@':
		return "@"
	case 'N':
		return fmt.Sprintf("%09d", t.Nanosecond())
	case 'C':
		return fmt.Sprintf("%02d", t.Year()/100)
	case 'g':
		return fmt.Sprintf("%02d", isoYear%100)
	case 'G':
		return strconv.Itoa(isoYear)
	case 'j':
		return fmt.Sprintf("%03d", t.YearDay())
	case 'k':
		return fmt.Sprintf("%2d", t.Hour())
	case 'l':
		return fmt.Sprintf("%2d", (t.Hour()+11)%12+1)
	case 'n':
		return "\n"
	case 's':
		return strconv.FormatInt(t.Unix(), 10)
	case 't':
		return "\t"
	case 'u':
		return strconv.Itoa(monday + 1)
	case 'U':
		return fmt.Sprintf("%02d", (t.YearDay()+6-weekday)/7)
	case 'V':
		return fmt.Sprintf("%02d", isoWeek)
	case 'w':
		return strconv.Itoa(weekday)
	case 'W':
		return fmt.Sprintf("%02d", (t.YearDay()+6-monday)/7)
	case '%':
		return "%"
	}
	return "%" + string(rune(verb))
}
