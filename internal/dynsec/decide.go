package dynsec

import (
	"fmt"
	"strings"

	"github.com/nightjarmq/nightjar/internal/auth"
)

// snapshot is a document made ready for decisions. It does not change.
type snapshot struct {
	doc       *document
	clients   map[string]*subject
	anonymous *subject // nil: no group for those without a user name
	decoy     auth.Hash
}

// subject is a client with all that decides about it.
type subject struct {
	hash     auth.Hash
	hashed   bool
	disabled bool
	clientID string
	roles    []*rules // in the order in which they are asked
}

// rules are the ACLs of a role, by kind.
type rules struct {
	name        string
	noWildcards bool
	byKind      [len(kinds)][]rule
	literal     [len(kinds)]map[string]*rule
}

type rule struct {
	pattern *auth.Pattern
	text    auth.Rule
	allow   bool
}

// compile makes a snapshot. path names the file in decisions.
func compile(d *document, path string) (*snapshot, error) {
	s := &snapshot{doc: d, clients: make(map[string]*subject, len(d.Clients)), decoy: auth.Decoy()}
	byName := make(map[string]*rules, len(d.Roles))
	for _, r := range d.Roles {
		var err error
		if byName[r.Name], err = compileRole(r, path); err != nil {
			return nil, err
		}
	}
	for _, c := range d.Clients {
		who := &subject{disabled: c.Disabled, clientID: c.ClientID}
		var err error
		if who.hash, who.hashed, err = c.hash(); err != nil {
			return nil, fmt.Errorf("client %q: password: %w", c.Name, err)
		}
		if who.hashed {
			s.decoy = who.hash.Like()
		}
		who.take(c.Roles, byName)
		s.clients[c.Name] = who
	}
	inGroups := make(map[string][]member)
	for _, g := range d.Groups {
		for _, m := range g.Clients {
			inGroups[m.Client] = append(inGroups[m.Client], member{Group: g.Name, Priority: m.Priority})
		}
	}
	for name, list := range inGroups {
		for _, m := range ordered(list, func(*member) bool { return true }) {
			s.clients[name].take(d.group(m.Group).Roles, byName)
		}
	}
	if g := d.group(d.Anonymous); g != nil {
		s.anonymous = new(subject)
		s.anonymous.take(g.Roles, byName)
	}
	return s, nil
}

func (s *subject) take(list []member, byName map[string]*rules) {
	for _, m := range list {
		if r := byName[m.Role]; r != nil {
			s.roles = append(s.roles, r)
		}
	}
}

func compileRole(r *role, path string) (*rules, error) {
	out := &rules{name: r.Name, noWildcards: r.AllowWildcards != nil && !*r.AllowWildcards}
	for i := range r.ACLs {
		a := &r.ACLs[i]
		p, err := auth.NewPattern(a.Topic)
		if err != nil {
			return nil, fmt.Errorf("role %q: %s %q: %w", r.Name, a.Type, a.Topic, err)
		}
		verb := "deny"
		if a.Allow {
			verb = "allow"
		}
		one := rule{pattern: p, allow: a.Allow, text: auth.Rule{File: path,
			Text: fmt.Sprintf("role %s: %s %s %s (priority %d)", r.Name, a.Type, a.Topic, verb, a.Priority)}}
		k := kind(a.Type)
		out.byKind[k] = append(out.byKind[k], one)
	}
	for k := range kinds {
		if strings.HasSuffix(kinds[k], "Literal") {
			out.literal[k] = make(map[string]*rule)
			for i := range out.byKind[k] {
				if t := r.acl(k, i); out.literal[k][t] == nil {
					out.literal[k][t] = &out.byKind[k][i]
				}
			}
		}
	}
	return out, nil
}

// acl returns the topic of the nth ACL of a kind.
func (r *role) acl(k, n int) string {
	for i := range r.ACLs {
		if r.ACLs[i].Type == kinds[k] {
			if n == 0 {
				return r.ACLs[i].Topic
			}
			n--
		}
	}
	return ""
}

const (
	send, receive              = 0, 1
	subLiteral, subPattern     = 2, 3
	unsubLiteral, unsubPattern = 4, 5
	whyUnknown                 = "dynamic security does not know the user"
	whyDefault                 = "no role decides, and that is the default"
	whyControl                 = "no role allows it, and the broker's own commands need one that does"
	whyNoAnonymous             = "dynamic security has no group for clients without a user name"
)

// find returns who decides for a user.
func (s *snapshot) find(user string) (*subject, string) {
	if user == "" {
		if s.anonymous == nil {
			return nil, whyNoAnonymous
		}
		return s.anonymous, ""
	}
	if who := s.clients[user]; who != nil {
		return who, ""
	}
	return nil, whyUnknown
}

// byRule is a decision of a rule.
func (r *rule) decide() auth.Decision { return auth.Decision{Allowed: r.allow, Rule: &r.text} }

// check decides about a topic name.
func (s *snapshot) check(k int, id, user string, name []byte) auth.Decision {
	who, why := s.find(user)
	if who != nil {
		for _, role := range who.roles {
			for i := range role.byKind[k] {
				r := &role.byKind[k][i]
				match, unfit := r.pattern.Match(id, user, name)
				switch {
				case match:
					return r.decide()
				case unfit && !r.allow: // it may be meant
					return auth.Decision{Rule: &r.text}
				}
			}
		}
	}
	return s.open(k, why, string(name[:min(len(name), len(control))]), user)
}

const control = "$CONTROL"

// open is the decision where no rule decides. A user whom only the password file
// knows is left to the access list.
func (s *snapshot) open(k int, why, topic, user string) auth.Decision {
	d := &s.doc.Default
	allowed := [...]bool{d.Send, d.Receive, d.Subscribe, d.Subscribe, d.Unsubscribe, d.Unsubscribe}[k]
	switch {
	case why == whyUnknown:
		return auth.Decision{Why: why, Open: true}
	case allowed && strings.HasPrefix(topic, control):
		return auth.Decision{Why: whyControl, Open: true}
	case allowed:
		return auth.Decision{Allowed: true, Why: whyDefault}
	case why == "":
		why = whyDefault
	}
	return auth.Decision{Why: why, Open: true}
}

// filter decides about a filter.
func (s *snapshot) filter(literal, pattern int, id, user, filter string) auth.Decision {
	who, why := s.find(user)
	if who != nil {
		for _, role := range who.roles {
			if literal == subLiteral && role.noWildcards && strings.ContainsAny(filter, "+#") {
				return auth.Decision{Why: "role " + role.name + " allows no wildcards"}
			}
			if r := role.literal[literal][filter]; r != nil {
				return r.decide()
			}
			for i := range role.byKind[pattern] {
				r := &role.byKind[pattern][i]
				covers, unfit := r.pattern.Covers(id, user, filter)
				switch {
				case covers:
					return r.decide()
				case unfit && !r.allow:
					return auth.Decision{Rule: &r.text}
				}
			}
		}
	}
	return s.open(pattern, why, filter, user)
}
