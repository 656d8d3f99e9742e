package topic_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/topic"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		filter string
		yes    string // names that match, separated by blanks
		no     string
	}{
		// the examples of 4.7.1.2
		{"sport/tennis/player1/#", "sport/tennis/player1 sport/tennis/player1/ranking sport/tennis/player1/score/wimbledon", "sport/tennis sport/tennis/player2 sport/tennis/player10"},
		{"sport/#", "sport sport/ sport/x/y", "sports sports/x"},
		{"#", "a a/b / //", "$SYS $SYS/x $"}, // [MQTT-4.7.2-1]
		// the examples of 4.7.1.3
		{"sport/tennis/+", "sport/tennis/player1 sport/tennis/player2 sport/tennis/", "sport/tennis/player1/ranking sport/tennis"},
		{"sport/+", "sport/", "sport"},
		{"+", "finance", "/finance a/"},
		{"+/+", "/finance a/ /", "a a/b/c $SYS/x"},
		{"/+", "/finance /", "finance /a/b"},
		// the examples of 4.7.2.1
		{"+/monitor/Clients", "x/monitor/Clients /monitor/Clients", "$SYS/monitor/Clients"},
		{"$SYS/#", "$SYS $SYS/ $SYS/a/b", "$SYSTEM SYS a/$SYS"},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", "$SYS/monitor"},
		{"+/#", "a a/b", "$SYS $SYS/x"},
		{"a/#", "a/$SYS a", ""},
		{"a/+", "a/$SYS", ""},
		// the examples of 4.7.3: case, blanks and leading separators count [MQTT-4.7.3-4]
		{"ACCOUNTS", "ACCOUNTS", "Accounts accounts ACCOUNTS/"},
		{"/finance", "/finance", "finance"},
		{"+/+/#", "a/b a/b/c //", "a"},
		{"/#", "/ /a //", "a"},
		{"a/+/c", "a/b/c a//c", "a/c a/b/c/d a/b"},
		{"a//c", "a//c", "a/c a/b/c"},
	}
	for _, tt := range tests {
		for _, name := range strings.Fields(tt.yes) {
			if !topic.Match(tt.filter, name) {
				t.Errorf("%q does not match %q", tt.filter, name)
			}
		}
		for _, name := range strings.Fields(tt.no) {
			if topic.Match(tt.filter, []byte(name)) {
				t.Errorf("%q matches %q", tt.filter, name)
			}
		}
	}
}

func TestCovers(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"#", "#", true},
		{"#", "a/b/+", true},
		{"#", "$SYS/x", false}, // [MQTT-4.7.2-1]
		{"+/x", "$SYS/x", false},
		{"$SYS/#", "$SYS/x", true},
		{"$SYS/#", "#", false},
		{"a/#", "a", true},
		{"a/#", "a/#", true},
		{"a/#", "a/+/#", true},
		{"a/+/#", "a/#", false}, // not "a"
		{"a/+", "a/#", false},
		{"a/+", "a/+", true},
		{"a/+", "a/b", true},
		{"a/b", "a/+", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"+/+", "a/+", true},
		{"+/+", "+/b/c", false},
		{"+/#", "#", true},    // every name has a first level
		{"+/+/#", "#", false}, // not "a"
		{"+/#", "/#", true},
		{"/+/#", "/#", true}, // "/#" does not match "", which is no name
		{"+/+/#", "/#", true},
		{"+/+/+/#", "/#", false},
		{"/+", "/#", false},
		{"/a/#", "/#", false},
		{"+", "#", false},
		{"+", "+/#", false},
		{"/#", "#", false},
	}
	for _, tt := range tests {
		if got := topic.Covers(tt.a, []byte(tt.b)); got != tt.want {
			t.Errorf("Covers(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}

// FuzzCovers compares Covers with the names that b stands for: names in which every wildcard of b is replaced by
// levels that occur in neither filter, or by none. If a matches all of these, it matches all.
func FuzzCovers(f *testing.F) {
	for _, s := range [][2]string{{"#", "+/a"}, {"+/#", "#"}, {"/+/#", "/#"}, {"a/#", "a"}, {"$a/+", "$a/#"}, {"+/+/+", "//#"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if topic.ValidateFilter(a) != nil || topic.ValidateFilter(b) != nil {
			t.Skip()
		}
		names := slices.DeleteFunc(instances(a, b), func(name string) bool { return !topic.Match(b, name) })
		want := !slices.ContainsFunc(names, func(name string) bool { return !topic.Match(a, name) })
		if got := topic.Covers(a, b); got != want {
			t.Errorf("Covers(%q, %q) = %v, but of %q, matched by the second, the first matches all: %v", a, b, got, names, want)
		}
	})
}

// instances returns names that b may match, told apart from a.
func instances(a, b string) []string {
	fresh := strings.Repeat("x", len(a)+1)
	name := strings.ReplaceAll(b, "+", fresh)
	stem, found := strings.CutSuffix(name, "#")
	if !found {
		return []string{name}
	}
	long := stem + fresh + strings.Repeat("/"+fresh, strings.Count(a, "/")+1)
	return slices.DeleteFunc([]string{strings.TrimSuffix(stem, "/"), stem + fresh, long}, func(s string) bool { return s == "" })
}

func TestNextLevel(t *testing.T) {
	for _, s := range []string{"", "a", "/", "a/b", "//a/", "longer/level/names"} {
		var got []string
		rest, more := s, true
		for more {
			var level string
			level, rest, more = topic.NextLevel(rest)
			got = append(got, level)
		}
		if want := strings.Split(s, "/"); !slices.Equal(got, want) {
			t.Errorf("levels of %q: %q, want %q", s, got, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	filter, name := []byte("plant/+/line/#"), []byte("plant/7/line/3/temperature")
	allocs := testing.AllocsPerRun(100, func() {
		if topic.ValidateName(name) != nil || topic.ValidateFilter(filter) != nil ||
			!topic.Match(filter, name) || !topic.Covers("plant/#", filter) {
			t.Error("unexpected answer")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkValidateName(b *testing.B) {
	name := []byte("plant/7/line/3/temperature")
	for b.Loop() {
		if err := topic.ValidateName(name); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for b.Loop() {
		topic.Match("plant/+/line/#", "plant/7/line/3/temperature")
	}
}
