package topic_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/topic"
)

const (
	null = "\x00"
	ok   = topic.Kind(0)
)

func TestValidate(t *testing.T) {
	tests := []struct {
		text         string
		name, filter topic.Kind
	}{
		{"", topic.Empty, topic.Empty}, // [MQTT-4.7.3-1]
		{"a", ok, ok},
		{" ", ok, ok},
		{"/", ok, ok},
		{"//", ok, ok},
		{"/finance", ok, ok},
		{"ACCOUNTS/", ok, ok},
		{"Accounts payable", ok, ok},
		{"$SYS/broker", ok, ok},
		{"a" + null, topic.HasNull, topic.HasNull}, // [MQTT-4.7.3-2]
		{null, topic.HasNull, topic.HasNull},
		// [MQTT-4.7.0-1] and [MQTT-4.7.1-1]: the examples of 4.7.1.2
		{"#", topic.BadWildcard, ok},
		{"sport/tennis/#", topic.BadWildcard, ok},
		{"sport/tennis#", topic.BadWildcard, topic.BadWildcard},
		{"sport/tennis/#/ranking", topic.BadWildcard, topic.BadWildcard},
		{"#/a", topic.BadWildcard, topic.BadWildcard},
		{"##", topic.BadWildcard, topic.BadWildcard},
		{"/#", topic.BadWildcard, ok},
		{"#a", topic.BadWildcard, topic.BadWildcard},
		// [MQTT-4.7.1-2]: the examples of 4.7.1.3
		{"+", topic.BadWildcard, ok},
		{"+/tennis/#", topic.BadWildcard, ok},
		{"sport+", topic.BadWildcard, topic.BadWildcard},
		{"sport/+/player1", topic.BadWildcard, ok},
		{"+sport", topic.BadWildcard, topic.BadWildcard},
		{"a/+b", topic.BadWildcard, topic.BadWildcard},
		{"a/b+/c", topic.BadWildcard, topic.BadWildcard},
		{"++", topic.BadWildcard, topic.BadWildcard},
		{"+#", topic.BadWildcard, topic.BadWildcard},
		{"+/+/+", topic.BadWildcard, ok},
		// [MQTT-4.7.3-3]
		{strings.Repeat("x", topic.MaxLength), ok, ok},
		{strings.Repeat("x", topic.MaxLength+1), topic.TooLong, topic.TooLong},
		// our own bound
		{strings.Repeat("/", topic.DefaultMaxLevels-1), ok, ok},
		{strings.Repeat("/", topic.DefaultMaxLevels), topic.TooDeep, topic.TooDeep},
	}
	for _, tt := range tests {
		short := tt.text[:min(len(tt.text), 40)]
		if got := kind(t, topic.ValidateName(tt.text)); got != tt.name {
			t.Errorf("ValidateName(%q) = %v, want %v", short, got, tt.name)
		}
		if got := kind(t, topic.ValidateFilter([]byte(tt.text))); got != tt.filter {
			t.Errorf("ValidateFilter(%q) = %v, want %v", short, got, tt.filter)
		}
	}
}

func TestValidateDepth(t *testing.T) {
	for _, validate := range []func(string, int) error{topic.ValidateNameDepth[string], topic.ValidateFilterDepth[string]} {
		if err := validate("a/b/c", 3); err != nil {
			t.Error(err)
		}
		if got := kind(t, validate("a/b/c/", 3)); got != topic.TooDeep {
			t.Errorf("four levels of three: %v", got)
		}
	}
}

func TestParseFilter(t *testing.T) {
	tests := []struct {
		text string
		want topic.Filter
		kind topic.Kind
		at   int
	}{
		{text: "a/+/#", want: topic.Filter{Filter: "a/+/#"}},
		{text: "$share", want: topic.Filter{Filter: "$share"}}, // no "/": an ordinary filter
		{text: "$shared/x", want: topic.Filter{Filter: "$shared/x"}},
		{text: "$SHARE/x", want: topic.Filter{Filter: "$SHARE/x"}},
		{text: "$share/consumer1/sport/tennis/+", want: topic.Filter{Share: "consumer1", Filter: "sport/tennis/+"}},
		{text: "$share/g/#", want: topic.Filter{Share: "g", Filter: "#"}},
		{text: "$share/g//finance", want: topic.Filter{Share: "g", Filter: "/finance"}},
		{text: "$share/g/$SYS/#", want: topic.Filter{Share: "g", Filter: "$SYS/#"}},
		{text: "$share/$share/$share/g/a", want: topic.Filter{Share: "$share", Filter: "$share/g/a"}},
		{text: "", kind: topic.Empty},
		{text: "$share/", kind: topic.BadShare, at: 7},     // [MQTT-4.8.2-1]
		{text: "$share//a", kind: topic.BadShare, at: 7},   // [MQTT-4.8.2-1]
		{text: "$share/g", kind: topic.BadShare, at: 8},    // [MQTT-4.8.2-2]
		{text: "$share/g/", kind: topic.BadShare, at: 9},   // [MQTT-4.8.2-2]
		{text: "$share/+/a", kind: topic.BadShare, at: 7},  // [MQTT-4.8.2-2]
		{text: "$share/g#/a", kind: topic.BadShare, at: 8}, // [MQTT-4.8.2-2]
		{text: "$share/g" + null + "/a", kind: topic.HasNull, at: 8},
		{text: "$share/g/a#", kind: topic.BadWildcard, at: 10},
		{text: "a/#/b", kind: topic.BadWildcard, at: 2},
		{text: "$share/g/" + strings.Repeat("/", topic.DefaultMaxLevels), kind: topic.TooDeep, at: 9 + topic.DefaultMaxLevels - 1},
		{text: "$share/g/" + strings.Repeat("x", topic.MaxLength), kind: topic.TooLong, at: topic.MaxLength},
	}
	for _, tt := range tests {
		got, err := topic.ParseFilter(tt.text)
		short := tt.text[:min(len(tt.text), 40)]
		if got != tt.want || kind(t, err) != tt.kind {
			t.Errorf("ParseFilter(%q) = %+v, %v; want %+v, kind %v", short, got, err, tt.want, tt.kind)
			continue
		}
		if err == nil {
			if got.String() != tt.text {
				t.Errorf("ParseFilter(%q).String() = %q", short, got.String())
			}
			continue
		}
		if e := err.(*topic.Error); e.At != tt.at {
			t.Errorf("ParseFilter(%q): %v; want the offence at %d", short, err, tt.at)
		}
		if strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("ParseFilter(%q): error of several lines: %v", short, err)
		}
	}
}

func TestErrorText(t *testing.T) {
	err := topic.ValidateFilter("sport/tennis#")
	const want = "'#' must be a level of its own at byte 12 [MQTT-4.7.1-1]"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// FuzzValidate checks that what passes obeys the rules, said another way.
func FuzzValidate(f *testing.F) {
	for _, s := range []string{"", "a/b", "a/#", "+/a", "a+", "#/", "$share/g/a", "$share//", "a\x00", "//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		levels := strings.Split(s, "/")
		plain := s != "" && len(s) <= topic.MaxLength && len(levels) <= topic.DefaultMaxLevels && !strings.Contains(s, null)
		wantName := plain && !strings.ContainsAny(s, "+#")
		wantFilter := plain
		for i, level := range levels {
			if strings.ContainsAny(level, "+#") && (len(level) > 1 || level == "#" && i < len(levels)-1) {
				wantFilter = false
			}
		}
		if got := topic.ValidateName(s) == nil; got != wantName {
			t.Errorf("ValidateName(%q) = %v", s, got)
		}
		if got := topic.ValidateFilter(s) == nil; got != wantFilter {
			t.Errorf("ValidateFilter(%q) = %v", s, got)
		}
		if parsed, err := topic.ParseFilter(s); err == nil {
			if parsed.String() != s {
				t.Errorf("ParseFilter(%q).String() = %q", s, parsed.String())
			}
			if err := topic.ValidateFilter(parsed.Filter); err != nil {
				t.Errorf("ParseFilter(%q) let %q pass: %v", s, parsed.Filter, err)
			}
		} else if wantFilter && !strings.HasPrefix(s, "$share/") {
			t.Errorf("ParseFilter(%q): %v", s, err)
		}
	})
}

func kind(t *testing.T, err error) topic.Kind {
	t.Helper()
	if err == nil {
		return ok
	}
	var e *topic.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is a %T", err, err)
	}
	return e.Kind
}
