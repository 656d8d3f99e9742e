package access

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/nightjarmq/nightjar/internal/auth"
	"github.com/nightjarmq/nightjar/internal/config"
	"github.com/nightjarmq/nightjar/internal/conn"
	"github.com/nightjarmq/nightjar/internal/dynsec"
	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/ration"
)

// Rules are what the files of a configuration say.
type Rules struct {
	Gate    *auth.Gate       // nil: whoever a listener lets in without a user name
	Policy  *auth.Policy     // nil: everybody may do everything
	Dynamic *dynsec.Security // nil: there is none

	conf  *config.Config
	gates auth.Entrances
	lists auth.Lists
	users map[string]*auth.Users // by path
	acls  map[string]*auth.ACL
}

// Load reads the files. was is what held before, whose dynamic security goes on; nil
// at the start. What is refused is logged, unless log is nil.
func Load(c *config.Config, was *dynsec.Security, log *slog.Logger) (*Rules, error) {
	r := &Rules{
		conf: c, users: make(map[string]*auth.Users), acls: make(map[string]*auth.ACL),
		gates: auth.Entrances{ByListener: make(map[string]auth.Entrance)},
		lists: auth.Lists{ByListener: make(map[string]auth.List)},
	}
	if err := r.openDynamic(was); err != nil {
		return nil, err
	}
	for i := range c.Listeners {
		if err := r.listener(&c.Listeners[i]); err != nil {
			return nil, err
		}
	}
	restricted := r.Dynamic != nil || len(r.acls) > 0
	if restricted || !r.everybody() { // a list is about users, so users are asked for
		r.Gate = gate(r.gates, log)
	}
	if restricted {
		r.Policy = policy(r.lists, log)
	}
	r.warn(log)
	return r, nil
}

// Follow makes r take up what was before it remembers of failed passwords, and its
// turns to hash them: a reload is no way to guess faster.
func (r *Rules) Follow(was *Rules) {
	if was != nil && was.Gate != nil && r.Gate != nil {
		r.Gate.Follow(was.Gate)
	}
}

// openDynamic opens the file of the dynamic security plugin.
func (r *Rules) openDynamic(was *dynsec.Security) error {
	path := ""
	for i := range r.conf.Plugins {
		p := &r.conf.Plugins[i]
		if p.Kind != config.DynamicSecurity {
			continue
		}
		file := p.Option("config_file")
		if path != "" && file != path {
			return &config.Error{Pos: p.Pos, Word: "dynamic security", Msg: "a second file", Fix: "use one for all listeners: its commands have one topic"}
		}
		path = file
	}
	if path == "" {
		return nil
	}
	if was != nil && was.Path() == path {
		r.Dynamic = was
		return was.Refresh()
	}
	var err error
	r.Dynamic, err = dynsec.Open(path)
	return err
}

// listener reads what a listener names.
func (r *Rules) listener(l *config.Listener) error {
	e := auth.Entrance{IDPrefix: r.conf.Limits.ClientIDPrefix, UserIsClientID: l.UsernameAsClientID}
	switch {
	case l.IdentityAsUsername:
		e.Identity = auth.CommonName
	case l.SubjectAsUsername:
		e.Identity = auth.Subject
	}
	var err error
	if e.Users, err = load(r.users, l.Security.PasswordFile, auth.LoadUsers); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: nightjar passwd -c %s NAME makes one with its first user", err, l.Security.PasswordFile)
	} else if err != nil {
		return err
	}
	acl, err := load(r.acls, l.Security.ACLFile, auth.LoadACL)
	if err != nil {
		return err
	}
	var chain auth.Chain
	if r.dynamicAt(l) {
		e.Directory = r.Dynamic
		chain = append(chain, r.Dynamic)
	}
	if acl != nil {
		chain = append(chain, acl)
	}
	switch len(chain) {
	case 0:
		r.lists.ByListener[l.Address()] = nil
	case 1:
		r.lists.ByListener[l.Address()] = chain[0]
	default:
		r.lists.ByListener[l.Address()] = chain
	}
	r.gates.ByListener[l.Address()] = e
	return nil
}

func (r *Rules) dynamicAt(l *config.Listener) bool {
	for _, i := range l.Security.Plugins {
		if r.conf.Plugins[i].Kind == config.DynamicSecurity {
			return true
		}
	}
	return false
}

// everybody reports whether no listener asks who a client is.
func (r *Rules) everybody() bool {
	for i := range r.conf.Listeners {
		l := &r.conf.Listeners[i]
		if e := r.gates.ByListener[l.Address()]; !l.Security.AllowAnonymous || e.Users != nil || e.Identity != auth.NoIdentity || e.IDPrefix != "" || e.UserIsClientID {
			return false
		}
	}
	return true
}

// Files are those whose change is to be taken up.
func (r *Rules) Files() (list []string) {
	for path := range r.users {
		list = append(list, path)
	}
	for path := range r.acls {
		list = append(list, path)
	}
	return list
}

// load reads a file once, however many listeners name it.
func load[T any](known map[string]*T, path string, read func(string) (*T, error)) (*T, error) {
	if path == "" {
		return nil, nil
	}
	if v, ok := known[path]; ok {
		return v, nil
	}
	v, err := read(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: let the user that the broker runs as read it, as with chown", err)
	}
	if err != nil {
		return nil, err
	}
	known[path] = v
	return v, nil
}

// gate logs why somebody was refused, which the client is not told.
func gate(e auth.Entrances, log *slog.Logger) *auth.Gate {
	g := auth.NewGate(e, 0)
	if log != nil {
		lines := ration.Lines{AtOnce: 20} // many devices may share an address
		g.Refused = func(a *conn.Attempt, why string) {
			left, ok := lines.Next(ration.Place(a.Addr))
			if !ok {
				return
			}
			var rest []any
			if left > 0 {
				rest = []any{"unlogged", left}
			}
			log.With(rest...).Warn("a client was refused", "client", a.ClientID, "user", a.Username.Value, "addr", a.Addr, "listener", a.Listener, "why", why)
		}
	}
	return g
}

// policy logs what was refused and which line of the list decided.
func policy(l auth.Lists, log *slog.Logger) *auth.Policy {
	p := auth.NewPolicy(l)
	if log == nil {
		return p
	}
	var lines ration.Lines
	p.Denied = func(c *hub.Client, action auth.Action, topic []byte, d auth.Decision) {
		left, ok := lines.Next(c.ID)
		if !ok {
			return
		}
		rest := []any{"client", c.ID, "user", c.User, "action", action.String(), "topic", string(topic), "rule", d.String()}
		if left > 0 {
			rest = append(rest, "unlogged", left)
		}
		log.Info("not allowed", rest...)
	}
	return p
}

// warn tells of files that everybody may read, and of those that let nobody in.
func (r *Rules) warn(log *slog.Logger) {
	if log == nil {
		return
	}
	secret := make(map[string]string)
	for path, u := range r.users {
		secret[path] = "the password file"
		if u.Len() == 0 {
			log.Warn("the password file is empty: nobody can connect with a password", "file", path)
		}
	}
	if r.Dynamic != nil {
		secret[r.Dynamic.Path()] = "the file of dynamic security"
	}
	for path, what := range secret {
		if open, err := auth.Exposed(path); err == nil && open {
			log.Warn("everybody on this machine may read "+what+": give it to the user of the broker and chmod 600 it", "file", path)
		}
	}
	for path, a := range r.acls {
		if a.Empty() {
			log.Warn("the access control list is empty: nobody may publish or subscribe", "file", path)
		}
	}
}

var errNoListener = errors.New("the configuration has no such listener")

// at finds a listener by its address, or its port; "" is the first.
func (r *Rules) at(name string) (*config.Listener, error) {
	for i := range r.conf.Listeners {
		if l := &r.conf.Listeners[i]; name == "" || l.Address() == name || fmt.Sprint(l.Port) == name {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%q: %w", name, errNoListener)
}
