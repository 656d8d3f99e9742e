package cli

import (
	"fmt"
	"log/slog"
	"math"
	"path/filepath"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/auth"
	"github.com/nightjarmq/nightjar/internal/config"
)

// fromFile makes the broker of a mosquitto.conf. The report says what became of
// each line.
func fromFile(path string, log *slog.Logger) (broker.Config, verdict, error) {
	c, r, err := config.Load(path)
	report := verdict{Report: r, conf: c}
	if err != nil {
		return broker.Config{}, report, err
	}
	if list := append(c.Refusals(), missing(c)...); len(list) > 0 {
		return broker.Config{}, report, list
	}
	cfg := broker.Config{Log: log}
	limits(&cfg, c)
	persistence(&cfg, &c.Persistence)
	if err := admission(&cfg, c); err != nil {
		return cfg, report, err
	}
	for i := range c.Listeners {
		l, reloader, err := listener(&c.Listeners[i])
		if err != nil {
			return cfg, report, err
		}
		if reloader != nil {
			report.certificates = append(report.certificates, reloader)
		}
		l.MaxHeader = max(c.Limits.HTTPHeader, 8<<10)
		cfg.Listeners = append(cfg.Listeners, l)
	}
	for _, a := range otherwise {
		report.Amend(a.keyword, a.fate, a.why)
	}
	warnOfKeys(c, log)
	return cfg, report, nil
}

// persistence says where the store is.
func persistence(cfg *broker.Config, p *config.Persistence) {
	switch {
	case !p.Enabled:
	case p.Own:
		cfg.Data = p.Dir
	default:
		cfg.Data = filepath.Join(p.Dir, "nightjar") // beside Mosquitto's own file
	}
	if p.Durability == "relaxed" {
		cfg.Durability = broker.Relaxed
	}
}

// verdict is what a file says beside the broker's configuration.
type verdict struct {
	*config.Report
	conf         *config.Config // what was read; nil after an error
	certificates []*config.Reloader
}

// otherwise are the keywords that act otherwise than in Mosquitto, or not at all,
// and why that is for good.
var otherwise = []struct {
	keyword string
	fate    config.Fate
	why     string
}{
	{"check_retain_source", config.Changed, "who may publish is decided when a message is published; a retained message stays until it is replaced, removed or expired"},
	{"memory_limit", config.Changed, "memory is collected earlier to stay below it; no message is refused for it"},
	{"retain_expiry_interval", config.Changed, "it acts as the Message Expiry Interval of retained messages"},
	{"set_tcp_nodelay", config.Ignored, "small packets are always sent at once, many of them together"},
	{"persistent_client_expiration", config.Changed, "it also bounds the Session Expiry Interval of 5.0 clients, which are told"},
}

// missing are the things that a file asks for and that cannot be left out without
// doing something else than it says.
func missing(c *config.Config) (list config.Errors) {
	no := func(p config.Pos, word, fix string) {
		list = append(list, &config.Error{Pos: p, Word: word, Msg: "not available yet", Fix: fix})
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.Protocol == config.HTTPAPI {
			no(l.Pos, "protocol http_api", "remove this listener")
		}
	}
	for i := range c.Plugins {
		if p := &c.Plugins[i]; p.Kind == config.DynamicSecurity {
			no(p.Pos, "the dynamic security plugin", "use password_file and acl_file")
		}
	}
	for i := range c.Bridges {
		no(c.Bridges[i].Pos, "connection "+c.Bridges[i].Name, "remove the bridge")
	}
	return list
}

// limits carries the limits over; both sides mean "default" by 0 and "none" by a
// negative number.
func limits(cfg *broker.Config, c *config.Config) {
	l := &c.Limits
	cfg.MaxInflight = uint16(min(max(l.MaxInflightMessages, 0), math.MaxUint16))
	if l.MaxInflightMessages < 0 {
		cfg.MaxInflight = math.MaxUint16
	}
	cfg.MaxQueuedMessages, cfg.MaxQueuedBytes = l.MaxQueuedMessages, l.MaxQueuedBytes
	cfg.MaxPacketSize = l.MaxPacketSize
	cfg.MaxKeepAlive = max(l.MaxKeepAlive, 0)
	cfg.MaxSessionExpiry = max(l.PersistentClientExpiration, 0)
	cfg.NoRetain = l.NoRetain
	cfg.MaxPayload = max(l.MessageSizeLimit, 0)
	cfg.MaxInflightBytes = max(l.MaxInflightBytes, 0)
	cfg.MaxSessions, cfg.MaxConnections = max(l.MaxClients, 0), max(l.MaxConnections, 0)
	cfg.QueueQoS0, cfg.UpgradeOutgoingQoS = l.QueueQoS0, l.UpgradeOutgoingQoS
	cfg.RetainExpiry = l.RetainExpiry
	cfg.SysInterval = c.SysInterval
}

// admission reads the password and ACL files of all listeners.
func admission(cfg *broker.Config, c *config.Config) error {
	gates := auth.Entrances{ByListener: make(map[string]auth.Entrance)}
	lists := auth.Lists{ByListener: make(map[string]*auth.ACL)}
	users, acls := make(map[string]*auth.Users), make(map[string]*auth.ACL)
	restricted := false
	for i := range c.Listeners {
		l := &c.Listeners[i]
		e := auth.Entrance{IDPrefix: c.Limits.ClientIDPrefix, UserIsClientID: l.UsernameAsClientID}
		switch {
		case l.IdentityAsUsername:
			e.Identity = auth.CommonName
		case l.SubjectAsUsername:
			e.Identity = auth.Subject
		}
		var err error
		if e.Users, err = load(users, l.Security.PasswordFile, auth.LoadUsers); err != nil {
			return err
		}
		acl, err := load(acls, l.Security.ACLFile, auth.LoadACL)
		if err != nil {
			return err
		}
		restricted = restricted || acl != nil
		gates.ByListener[listenerName(l)], lists.ByListener[listenerName(l)] = e, acl
	}
	if restricted || !everybody(c, &gates) { // a list is about users, so users are asked for
		cfg.Auth = gate(gates, cfg.Log)
	}
	if restricted {
		cfg.Access = policy(lists, cfg.Log)
	}
	warnOfFiles(users, acls, cfg.Log)
	return nil
}

// gate logs why somebody was refused, which the client is not told.
func gate(e auth.Entrances, log *slog.Logger) *auth.Gate {
	g := auth.NewGate(e, 0)
	if log != nil {
		g.Refused = func(a *broker.Attempt, why string) {
			log.Warn("a client was refused", "client", a.ClientID, "user", a.Username.Value, "addr", a.Addr, "listener", a.Listener, "why", why)
		}
	}
	return g
}

// policy logs what was refused and which line of the list decided.
func policy(l auth.Lists, log *slog.Logger) *auth.Policy {
	p := auth.NewPolicy(l)
	if log != nil {
		p.Denied = func(c *broker.Client, action auth.Action, topic []byte, d auth.Decision) {
			log.Info("not allowed", "client", c.ID, "user", c.User, "action", action.String(), "topic", string(topic), "rule", d.String())
		}
	}
	return p
}

// warnOfFiles tells of files that everybody may read, and of those that let
// nobody in.
func warnOfFiles(users map[string]*auth.Users, acls map[string]*auth.ACL, log *slog.Logger) {
	if log == nil {
		return
	}
	for path, u := range users {
		if u.Len() == 0 {
			log.Warn("the password file is empty: nobody can connect with a password", "file", path)
		}
		if open, err := auth.Exposed(path); err == nil && open {
			log.Warn("everybody on this machine may read the password file: chmod 600 it", "file", path)
		}
	}
	for path, a := range acls {
		if a.Empty() {
			log.Warn("the access control list is empty: nobody may publish or subscribe", "file", path)
		}
	}
}

// warnOfKeys tells of private keys that everybody may read.
func warnOfKeys(c *config.Config, log *slog.Logger) {
	if log == nil {
		return
	}
	for i := range c.Listeners {
		if key := c.Listeners[i].TLS.KeyFile; key != "" {
			if open, err := auth.Exposed(key); err == nil && open {
				log.Warn("everybody on this machine may read the private key: chmod 600 it", "file", key)
			}
		}
	}
}

// everybody reports whether no listener asks who a client is.
func everybody(c *config.Config, g *auth.Entrances) bool {
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if e := g.ByListener[listenerName(l)]; !l.Security.AllowAnonymous || e.Users != nil || e.Identity != auth.NoIdentity || e.IDPrefix != "" || e.UserIsClientID {
			return false
		}
	}
	return true
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
	if err != nil {
		return nil, err
	}
	known[path] = v
	return v, nil
}

// tellIgnored warns of the lines without effect.
func tellIgnored(log *slog.Logger, r *config.Report) {
	for i := range r.Entries {
		if e := &r.Entries[i]; e.Fate == config.Ignored {
			log.Warn("a line of the configuration has no effect", "line", e.Pos.String(), "text", e.Text, "why", e.Why)
		}
	}
}

// checkCommand prints what becomes of each line of a mosquitto.conf.
type checkCommand struct {
	File string `arg:"" help:"The mosquitto.conf." type:"path"`
}

func (k *checkCommand) run(io Streams) int {
	_, report, err := fromFile(k.File, nil)
	if report.Report != nil {
		for i := range report.Entries {
			fmt.Fprintln(io.Out, report.Entries[i])
		}
	}
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitUsage
	}
	return exitOK
}
