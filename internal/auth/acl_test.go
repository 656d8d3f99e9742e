package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/topic"
)

const sampleACL = `# who has no name may read
topic read pub/#
user alice
topic readwrite a/#
topic deny a/secret
topic write wo/x
topic $SYS/broker/uptime
topic read sp ace/#
topic +/plus
user bob
pattern readwrite dev/%c/#
pattern read own/%u/x-%c
pattern deny dev/%c/no
pattern write flat/%
user carol
topic read #
user alice
topic deny a/late
`

func mustACL(t testing.TB, text string) *ACL {
	t.Helper()
	a, err := ReadACL(strings.NewReader(text), "acl")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// checks are decisions; TestAgainstMosquitto asks Mosquitto the same.
var checks = []struct {
	user, id string
	action   Action
	topic    string
	allowed  bool
	line     int // of the rule that decides; 0: none
}{
	{"", "x", Receive, "pub/a", true, 2},
	{"", "x", Receive, "pub", true, 2},
	{"", "x", Publish, "pub/a", false, 0},
	{"", "x", Receive, "a/1", false, 0},
	{"", "x", Publish, "dev/x/1", true, 11},
	{"", "x", Receive, "own/x/x-x", false, 0},
	{"alice", "x", Publish, "a/1", true, 4},
	{"alice", "x", Receive, "a/1", true, 4},
	{"alice", "x", Receive, "a/secret", false, 5},
	{"alice", "x", Publish, "a/late", false, 18},
	{"alice", "x", Publish, "wo/x", true, 6},
	{"alice", "x", Receive, "wo/x", false, 0},
	{"alice", "x", Receive, "pub/a", false, 0},
	{"alice", "x", Receive, "$SYS/broker/uptime", true, 7},
	{"alice", "x", Receive, "sp ace/1", true, 8},
	{"alice", "x", Receive, "q/plus", true, 9},
	{"alice", "x", Receive, "q/r/plus", false, 0},
	{"bob", "b1", Publish, "dev/b1/a/b", true, 11},
	{"bob", "b1", Publish, "dev/b2/a", false, 0},
	{"bob", "b1", Publish, "dev/b1/no", false, 13},
	{"bob", "b1", Receive, "own/bob/x-b1", true, 12},
	{"bob", "b1", Receive, "own/bob/x-b", false, 0},
	{"bob", "b1", Publish, "own/bob/x-b1", false, 0},
	{"bob", "b1", Publish, "flat/%", true, 14},
	{"bob", "b+1", Publish, "dev/b1/a", false, 0},
	{"bob", "b#", Publish, "flat/%", false, 0},
	{"carol", "x", Receive, "any/thing", true, 16},
	{"carol", "x", Publish, "any/thing", false, 0},
	{"stranger", "s", Publish, "dev/s/1", true, 11},
	{"stranger", "s", Receive, "pub/a", false, 0},
}

func TestCheck(t *testing.T) {
	a := mustACL(t, sampleACL)
	for _, c := range checks {
		d := a.Check(c.id, c.user, c.action, []byte(c.topic))
		line := 0
		if d.Rule != nil {
			line = d.Rule.Line
		}
		if d.Allowed != c.allowed || line != c.line {
			t.Errorf("%s/%s %s %s: %v (line %d), want %v by line %d", c.user, c.id, c.action, c.topic, d, line, c.allowed, c.line)
		}
	}
}

// Here Mosquitto lets more in: a client chooses its identifier itself.
func TestNeverSubstituted(t *testing.T) {
	a := mustACL(t, "pattern read own/%c\npattern read %c/#\npattern read u/%u/#\n")
	for _, c := range []struct{ id, user, topic string }{
		{"a/b", "", "own/a/b"},
		{"$SYS", "", "$SYS/broker/uptime"},
		{"+", "", "own/x"},
		{"#", "", "own/x"},
		{"id", "a/b", "u/a/b/c"},
		{"id", "#", "u/x"},
		{"", "", "own/"},
	} {
		if d := a.Check(c.id, c.user, Receive, []byte(c.topic)); d.Allowed {
			t.Errorf("client %q of %q may read %s: %v", c.id, c.user, c.topic, d)
		}
		if d := a.Subscribe(c.id, c.user, c.topic); d.Allowed {
			t.Errorf("client %q of %q may subscribe to %s: %v", c.id, c.user, c.topic, d)
		}
	}
	// A deny pattern that cannot be applied must not be escaped.
	a = mustACL(t, "pattern deny all/%c\npattern read all/#\n")
	if d := a.Check("a/b", "", Receive, []byte("all/a/b")); d.Allowed || d.Why != whyUnknown {
		t.Errorf("%v", d)
	}
	if d := a.Check("ab", "", Receive, []byte("all/a/b")); !d.Allowed {
		t.Errorf("%v", d)
	}
}

func TestEmptyRefusesAll(t *testing.T) {
	for _, text := range []string{"", "\n\n# nothing\n", "user alice\n"} {
		a := mustACL(t, text)
		if !a.Empty() {
			t.Errorf("%q is not empty", text)
		}
		for _, user := range []string{"", "alice"} {
			if a.Check("id", user, Receive, []byte("a")).Allowed || a.Check("id", user, Publish, []byte("a")).Allowed || a.Subscribe("id", user, "a").Allowed {
				t.Errorf("%q allows something to %q", text, user)
			}
		}
	}
}

func TestSubscribe(t *testing.T) {
	a := mustACL(t, sampleACL+"user dora\ntopic read x/+/y\ntopic deny z/#\ntopic read z/#\n")
	for _, c := range []struct {
		user, id, filter string
		strict, allowed  bool
	}{
		{"alice", "x", "a/#", true, true},
		{"alice", "x", "a/b/+", true, true},
		{"alice", "x", "#", false, true}, // what may be read is sent
		{"alice", "x", "#", true, false},
		{"alice", "x", "wo/x", false, false},
		{"alice", "x", "a/secret", false, false},
		{"alice", "x", "nothing/x/#", false, false},
		{"alice", "x", "$SYS/#", false, true},
		{"alice", "x", "$SYS/#", true, false},
		{"alice", "x", "$SYS/broker/uptime", true, true},
		{"bob", "b1", "dev/b1/#", true, true},
		{"bob", "b1", "dev/+/x", false, true},
		{"bob", "b1", "dev/+/x", true, false},
		{"bob", "b1", "dev/b1/no", false, false},
		{"bob", "b+", "dev/#", false, false},
		{"carol", "x", "#", true, true},
		{"carol", "x", "$SYS/#", false, false},
		{"dora", "x", "x/1/y", true, true},
		{"dora", "x", "x/#", false, true},
		{"dora", "x", "x/#", true, false},
		{"dora", "x", "z/1", false, false},
		{"", "x", "pub/+", true, true},
	} {
		a.Strict = c.strict
		if d := a.Subscribe(c.id, c.user, c.filter); d.Allowed != c.allowed {
			t.Errorf("%s/%s subscribes to %s, strict %v: %v", c.user, c.id, c.filter, c.strict, d)
		}
	}
}

// overlap holds exactly if some name matches both filters, and the shortcuts of
// rules are none.
func TestOverlap(t *testing.T) {
	levels := []string{"a", "b", "+", "#", "", "$x"}
	var filters []string
	for _, x := range levels {
		filters = append(filters, x)
		for _, y := range levels {
			filters = append(filters, x+"/"+y)
			for _, z := range levels {
				filters = append(filters, x+"/"+y+"/"+z)
			}
		}
	}
	var names []string
	for _, f := range filters {
		if f != "" && topic.ValidateName(f) == nil {
			names = append(names, f)
		}
	}
	names = append(names, "a/b/a/b", "b/a/b/a", "///", "$x/a/b/a", "a/a/a/a", "$x/$x/$x/a", "/a/a/a", "b/b/b/b")
	for _, f := range filters {
		for _, g := range filters {
			if topic.ValidateFilter(f) != nil || topic.ValidateFilter(g) != nil {
				continue
			}
			want := false
			for _, n := range names {
				want = want || topic.Match(f, n) && topic.Match(g, n)
			}
			if got := overlap(f, g); got != want {
				t.Errorf("overlap(%q, %q) = %v", f, g, got)
			}
		}
		r := Rule{filter: f}
		r.shape()
		for _, n := range names {
			if topic.ValidateFilter(f) == nil && r.matches([]byte(n)) != topic.Match(f, n) {
				t.Errorf("rule %q matches %q: %v", f, n, !topic.Match(f, n))
			}
		}
	}
}

func TestReadACLErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		msg  string
	}{
		{"topic", 1, "without a topic"},
		{"\ntopic read", 2, "without a topic"},
		{"topic deny", 1, "without a topic"},
		{"topic foo bar", 1, `"foo" is not an access`},
		{"topic READ a", 1, "not an access"},
		{"topic read a+b", 1, "not a topic filter"},
		{"topic read a#", 1, "not a topic filter"},
		{"pattern read a/%c+", 1, "not a topic filter"},
		{"user", 1, "without a name"},
		{"user  \ntopic a", 1, "without a name"},
		{"foo bar", 1, `unknown keyword "foo"`},
		{"Topic a", 1, "unknown keyword"},
		{"\ttopic a", 1, "unknown keyword"},
		{"topic\ta", 1, "unknown keyword"},
		{"topic read a\x00b", 1, "not UTF-8"},
		{"topic read \xff", 1, "not UTF-8"},
	} {
		a, err := ReadACL(strings.NewReader(c.text), "acl")
		var le *LineError
		if a != nil || !errors.As(err, &le) || le.Line != c.line || !strings.Contains(le.Msg, c.msg) || le.Fix == "" || le.File != "acl" {
			t.Errorf("%q: %v, %v", c.text, a, err)
		}
	}
	for _, text := range []string{" topic a", "topic  a", "topic  read  a  b ", "topic a\r\n", "topic /", "user a b\ntopic x", "pattern a/b"} {
		if _, err := ReadACL(strings.NewReader(text), "acl"); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := LoadACL("testdata/none"); err == nil {
		t.Error("a missing file is no error")
	}
}

// The check is on the path of every message.
func TestCheckDoesNotAllocate(t *testing.T) {
	a := mustACL(t, sampleACL)
	names := [][]byte{[]byte("a/1"), []byte("dev/b1/a"), []byte("own/bob/x-b1"), []byte("none")}
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range names {
			a.Check("b1", "bob", Receive, name)
			a.Check("x", "alice", Publish, name)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	a := mustACL(b, sampleACL)
	own, pattern := []byte("a/1/2/3"), []byte("dev/b1/heat")
	b.Run("own", func(b *testing.B) {
		for b.Loop() {
			a.Check("x", "alice", Receive, own)
		}
	})
	b.Run("pattern", func(b *testing.B) {
		for b.Loop() {
			a.Check("b1", "bob", Receive, pattern)
		}
	})
}

// FuzzACL: no input panics, and a subscription that is granted strictly, to a
// single topic, may be received.
func FuzzACL(f *testing.F) {
	f.Add(sampleACL, "b1", "bob", "dev/b1/x")
	f.Add("pattern read %c%u/%/%%c/#", "c", "u", "cu/%/%c/x")
	f.Add("topic deny +/#\npattern readwrite #", "", "", "$SYS/a")
	f.Fuzz(func(t *testing.T, text, id, user, name string) {
		a, err := ReadACL(strings.NewReader(text), "acl")
		if err != nil || topic.ValidateName(name) != nil {
			return
		}
		read := a.Check(id, user, Receive, []byte(name))
		a.Check(id, user, Publish, []byte(name))
		a.Strict = true
		sub := a.Subscribe(id, user, name)
		if read.Allowed != sub.Allowed {
			t.Errorf("%q may receive %q: %v; may subscribe: %v", id, name, read, sub)
		}
		a.Strict = false
		if loose := a.Subscribe(id, user, name); loose.Allowed != sub.Allowed {
			t.Errorf("loose %v, strict %v", loose, sub)
		}
	})
}
