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

	// By listener: the queue of an absent client is checked when it is sent.
	p.Replace(Lists{ByListener: map[string]*ACL{"one": nil}})
	if p.Publish(alice, []byte("a/1"), 0, false) || p.Subscribe(alice, f, 0) || !p.Receive(alice, []byte("a/1")) {
		t.Error("wrong decisions for a client without a listener")
	}
}
