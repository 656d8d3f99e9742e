package dynsec

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/nightjarmq/nightjar/internal/auth"
)

// Outcome is what follows from a message with commands.
type Outcome struct {
	Answer []byte // JSON, to be published to Response
	// Kick are the users whose connections end: their right to connect has changed.
	Kick []string
	// Changed: what somebody may do has changed.
	Changed bool
	// Done says for the log what was done, without passwords.
	Done []string
}

// refusal is what a command is answered with when it cannot be carried out. The
// words are those of Mosquitto, which scripts look for.
type refusal string

func (r refusal) Error() string { return string(r) }

// change is a message of commands being carried out.
type change struct {
	doc     *document
	out     Outcome
	dirty   bool // doc differs from what holds
	answers []*answer
}

type answer struct {
	Command     string `json:"command"`
	Error       string `json:"error,omitempty"`
	Data        any    `json:"data,omitempty"`
	Correlation string `json:"correlationData,omitempty"`

	changed bool
}

// command is one that is known. run returns what is answered, beside success, and
// must change nothing when it refuses.
type command struct {
	name    string
	changes bool
	run     func(c *change, a *args) (data any, err error)
}

func commands() []command {
	return slices.Concat(clientCommands(), groupCommands(), roleCommands(), []command{
		{"setDefaultACLAccess", true, (*change).setDefaults},
		{"getDefaultACLAccess", false, (*change).getDefaults},
	})
}

// Command carries out a message of commands. When it returns, the outcome is on
// the disk and holds.
func (s *Security) Command(payload []byte) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := change{answers: []*answer{}}
	err := s.refresh() // nothing that was changed by hand is lost
	if err != nil {
		c.fail("Unknown command", "Internal error")
		c.out.Done = []string{"nothing was changed: " + err.Error()}
		return c.end()
	}
	if c.doc, err = s.now.Load().doc.clone(); err != nil {
		c.fail("Unknown command", "Internal error")
		return c.end()
	}
	var message struct {
		Commands *[]json.RawMessage `json:"commands"`
	}
	switch err := json.Unmarshal(payload, &message); {
	case err != nil && !json.Valid(payload):
		c.fail("Unknown command", "Payload not valid JSON")
	case err != nil || message.Commands == nil:
		c.fail("Unknown command", "Invalid/missing commands")
	default:
		for _, one := range *message.Commands {
			c.one(one)
		}
	}
	if c.dirty {
		if err := s.keep(c.doc); err != nil {
			c.undo(err)
		}
	}
	return c.end()
}

// keep makes a document durable, and then decide.
func (s *Security) keep(d *document) error {
	if _, err := compile(d, s.path); err != nil {
		return err
	}
	b, err := d.bytes()
	if err != nil {
		return err
	}
	if err := auth.ReplaceFile(s.path, b); err != nil {
		return fmt.Errorf("write dynamic security: %w", err)
	}
	if info, err := os.Stat(s.path); err == nil {
		s.seen = info
	}
	return s.hold(d)
}

// one carries out a command.
func (c *change) one(raw json.RawMessage) {
	var a args
	if err := json.Unmarshal(raw, &a.fields); err != nil || a.fields == nil {
		c.fail("Unknown command", "Command not an object")
		return
	}
	name, ok := a.text("command")
	if !ok || name == nil {
		c.fail("Unknown command", "Missing command")
		return
	}
	correlation, ok := a.text("correlationData")
	if !ok {
		c.fail(*name, "Invalid correlationData data type.")
		return
	}
	one := &answer{Command: *name}
	if correlation != nil {
		one.Correlation = *correlation
	}
	c.answers = append(c.answers, one)
	all := commands()
	i := slices.IndexFunc(all, func(k command) bool { return strings.EqualFold(k.name, *name) })
	if i < 0 {
		one.Error = "Unknown command"
		return
	}
	one.Command = all[i].name
	var err error
	if one.Data, err = all[i].run(c, &a); err == nil && all[i].changes {
		err = c.doc.tidy()
		one.changed, c.dirty = true, true
	}
	if err != nil {
		one.Error, one.Data = err.Error(), nil
		return
	}
	c.out.Done = append(c.out.Done, a.summary(one.Command))
}

func (c *change) fail(command, why string) {
	c.answers = append(c.answers, &answer{Command: command, Error: why})
}

// undo turns changes that could not be kept into failures.
func (c *change) undo(err error) {
	for _, a := range c.answers {
		if a.changed {
			a.Error, a.Data = "Internal error", nil
		}
	}
	c.out.Kick, c.dirty = nil, false
	c.out.Done = []string{"nothing was changed: " + err.Error()}
}

func (c *change) end() Outcome {
	c.out.Changed = c.dirty
	b, err := json.Marshal(map[string]any{"responses": c.answers})
	if err != nil {
		b = []byte(`{"responses":[{"command":"Unknown command","error":"Internal error"}]}`)
	}
	c.out.Answer = b
	return c.out
}

// kick ends the connections of a user once the change holds.
func (c *change) kick(user string) { c.out.Kick = append(c.out.Kick, user) }

// args are the fields of a command. Their names may be of any case, as in
// Mosquitto.
type args struct{ fields map[string]json.RawMessage }

func (a *args) find(key string) (json.RawMessage, bool) {
	if v, ok := a.fields[key]; ok {
		return v, true
	}
	for k, v := range a.fields {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return nil, false
}

// text returns a string, nil if it is not there; false if it is something else.
func (a *args) text(key string) (*string, bool) {
	raw, there := a.find(key)
	if !there {
		return nil, true
	}
	var s *string
	err := json.Unmarshal(raw, &s)
	return s, err == nil && s != nil
}

// name returns a name that has to be there. what is how it is called.
func (a *args) name(key, what string) (string, error) {
	s, ok := a.text(key)
	switch {
	case !ok || s == nil:
		return "", refusal("Invalid/missing " + key)
	case *s == "":
		return "", refusal("Empty " + key)
	}
	return *s, valid(*s, what)
}

// valid refuses what a client could never send.
func valid(s, what string) error {
	if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c >= 0x7f && c < 0xa0 || c == '\ufffd' }) {
		return refusal(what + " not valid UTF-8")
	}
	return nil
}

// number returns an integer, otherwise if it is not there or none.
func (a *args) number(key string, otherwise int) int {
	raw, _ := a.find(key)
	var n float64
	if json.Unmarshal(raw, &n) != nil {
		return otherwise
	}
	return int(max(min(n, maxPriority), -maxPriority))
}

const maxPriority = 100000

func (a *args) bool(key string) bool {
	raw, _ := a.find(key)
	var b bool
	return json.Unmarshal(raw, &b) == nil && b
}

// list returns the objects of an array; false if it is not there.
func (a *args) list(key string) (list []args, there, ok bool) {
	raw, there := a.find(key)
	if !there {
		return nil, false, true
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return nil, true, false
	}
	for _, item := range items {
		var one args
		if json.Unmarshal(item, &one.fields) != nil || one.fields == nil {
			return nil, true, false
		}
		list = append(list, one)
	}
	return list, true, true
}

// priority returns the priority of a member, nil for the usual one.
func (a *args) priority() *int {
	n := a.number("priority", -1)
	if n == -1 {
		return nil
	}
	return &n
}

// page cuts a list as count and offset say.
func page[T any](a *args, list []T) []T {
	count, offset := a.number("count", -1), max(a.number("offset", 0), 0)
	list = list[min(offset, len(list)):]
	if count >= 0 {
		list = list[:min(max(count, 1), len(list))] // 0 is 1 in Mosquitto
	}
	return list
}

// summary is the command for the log.
func (a *args) summary(name string) string {
	var b strings.Builder
	b.WriteString(name)
	for _, key := range []string{"username", "groupname", "rolename", "clientid", "acltype", "topic"} {
		if s, ok := a.text(key); ok && s != nil {
			fmt.Fprintf(&b, " | %s=%s", key, *s)
		}
	}
	if _, ok := a.find("password"); ok {
		b.WriteString(" | password=******")
	}
	return b.String()
}

func (c *change) setDefaults(a *args) (any, error) {
	list, there, ok := a.list("acls")
	if !there || !ok {
		return nil, refusal("Missing/invalid actions array")
	}
	d := &c.doc.Default
	for i := range list {
		t, ok := list[i].text("acltype")
		raw, there := list[i].find("allow")
		var allow *bool
		if !ok || t == nil || !there || json.Unmarshal(raw, &allow) != nil || allow == nil {
			continue
		}
		for name, p := range map[string]*bool{kinds[send]: &d.Send, kinds[receive]: &d.Receive, "subscribe": &d.Subscribe, "unsubscribe": &d.Unsubscribe} {
			if strings.EqualFold(name, *t) {
				*p = *allow
			}
		}
	}
	return nil, nil
}

func (c *change) getDefaults(*args) (any, error) {
	type one struct {
		Type  string `json:"acltype"`
		Allow bool   `json:"allow"`
	}
	d := &c.doc.Default
	return map[string]any{"acls": []one{
		{kinds[send], d.Send}, {kinds[receive], d.Receive}, {"subscribe", d.Subscribe}, {"unsubscribe", d.Unsubscribe},
	}}, nil
}
