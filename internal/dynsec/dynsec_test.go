package dynsec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/internal/auth"
)

func open(t *testing.T, text string) (*Security, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Open(path)
}

const sample = `{"defaultACLAccess":{"publishClientReceive":true,"unsubscribe":true},
"clients":[{"username":"ann","roles":[{"rolename":"low","priority":1},{"rolename":"high","priority":5}]},
{"username":"bob","roles":[]},{"username":"cid","disabled":true,"roles":[{"rolename":"no such role"}]}],
"groups":[{"groupname":"g1","roles":[{"rolename":"low"}],"clients":[{"username":"bob","priority":1}]},
{"groupname":"g2","roles":[{"rolename":"high"}],"clients":[{"username":"bob","priority":2}]},
{"groupname":"nobody","roles":[{"rolename":"guest"}]}],
"roles":[{"rolename":"low","acls":[{"acltype":"publishClientSend","topic":"a/#","allow":true},{"acltype":"subscribePattern","topic":"a/#","allow":true}]},
{"rolename":"high","acls":[{"acltype":"publishClientSend","topic":"a/x","allow":false},{"acltype":"PUBLISHclientSEND","topic":"own/%c/%u","allow":true,"priority":-3},
{"acltype":"publishClientSend","topic":"own/+/root","allow":false,"priority":7},{"acltype":"publishClientReceive","topic":"secret/#","allow":false},
{"acltype":"subscribeLiteral","topic":"#","allow":true},{"acltype":"unsubscribePattern","topic":"keep/#","allow":false}]},
{"rolename":"guest","acls":[{"acltype":"publishClientSend","topic":"guest","allow":true}]}],
"anonymousGroup":"nobody"}`

// The rule that decides is that of the first role, in the order of priorities, which has one about the topic; the client's
// own roles come before its groups.
func TestDecisions(t *testing.T) {
	s, err := open(t, sample)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id, user string
		action   auth.Action
		topic    string
		want     bool
	}{
		{"c", "ann", auth.Publish, "a/y", true},
		{"c", "ann", auth.Publish, "a/x", false},
		{"c", "bob", auth.Publish, "a/y", true},
		{"c", "bob", auth.Publish, "a/x", false},
		{"c", "ann", auth.Publish, "own/c/ann", true},
		{"c", "ann", auth.Publish, "own/d/ann", false},
		{"c/d", "ann", auth.Publish, "own/c/d", false},
		{"+", "ann", auth.Publish, "own/+/ann", false},
		{"c", "root", auth.Publish, "own/c/root", false},
		{"c", "ann", auth.Publish, "elsewhere", false},
		{"c", "ann", auth.Receive, "elsewhere", true},
		{"c", "ann", auth.Receive, "secret/1", false},
		{"c", "ann", auth.Receive, "$CONTROL/dynamic-security/v1/response", false},
		{"c", "", auth.Publish, "guest", true},
		{"c", "", auth.Publish, "a/y", false},
		{"c", "stranger", auth.Receive, "a", false},
		{"c", "ann", auth.Subscribe, "a/+", true},
		{"c", "ann", auth.Subscribe, "#", true},
		{"c", "ann", auth.Subscribe, "+", false},
		{"c", "ann", auth.Unsubscribe, "keep/a", false},
		{"c", "ann", auth.Unsubscribe, "a", true},
	} {
		var d auth.Decision
		switch c.action {
		case auth.Subscribe:
			d = s.Subscribe(c.id, c.user, c.topic)
		case auth.Unsubscribe:
			d = s.Unsubscribe(c.id, c.user, c.topic)
		default:
			d = s.Check(c.id, c.user, c.action, []byte(c.topic))
		}
		if d.Allowed != c.want {
			t.Errorf("%s/%s %s %s: %s", c.id, c.user, c.action, c.topic, d)
		}
	}
}

// A file that cannot be understood is refused: what it says may have been a denial.
func TestBadFiles(t *testing.T) {
	for text, says := range map[string]string{
		"{\n  \"clients\": [}": "line 2",
		`{"clients":[{}]}`:     "without a username",
		`{"clients":[null]}`:   "without a username",
		`{"groups":[{}]}`:      "without a groupname",
		`{"roles":[{}]}`:       "without a rolename",
		`{"roles":[{"rolename":"r","acls":[{"acltype":"x","topic":"a"}]}]}`:                  "not an acltype",
		`{"roles":[{"rolename":"r","acls":[{"acltype":"publishClientSend","topic":"a#"}]}]}`: "a#",
		`{"clients":[{"username":"a","password":"!","salt":"!","iterations":7}]}`:            "password",
		`{"clients":[{"username":"a"},{"username":"a"}]}`:                                    "twice",
	} {
		if _, err := open(t, text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "mosquitto_ctrl dynsec init") {
		t.Errorf("no file: %v", err)
	}
}

// An empty file lets nobody in.
func TestEmptyFile(t *testing.T) {
	s, err := open(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := s.Verify("c", "ann", []byte("")); ok || s.Check("c", "ann", auth.Publish, []byte("a")).Allowed || s.Check("c", "", auth.Receive, []byte("a")).Allowed {
		t.Error("somebody is allowed something")
	}
}

// A command that cannot be kept changes nothing, and says so.
func TestNotDurable(t *testing.T) {
	s, err := open(t, sample)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(s.Path())); err != nil {
		t.Fatal(err)
	}
	out := s.Command([]byte(`{"commands":[{"command":"deleteClient","username":"ann"}]}`))
	if !strings.Contains(string(out.Answer), `"error"`) || out.Changed || len(out.Kick) > 0 || !s.Has("ann") {
		t.Errorf("%s, %+v", out.Answer, out)
	}
}

// What was written to the file by hand is not lost by the next command.
func TestChangedByHand(t *testing.T) {
	s, err := open(t, sample)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(sample, `"username":"bob"`, `"username":"berta"`, 1)
	if err := os.WriteFile(s.Path(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := s.Command([]byte(`{"commands":[{"command":"createClient","username":"new","password":"pw"}]}`))
	if !s.Has("berta") || s.Has("bob") || !s.Has("new") || !out.Changed {
		t.Errorf("%s", out.Answer)
	}
	again, err := Open(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"pw": true, "wrong": false} {
		if ok, why := again.Verify("c", "new", []byte(password)); ok != want {
			t.Errorf("%s: %v %s", password, ok, why)
		}
	}
	for _, done := range out.Done {
		if strings.Contains(done, "pw") {
			t.Errorf("a password is in the log: %s", done)
		}
	}
}

// FuzzCommand: whatever comes has an answer, and what is kept can be read again.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{`{"commands":[{"command":"createRole","rolename":"r","acls":[{"acltype":"publishClientSend","topic":"a"}]}]}`,
		`{"commands":[{"command":"deleteRole","rolename":"low"},{"command":"setAnonymousGroup","groupname":"g1"},{"command":"deleteGroup","groupname":"g1"}]}`, `{"commands":[null,{}]}`, `5`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := open(t, sample)
		if err != nil {
			t.Fatal(err)
		}
		out := s.Command(b)
		if !strings.HasPrefix(string(out.Answer), `{"responses":[`) {
			t.Errorf("%s", out.Answer)
		}
		if _, err := Open(s.Path()); err != nil {
			t.Errorf("after %s: %v", b, err)
		}
	})
}

// FuzzParse: what is read is written so that it means the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parse(b)
		if err != nil {
			return
		}
		one, err := d.bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(one)
		if err != nil {
			t.Fatalf("%s: %v", one, err)
		}
		if two, err := again.bytes(); err != nil || string(one) != string(two) {
			t.Errorf("%s\n%s", one, two)
		}
	})
}
