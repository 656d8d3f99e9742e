package auth

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/nightjarmq/nightjar/topic"
)

// Action is what a client wants to do with a topic.
type Action uint8

// The actions. Receive is to be sent a message.
const (
	Publish Action = iota + 1
	Subscribe
	Receive
	Unsubscribe
)

func (a Action) String() string {
	return [...]string{"none", "publish", "subscribe", "receive", "unsubscribe"}[a]
}

// access is what a rule grants.
type access uint8

const (
	deny  access = 0
	read  access = 1
	write access = 2
)

// Rule is a line of an access control list, or what else decides.
type Rule struct {
	File string
	Line int    // 0: none
	Text string // the line

	filter string
	access access
	prefix string  // of every topic that can match
	form   form    // how to match the filter
	levels []level // of a pattern that has %c or %u; else nil
	id     bool    // %c occurs
	user   bool    // %u occurs
}

// form tells filters apart that are matched by comparing texts.
type form uint8

const (
	anyForm form = iota
	exact        // without wildcards
	tree         // prefix/#
)

// shape finds the shortcut for a rule without variables.
func (r *Rule) shape() {
	end := strings.IndexAny(r.filter, "+#%")
	switch {
	case end < 0:
		r.form, r.prefix = exact, r.filter
	case end > 0 && end == len(r.filter)-1 && r.filter[end] == '#':
		r.form, r.prefix = tree, r.filter[:end-1]
	default:
		r.prefix = r.filter[:max(strings.LastIndexByte(r.filter[:end], '/'), 0)]
	}
}

// matches reports whether the filter matches a name, as topic.Match does.
func (r *Rule) matches(name []byte) bool {
	n := len(r.prefix)
	if len(name) < n || string(name[:n]) != r.prefix {
		return false
	}
	switch r.form {
	case exact:
		return len(name) == n
	case tree:
		return len(name) == n || name[n] == '/'
	}
	return topic.Match(r.filter, name)
}

func (r *Rule) String() string {
	if r.Line == 0 {
		return r.File + ": " + r.Text
	}
	return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Text)
}

// Decision is the answer to whether a client may do something.
type Decision struct {
	Allowed bool
	Rule    *Rule  // that decided; nil when none did
	Why     string // when no rule decided
	Open    bool   // refused for want of a rule: another list may allow it
}

func (d Decision) String() string {
	verb := "refused"
	if d.Allowed {
		verb = "allowed"
	}
	if d.Rule != nil {
		return verb + " by " + d.Rule.String()
	}
	return verb + ": " + d.Why
}

// ACL is an access control list. It does not change and serves many goroutines.
//
// A client's own rules come first: those of its user, or those before the first
// user line for a client without one. Patterns, which hold for all, come after.
// In both groups a deny that matches decides before any rule that grants, else
// the first that grants what is wanted. What no rule grants is refused, and so
// an empty list refuses everything.
type ACL struct {
	File string

	anonymous rules
	users     map[string]rules
	patterns  rules

	// Strict refuses to subscribe unless one rule grants all that the filter can
	// match. Otherwise it is enough that something it can match is granted: each
	// message is checked again before it is sent.
	Strict bool
}

// rules are those of a group, denials apart.
type rules struct {
	deny, grant []*Rule
}

// Empty reports whether there are no rules: nobody may do anything.
func (a *ACL) Empty() bool {
	return len(a.users) == 0 && a.anonymous.empty() && a.patterns.empty()
}

func (r *rules) empty() bool { return len(r.deny)+len(r.grant) == 0 }

const (
	whyNoRule  = "no rule grants it"
	whyUnsafe  = "the client identifier or user name holds + or #, which patterns must not be given"
	whyUnknown = "a deny pattern cannot be applied to this client identifier or user name"
)

// own returns the rules of a user; "" is the anonymous.
func (a *ACL) own(user string) rules {
	if user == "" {
		return a.anonymous
	}
	return a.users[user]
}

// Check decides whether a client may publish to a topic or be sent a message
// with it. It does not allocate. The topic is borrowed.
func (a *ACL) Check(id, user string, action Action, name []byte) Decision {
	want := read
	if action == Publish {
		want = write
	}
	own := a.own(user)
	for _, r := range own.deny {
		if r.matches(name) {
			return Decision{Rule: r}
		}
	}
	for _, r := range own.grant {
		if r.access&want != 0 && r.matches(name) {
			return Decision{Allowed: true, Rule: r}
		}
	}
	if a.patterns.empty() {
		return Decision{Why: whyNoRule}
	}
	who, d := identify(id, user, &a.patterns)
	if d.Why != "" {
		return d
	}
	for _, r := range a.patterns.deny {
		if r.match(who, name) {
			return Decision{Rule: r}
		}
	}
	for _, r := range a.patterns.grant {
		if r.access&want != 0 && r.match(who, name) {
			return Decision{Allowed: true, Rule: r}
		}
	}
	return Decision{Why: whyNoRule}
}

// identity is what patterns are given of a client.
type identity struct {
	id, user     string
	noID, noUser bool // must not be put into a pattern
}

// identify decides what may be put into patterns: nothing that is empty or has a
// separator, and for names with wildcards no pattern holds at all. A client that
// could escape a deny pattern that way is refused.
func identify(id, user string, patterns *rules) (identity, Decision) {
	if wildcard(id) || wildcard(user) {
		return identity{}, Decision{Why: whyUnsafe}
	}
	w := identity{id: id, user: user, noID: unfit(id), noUser: unfit(user)}
	for _, r := range patterns.deny {
		if r.id && w.noID || r.user && w.noUser && user != "" {
			return w, Decision{Why: whyUnknown}
		}
	}
	return w, Decision{}
}

// wildcard reports whether a name holds one. It is on the path of messages, where
// strings.ContainsAny would cost more than all the rest.
func wildcard(s string) bool {
	return strings.IndexByte(s, '+') >= 0 || strings.IndexByte(s, '#') >= 0
}

// unfit reports whether a name must not be put into a pattern. One that begins
// with $ would reach topics that are the broker's.
func unfit(s string) bool {
	return s == "" || s[0] == '$' || strings.IndexByte(s, '/') >= 0
}

// Subscribe decides whether a client may subscribe to a filter, without the
// $share of a shared subscription.
func (a *ACL) Subscribe(id, user, filter string) Decision {
	own := a.own(user)
	var granted Decision
	if d := a.subscribe(own, filter, func(r *Rule) (string, bool) { return r.filter, true }); d.decided() {
		if !d.Allowed {
			return d
		}
		granted = d
	}
	if granted.Allowed {
		return granted
	}
	if a.patterns.empty() {
		return Decision{Why: whyNoRule}
	}
	who, d := identify(id, user, &a.patterns)
	if d.Why != "" {
		return d
	}
	if d := a.subscribe(a.patterns, filter, func(r *Rule) (string, bool) { return r.expand(who) }); d.decided() {
		return d
	}
	return Decision{Why: whyNoRule}
}

func (d Decision) decided() bool { return d.Rule != nil }

// subscribe looks for a denial of all that the filter can match, then for a rule
// that grants it.
func (a *ACL) subscribe(rs rules, filter string, expand func(*Rule) (string, bool)) Decision {
	for _, r := range rs.deny {
		if f, ok := expand(r); ok && topic.Covers(f, filter) {
			return Decision{Rule: r}
		}
	}
	for _, r := range rs.grant {
		f, ok := expand(r)
		if !ok || r.access&read == 0 {
			continue
		}
		if topic.Covers(f, filter) || !a.Strict && overlap(f, filter) {
			return Decision{Allowed: true, Rule: r}
		}
	}
	return Decision{}
}

// overlap reports whether two filters match a name in common.
func overlap(a, b string) bool {
	if a[0] == '$' && isWild(b) || b[0] == '$' && isWild(a) { // [MQTT-4.7.2-1]
		return false
	}
	if a == "/#" && b == "+" || a == "+" && b == "/#" { // only the empty name, which is none
		return false
	}
	aMore, bMore := true, true
	for aMore && bMore {
		var la, lb string
		la, a, aMore = topic.NextLevel(a)
		lb, b, bMore = topic.NextLevel(b)
		switch {
		case la == "#" || lb == "#":
			return true
		case la != "+" && lb != "+" && la != lb:
			return false
		}
	}
	switch { // "a/#" matches "a" too
	case aMore:
		return a == "#"
	case bMore:
		return b == "#"
	}
	return true
}

func isWild(filter string) bool { return filter[0] == '+' || filter[0] == '#' }

// level is a level of a pattern: texts and variables in turn. A level without
// variables is one text.
type level []part

// part is a text, or a variable: 'c' or 'u'.
type part struct {
	text     string
	variable byte
}

// match reports whether the pattern matches a name.
func (r *Rule) match(w identity, name []byte) bool {
	if r.levels == nil {
		return r.matches(name)
	}
	if n := len(r.prefix); len(name) < n || string(name[:n]) != r.prefix || r.id && w.noID || r.user && w.noUser {
		return false
	}
	if len(name) > 0 && name[0] == '$' && r.filter[0] != '$' { // [MQTT-4.7.2-1]
		return false
	}
	more := true
	for _, l := range r.levels {
		if len(l) == 1 && l[0].text == "#" {
			return true
		}
		if !more {
			return false
		}
		var n []byte
		n, name, more = topic.NextLevel(name)
		if !(len(l) == 1 && l[0].text == "+") && !l.match(w, n) {
			return false
		}
	}
	return !more
}

// match reports whether a level of a name is that of the pattern.
func (l level) match(w identity, name []byte) bool {
	for i := range l {
		text := l[i].value(w)
		if len(name) < len(text) || string(name[:len(text)]) != text {
			return false
		}
		name = name[len(text):]
	}
	return len(name) == 0
}

func (p *part) value(w identity) string {
	switch p.variable {
	case 'c':
		return w.id
	case 'u':
		return w.user
	}
	return p.text
}

// expand returns the filter that a pattern is for a client; false when the
// client must not be put into it.
func (r *Rule) expand(w identity) (string, bool) {
	if r.levels == nil {
		return r.filter, true
	}
	if r.id && w.noID || r.user && w.noUser {
		return "", false
	}
	var b bytes.Buffer
	for i, l := range r.levels {
		if i > 0 {
			b.WriteByte('/')
		}
		for j := range l {
			b.WriteString(l[j].value(w))
		}
	}
	return b.String(), true
}
