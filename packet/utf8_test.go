package packet_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nightjarmq/nightjar/packet"
)

func TestValidUTF8(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     string
		valid bool
	}{
		{"empty", "", true},
		{"ASCII", "~ sensor", true},
		{"control characters", "\x01\x1f\x7f\u0080\u009f", true}, // SHOULD NOT, section 1.5.4
		{"non-characters", "\uffff\ufffe\U0010ffff", true},
		{"byte order mark", "\ufeff", true}, // [MQTT-1.5.4-3]
		{"two to four bytes", "ü水🌡", true},
		{"U+0000", "\x00", false},                    // [MQTT-1.5.4-2]
		{"lowest surrogate", "\xed\xa0\x80", false},  // [MQTT-1.5.4-1]
		{"highest surrogate", "\xed\xbf\xbf", false}, // [MQTT-1.5.4-1]
		{"surrogate pair", "\xed\xa0\xbd\xed\xb8\x80", false},
		{"U+0000 in two bytes", "\xc0\x80", false},
		{"overlong slash", "\xe0\x80\xaf", false},
		{"above U+10FFFF", "\xf4\x90\x80\x80", false},
		{"five bytes", "\xf8\x88\x80\x80\x80", false},
		{"continuation alone", "\x80", false},
		{"cut", "\xe2\x82", false},
		{"0xFF", "\xff", false},
	} {
		for _, before := range []string{"", "abc", "0123456", "01234567", "0123456789abcdef"} {
			for _, after := range []string{"", "x", "01234567", "é"} {
				s := before + c.s + after
				if got := packet.ValidUTF8([]byte(s)); got != c.valid {
					t.Errorf("%s: ValidUTF8(%q) = %v", c.name, s, got)
				}
			}
		}
	}
}

// A wildcard, U+0000 or foreign byte is found at every place of a topic of every length.
func TestTopicScan(t *testing.T) {
	var p packet.Publish
	for n := 1; n < 40; n++ {
		topic := []byte("\x00\x00" + strings.Repeat("/", n))
		topic[1] = byte(n)
		if err := p.Decode(0, topic, packet.V311); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		for i := 2; i < len(topic); i++ {
			for _, bad := range []byte{0, '+', '#', 0x80, 0xff} {
				topic[i] = bad
				if p.Decode(0, topic, packet.V311) == nil {
					t.Errorf("%q passed as a topic", topic[2:])
				}
			}
			for c := byte(1); c < 0x80; c++ {
				topic[i] = c
				if err := p.Decode(0, topic, packet.V311); (err == nil) != (c != '+' && c != '#') {
					t.Errorf("%q: %v", topic[2:], err)
				}
			}
			topic[i] = '/'
		}
	}
}

func FuzzValidUTF8(f *testing.F) {
	f.Add([]byte("01234567é"))
	f.Add([]byte("a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		want := utf8.Valid(b) && !strings.Contains(string(b), "\x00")
		if got := packet.ValidUTF8(b); got != want {
			t.Errorf("ValidUTF8(%q) = %v, want %v", b, got, want)
		}
	})
}
