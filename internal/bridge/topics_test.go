package bridge

import (
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/topic"
)

func TestRemap(t *testing.T) {
	for _, c := range []struct {
		topic     Topic
		name, out string // "": it does not cross
	}{
		{Topic{Pattern: "#"}, "a/b", "a/b"},
		{Topic{Pattern: "#"}, "$SYS/x", ""},
		{Topic{Pattern: "sensor/#", RemotePrefix: "plant/1/"}, "sensor/t", "plant/1/sensor/t"},
		{Topic{Pattern: "sensor/#", LocalPrefix: "lab/"}, "lab/sensor/t", "sensor/t"},
		{Topic{Pattern: "sensor/#", LocalPrefix: "lab/"}, "sensor/t", ""},
		{Topic{Pattern: "+/x", LocalPrefix: "l/", RemotePrefix: "r/"}, "l/l/x", "r/l/x"}, // it comes off once
		{Topic{Pattern: "/x", LocalPrefix: "l", RemotePrefix: "r"}, "l/x", "r/x"},
		{Topic{LocalPrefix: "here", RemotePrefix: "there/x"}, "here", "there/x"},
		{Topic{LocalPrefix: "here", RemotePrefix: "there/x"}, "here/x", ""},
		{Topic{Pattern: "#", LocalPrefix: "l/", RemotePrefix: "r/"}, "l", "r/l"}, // as with mosquitto
		{Topic{Pattern: "#", LocalPrefix: "l/", RemotePrefix: "r/"}, "l/", "r/"},
		{Topic{Pattern: "#", LocalPrefix: "l/"}, "l/", ""}, // no name is left [MQTT-4.7.3-1]
	} {
		c.topic.Out = true
		if out, ok := Outward([]Topic{c.topic}, c.name); out != c.out || ok != (c.out != "") {
			t.Errorf("%+v: %q goes out as %q, %t; want %q", c.topic, c.name, out, ok, c.out)
		}
	}
}

// FuzzBridgeRemap: what goes out by a line of a configuration, and back by the same, has its name again; what its filter does
// not match goes nowhere; whatever crosses has a name that a packet can say.
func FuzzBridgeRemap(f *testing.F) {
	for _, s := range [][4]string{
		{"#", "", "", "a/b"}, {"sensor/#", "lab/", "plant/1/", "lab/sensor/t"}, {"+/x", "l/", "r/", "l/l/x"}, {"", "here", "there/x", "here"},
		{"#", "l/", "", "l/"}, {"#", "l/", "r/", "l"}, {"/#", "l", "r", "l"}, {"+/x", "l/", "", "l/$SYS/x"}, {"#", "$SYS/", "s/", "$SYS/y"},
		{"#", "a/", "a/a/", "a/a/a"}, {"+", "/", "//", "/"}, {"b#", "a", "c", "ab"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, pattern, local, remote, name string) {
		line := Topic{Pattern: pattern, LocalPrefix: local, RemotePrefix: remote, Out: true, In: true}
		if !configurable(&line) || topic.ValidateName(name) != nil {
			return
		}
		there, ok := Outward([]Topic{line}, name)
		switch {
		case ok && !topic.Match(line.Local(), name):
			t.Fatalf("%+v: %q is none of its topics, and goes out as %q", line, name, there)
		case !ok && topic.Match(line.Local(), name) && (name != local || remote != ""):
			t.Fatalf("%+v: %q does not go out", line, name)
		case !ok:
			return
		}
		if rest, found := strings.CutPrefix(name, local); found && there != remote+rest || !found && there != remote+name {
			t.Fatalf("%+v: %q goes out as %q", line, name, there)
		}
		if topic.ValidateName(there) != nil || len(there) > len(name)+growth([]Topic{line}) && strings.HasPrefix(name, local) {
			t.Fatalf("%+v: %q goes out as %q", line, name, there)
		}
		back, ok := Inward([]Topic{line}, there)
		if ok != topic.Match(line.Remote(), there) || ok && back != name && strings.HasPrefix(name, local) {
			t.Fatalf("%+v: %q goes out as %q, and comes back as %q, %t", line, name, there, back, ok)
		}
		if !ok && strings.HasPrefix(name, local) && (there[0] != '$' || !topic.IsWildcard(firstLevel(line.Remote()))) {
			t.Fatalf("%+v: %q goes out as %q, and does not come back", line, name, there)
		}
	})
}

// configurable is what a configuration is checked for.
func configurable(t *Topic) bool {
	for _, p := range []string{t.LocalPrefix, t.RemotePrefix} {
		if p == "" && t.Pattern == "" || p != "" && topic.ValidateName(p) != nil {
			return false
		}
	}
	return topic.ValidateFilter(t.Local()) == nil && topic.ValidateFilter(t.Remote()) == nil &&
		(t.Pattern == "" || topic.ValidateFilter(t.Pattern) == nil)
}

func firstLevel(filter string) string {
	level, _, _ := topic.NextLevel(filter)
	return level
}
