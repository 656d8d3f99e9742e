package auth

import (
	"testing"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/topic"
)

func TestPolicy(t *testing.T) {
	var refused []string
	p := NewPolicy(Lists{Default: mustACL(t, sampleACL)})
	p.Denied = func(c *hub.Client, a Action, name []byte, d Decision) {
		refused = append(refused, c.User+" "+a.String()+" "+string(name)+": "+d.String())
	}
	alice := &hub.Client{ID: "x", User: "alice"}
	f, err := topic.ParseFilter("$share/g/wo/x")
	if err != nil {
		t.Fatal(err)
	}
	if !p.Publish(alice, []byte("a/1"), 0, false) || p.Publish(alice, []byte("a/secret"), 1, true) || !p.Receive(alice, []byte("a/1")) || p.Subscribe(alice, f, 1) {
		t.Error("wrong decisions")
	}
	want := []string{"alice publish a/secret: refused by acl:5: topic deny a/secret", "alice subscribe wo/x: refused: no rule grants it"}
	if len(refused) != 2 || refused[0] != want[0] || refused[1] != want[1] {
		t.Errorf("%q", refused)
	}

	// A revocation holds at once.
	p.Replace(Lists{Default: mustACL(t, "")})
	if p.Receive(alice, []byte("a/1")) {
		t.Error("received after the revocation")
	}
	p.Replace(Lists{})
	if !p.Receive(alice, []byte("a/1")) {
		t.Error("refused without a list")
	}

	// By listener: the queue of an absent client is checked when it is sent, its
	// will by all lists.
	p.Replace(Lists{ByListener: map[string]List{"one": nil, "two": mustACL(t, "topic a/1")}})
	anonymous := &hub.Client{ID: "x"}
	if p.Publish(anonymous, []byte("a/2"), 0, false) || !p.Publish(anonymous, []byte("a/1"), 0, false) || !p.Receive(anonymous, []byte("a/2")) {
		t.Error("wrong decisions for a client without a listener")
	}
	// Where all listeners share a list, it holds for whoever is absent too.
	shared := mustACL(t, sampleACL)
	p.Replace(Lists{ByListener: map[string]List{"one": shared, "two": shared}})
	if !p.Publish(alice, []byte("a/1"), 0, false) || p.Receive(alice, []byte("a/secret")) || !p.Subscribe(alice, topic.Filter{Filter: "a/#"}, 0) {
		t.Error("wrong decisions by a shared list")
	}
}

// The policy is asked for every message.
func TestPolicyDoesNotAllocate(t *testing.T) {
	p := NewPolicy(Lists{Default: mustACL(t, sampleACL)})
	bob, name := &hub.Client{ID: "b1", User: "bob"}, []byte("dev/b1/x")
	if n := testing.AllocsPerRun(100, func() {
		p.Publish(bob, name, 0, false)
		p.Receive(bob, name)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
