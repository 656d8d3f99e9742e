package dynsec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nightjarmq/nightjar/internal/auth"
)

// document is the file, and what commands change. Lists are kept in the order in
// which they decide and are shown.
type document struct {
	Default   defaults  `json:"defaultACLAccess"`
	Clients   []*client `json:"clients"`
	Groups    []*group  `json:"groups"`
	Roles     []*role   `json:"roles"`
	Anonymous string    `json:"anonymousGroup,omitempty"`
}

// defaults hold where no rule of a role decides.
type defaults struct {
	Send        bool `json:"publishClientSend"`
	Receive     bool `json:"publishClientReceive"`
	Subscribe   bool `json:"subscribe"`
	Unsubscribe bool `json:"unsubscribe"`
}

type client struct {
	Name        string   `json:"username"`
	ClientID    string   `json:"clientid,omitempty"`
	TextName    *string  `json:"textname,omitempty"`
	Description *string  `json:"textdescription,omitempty"`
	Disabled    bool     `json:"disabled,omitempty"`
	Roles       []member `json:"roles"`

	// A password is in the first three, or, if it is hashed in another way, in the
	// last.
	Password   string `json:"password,omitempty"`
	Salt       string `json:"salt,omitempty"`
	Iterations int    `json:"iterations,omitempty"`
	Encoded    string `json:"encoded_password,omitempty"`
}

type group struct {
	Name        string   `json:"groupname"`
	TextName    *string  `json:"textname,omitempty"`
	Description *string  `json:"textdescription,omitempty"`
	Roles       []member `json:"roles"`
	Clients     []member `json:"clients"`
}

// member is a role of a client or group, a client of a group, or a group of a
// client: one of the names is set. Higher priorities come first.
type member struct {
	Role     string `json:"rolename,omitempty"`
	Client   string `json:"username,omitempty"`
	Group    string `json:"groupname,omitempty"`
	Priority *int   `json:"priority,omitempty"` // nil: -1
}

func (m *member) name() string { return m.Role + m.Client + m.Group }

func (m *member) priority() int {
	if m.Priority == nil {
		return -1
	}
	return *m.Priority
}

type role struct {
	Name           string  `json:"rolename"`
	TextName       *string `json:"textname,omitempty"`
	Description    *string `json:"textdescription,omitempty"`
	AllowWildcards *bool   `json:"allowwildcardsubs,omitempty"` // false: no wildcards in filters
	ACLs           []acl   `json:"acls"`
}

type acl struct {
	Type     string `json:"acltype"`
	Topic    string `json:"topic"`
	Priority int    `json:"priority"`
	Allow    bool   `json:"allow"`
}

// kinds are the types of ACLs, in the order of the file.
var kinds = [...]string{"publishClientSend", "publishClientReceive", "subscribeLiteral", "subscribePattern", "unsubscribeLiteral", "unsubscribePattern"}

// kind returns the index of a type of ACL, whatever its case; -1 if there is none.
func kind(name string) int {
	return slices.IndexFunc(kinds[:], func(k string) bool { return strings.EqualFold(k, name) })
}

// parse reads a file. What it names and does not have, such as a role that was
// removed by hand, is left out, as in Mosquitto; what cannot be understood is an
// error: it may have been a refusal.
func parse(b []byte) (*document, error) {
	d := new(document)
	if len(bytes.TrimSpace(b)) == 0 {
		return d, nil // nobody may do anything
	}
	if err := json.Unmarshal(b, d); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(b[:min(int(syntax.Offset), len(b))], []byte("\n")), err)
		}
		return nil, err
	}
	for _, r := range d.Roles {
		if r == nil || r.Name == "" {
			return nil, errors.New("a role without a rolename")
		}
		for i := range r.ACLs {
			if err := r.ACLs[i].check(); err != nil {
				return nil, fmt.Errorf("role %q: %w", r.Name, err)
			}
		}
	}
	for _, c := range d.Clients {
		if c == nil || c.Name == "" {
			return nil, errors.New("a client without a username")
		}
		if _, _, err := c.hash(); err != nil {
			return nil, fmt.Errorf("client %q: password: %w", c.Name, err)
		}
	}
	for _, g := range d.Groups {
		if g == nil || g.Name == "" {
			return nil, errors.New("a group without a groupname")
		}
	}
	return d, d.tidy()
}

// check brings the type into its usual case and refuses what cannot be matched.
func (a *acl) check() error {
	k := kind(a.Type)
	if k < 0 {
		return fmt.Errorf("%q is not an acltype: write one of %s", a.Type, strings.Join(kinds[:], ", "))
	}
	a.Type = kinds[k]
	if _, err := auth.NewPattern(a.Topic); err != nil {
		return fmt.Errorf("%s %q: %w", a.Type, a.Topic, err)
	}
	return nil
}

// tidy puts everything in order and drops names of what is not there.
func (d *document) tidy() error {
	slices.SortStableFunc(d.Roles, func(a, b *role) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(d.Clients, func(a, b *client) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(d.Groups, func(a, b *group) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(d.Roles); i++ {
		if d.Roles[i].Name == d.Roles[i-1].Name {
			return fmt.Errorf("role %q is there twice", d.Roles[i].Name)
		}
	}
	for i := 1; i < len(d.Clients); i++ {
		if d.Clients[i].Name == d.Clients[i-1].Name {
			return fmt.Errorf("client %q is there twice", d.Clients[i].Name)
		}
	}
	for i := 1; i < len(d.Groups); i++ {
		if d.Groups[i].Name == d.Groups[i-1].Name {
			return fmt.Errorf("group %q is there twice", d.Groups[i].Name)
		}
	}
	for _, r := range d.Roles {
		r.sort()
	}
	isRole := func(m *member) bool { return d.role(m.Role) != nil }
	for _, c := range d.Clients {
		c.Roles = ordered(c.Roles, isRole)
	}
	for _, g := range d.Groups {
		g.Roles = ordered(g.Roles, isRole)
		g.Clients = ordered(g.Clients, func(m *member) bool { return d.client(m.Client) != nil })
		slices.SortFunc(g.Clients, func(a, b member) int { return cmp.Compare(a.Client, b.Client) }) // their priorities are for the client's groups
	}
	if d.group(d.Anonymous) == nil {
		d.Anonymous = ""
	}
	return nil
}

// sort puts ACLs in the order in which they decide: by type, the higher priority
// first, then as they came. Of two about the same topic the first stays.
func (r *role) sort() {
	slices.SortStableFunc(r.ACLs, func(a, b acl) int {
		return cmp.Or(cmp.Compare(kind(a.Type), kind(b.Type)), cmp.Compare(b.Priority, a.Priority))
	})
	if r.ACLs == nil {
		r.ACLs = []acl{}
	}
}

// ordered keeps the members that there are, the higher priority first, then by name.
func ordered(list []member, there func(*member) bool) []member {
	out := []member{}
	for i := range list {
		m := list[i]
		if m.priority() == -1 {
			m.Priority = nil
		}
		if there(&m) && !slices.ContainsFunc(out, func(o member) bool { return o.name() == m.name() }) {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b member) int {
		return cmp.Or(cmp.Compare(b.priority(), a.priority()), cmp.Compare(a.name(), b.name()))
	})
	return out
}

func (d *document) client(name string) *client {
	if i, ok := slices.BinarySearchFunc(d.Clients, name, func(c *client, n string) int { return cmp.Compare(c.Name, n) }); ok {
		return d.Clients[i]
	}
	return nil
}

func (d *document) group(name string) *group {
	if i, ok := slices.BinarySearchFunc(d.Groups, name, func(g *group, n string) int { return cmp.Compare(g.Name, n) }); ok {
		return d.Groups[i]
	}
	return nil
}

func (d *document) role(name string) *role {
	if i, ok := slices.BinarySearchFunc(d.Roles, name, func(r *role, n string) int { return cmp.Compare(r.Name, n) }); ok {
		return d.Roles[i]
	}
	return nil
}

// groupsOf returns the groups of a client, with its priorities in them.
func (d *document) groupsOf(name string) []member {
	list := []member{}
	for _, g := range d.Groups {
		for _, m := range g.Clients {
			if m.Client == name {
				list = append(list, member{Group: g.Name, Priority: m.Priority})
			}
		}
	}
	return ordered(list, func(*member) bool { return true })
}

// hash returns the hashed password; false if the client has none.
func (c *client) hash() (auth.Hash, bool, error) {
	text := c.Encoded
	if text == "" && (c.Password == "" || c.Salt == "" || c.Iterations == 0) {
		return auth.Hash{}, false, nil
	}
	if text == "" {
		text = "$7$" + strconv.Itoa(c.Iterations) + "$" + c.Salt + "$" + c.Password
	}
	h, err := auth.ParseHash(text)
	return h, err == nil, err
}

// setPassword hashes a password in the form that every version of Mosquitto reads.
func (c *client) setPassword(password string) error {
	h, err := auth.NewHash([]byte(password), auth.HashOptions{Form: auth.PBKDF2})
	if err != nil {
		return err
	}
	f := strings.Split(h.String(), "$") // "", 7, iterations, salt, hash
	c.Iterations, err = strconv.Atoi(f[2])
	c.Salt, c.Password, c.Encoded = f[3], f[4], ""
	return err
}

// bytes is the file.
func (d *document) bytes() ([]byte, error) {
	b, err := json.MarshalIndent(d, "", "\t")
	return append(b, '\n'), err
}

// clone makes a copy to change.
func (d *document) clone() (*document, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	n := new(document)
	return n, json.Unmarshal(b, n)
}
