package config

import "fmt"

// finish turns what was read into a Config, with the checks that need all of it.
func (r *reader) finish() {
	c := r.cfg
	if !r.logged {
		c.Log.Stderr = true
	}
	c.Security = r.global.Security
	c.Security.AllowAnonymous = r.anonymous(&r.global)
	for _, l := range r.opened() {
		r.resolve(l)
		c.Listeners = append(c.Listeners, l.Listener)
	}
	for i := range c.Plugins {
		r.builtin(&c.Plugins[i])
	}
	for i := range c.Listeners {
		r.applyPlugins(&c.Listeners[i].Security)
		r.checkListener(&c.Listeners[i])
	}
	r.applyPlugins(&c.Security)
	r.finishBridges()
}

// opened returns the listeners to open. Without any in the file they are those
// of the loopback addresses, with what was said of the default listener.
func (r *reader) opened() []*listener {
	if !r.cfg.LocalOnly {
		if r.standard != nil && r.standard.open {
			return append(r.listeners, r.standard)
		}
		return r.listeners
	}
	base := r.standard
	if base == nil {
		base = newListener(Pos{})
		base.Port = 1883
	}
	v4, v6 := *base, *base
	v4.Host, v6.Host, v6.Optional = "127.0.0.1", "::1", true
	switch base.Family {
	case "ipv4":
		return []*listener{&v4}
	case "ipv6":
		v6.Optional = false
		return []*listener{&v6}
	}
	return []*listener{&v4, &v6}
}

// anonymous resolves allow_anonymous: unless it is said, nobody is let in
// without a name, but for the loopback addresses of a file without listeners.
func (r *reader) anonymous(s *security) bool {
	if s.anonymous == nil {
		return r.cfg.LocalOnly
	}
	return *s.anonymous
}

// resolve gives a listener its Security.
func (r *reader) resolve(l *listener) {
	if r.cfg.PerListener {
		l.Security = l.sec.Security
		l.Security.AllowAnonymous = r.anonymous(&l.sec)
		if l.Security.AutoIDPrefix == "" {
			l.Security.AutoIDPrefix = r.global.AutoIDPrefix
		}
		l.Security.Plugins = append(append([]int(nil), r.global.Plugins...), l.sec.Plugins...)
		return
	}
	l.Security = r.cfg.Security
	if l.sec.anonymous != nil {
		l.Security.AllowAnonymous = *l.sec.anonymous
	}
	if l.sec.AutoIDPrefix != "" {
		l.Security.AutoIDPrefix = l.sec.AutoIDPrefix
	}
	l.Security.Plugins = append(append([]int(nil), r.global.Plugins...), l.sec.Plugins...)
}

// builtin checks the options of a plugin whose work is built in.
func (r *reader) builtin(p *Plugin) {
	need := map[PluginKind]string{DynamicSecurity: "config_file", PasswordPlugin: "password_file", ACLPlugin: "acl_file"}[p.Kind]
	if need != "" && p.Option(need) == "" {
		r.refuse(&Error{Pos: p.Pos, Msg: "the plugin " + string(p.Kind) + " is not told its file", Fix: "write plugin_opt_" + need + " PATH below it"})
	}
	if p.Kind == PersistPlugin {
		r.cfg.Persistence.Enabled = true
	}
}

// applyPlugins does what the plugins for password and ACL files do.
func (r *reader) applyPlugins(s *Security) {
	for _, i := range s.Plugins {
		switch p := &r.cfg.Plugins[i]; p.Kind {
		case PasswordPlugin:
			s.PasswordFile = p.Option("password_file")
		case ACLPlugin:
			s.ACLFile = p.Option("acl_file")
		}
	}
}

// checkListener refuses what contradicts itself, and what would be less safe
// than it says.
func (r *reader) checkListener(l *Listener) {
	t := &l.TLS
	no := func(msg, fix string) {
		r.refuse(&Error{Pos: l.Pos, Word: "listener " + l.Address(), Msg: msg, Fix: fix})
	}
	switch {
	case t.CertFile != "" && t.PSKHint != "":
		no("both a certificate and pre-shared keys", "remove psk_hint, or certfile and keyfile")
	case t.CertFile != "" && t.KeyFile == "":
		no("certfile without keyfile", "name the private key with keyfile")
	case t.KeyFile != "" && t.CertFile == "":
		no("keyfile without certfile", "name the certificate with certfile")
	case (t.CAFile != "" || t.CAPath != "") && t.CertFile == "":
		no("cafile or capath without certfile and keyfile: nothing would be encrypted", "add certfile and keyfile")
	case t.RequireCertificate && t.CertFile == "" && t.PSKHint == "":
		no("require_certificate without certfile and keyfile: nothing would be encrypted", "add certfile and keyfile")
	case t.RequireCertificate && t.CertFile != "" && t.CAFile == "" && t.CAPath == "":
		no("require_certificate without cafile or capath: no client could connect", "name the authority of the clients' certificates with cafile")
	case l.ProxyProtocol == 2 && t.CertFile != "":
		no("certfile and keyfile with enable_proxy_protocol 2", "let the proxy end TLS, or use enable_proxy_protocol 1")
	case l.ProxyProtocol == 2 && l.SubjectAsUsername:
		no("use_subject_as_username with enable_proxy_protocol 2", "use_identity_as_username works: the proxy passes the common name on")
	}
}

// finishBridges names the bridges and refuses incomplete ones.
func (r *reader) finishBridges() {
	host := r.opts.Hostname
	if host == "" {
		host = "localhost"
	}
	ids := map[string]*Bridge{}
	for _, b := range r.bridges {
		if b.RemoteClientID == "" {
			b.RemoteClientID = host + "." + b.Name
		}
		if b.LocalClientID == "" {
			b.LocalClientID = "local." + b.RemoteClientID
		}
		if !b.localCleanStated {
			b.LocalCleanStart = b.CleanStart
		}
		if other := ids[b.LocalClientID]; other != nil {
			r.refuse(&Error{Pos: b.Pos, Word: "connection " + b.Name,
				Msg: fmt.Sprintf("the same local_clientid %s as bridge %s", quote(b.LocalClientID), other.Name), Fix: "give one another local_clientid"})
		}
		ids[b.LocalClientID] = b
		r.checkBridge(b)
		r.cfg.Bridges = append(r.cfg.Bridges, *b)
	}
}

func (r *reader) checkBridge(b *Bridge) {
	no := func(msg, fix string) { r.refuse(&Error{Pos: b.Pos, Word: "connection " + b.Name, Msg: msg, Fix: fix}) }
	t := &b.TLS
	psk := t.PSK != "" || t.PSKIdentity != ""
	switch {
	case len(b.Addresses) == 0:
		no("no address", "write address HOST:PORT")
	case len(b.Topics) == 0:
		no("no topic", "write topic PATTERN out, in or both")
	case psk && (t.CAFile != "" || t.CAPath != "" || t.CertFile != "" || t.KeyFile != ""):
		no("both certificates and a pre-shared key", "remove bridge_psk and bridge_identity, or the certificate files")
	case t.PSK != "" && t.PSKIdentity == "":
		no("bridge_psk without bridge_identity", "add bridge_identity")
	case t.PSKIdentity != "" && t.PSK == "":
		no("bridge_identity without bridge_psk", "add bridge_psk")
	}
}

// Refusals returns what the file asks for and cannot be had, where to leave it
// out would let in more clients than the file says. A broker must not start with
// such a Config.
func (c *Config) Refusals() Errors {
	var list Errors
	for i := range c.Listeners {
		l := &c.Listeners[i]
		where := "listener " + l.Address()
		if l.TLS.PSKHint != "" {
			list = append(list, &Error{Pos: l.Pos, Word: where, Msg: "TLS with pre-shared keys is not available", Fix: "use certfile and keyfile, and require_certificate for clients without passwords"})
		}
		if l.TLS.EngineKey {
			list = append(list, &Error{Pos: l.Pos, Word: where, Msg: "keys in an OpenSSL engine cannot be used", Fix: "use a key in a file"})
		}
	}
	for i := range c.Plugins {
		if p := &c.Plugins[i]; p.Kind == UnknownPlugin {
			list = append(list, &Error{Pos: p.Pos, Word: p.Path, Msg: "this plugin may decide who may connect, and cannot be loaded", Fix: "remove it and use password_file and acl_file, or dynamic security"})
		}
	}
	for i := range c.Bridges {
		if b := &c.Bridges[i]; b.TLS.PSKIdentity != "" {
			list = append(list, &Error{Pos: b.Pos, Word: "connection " + b.Name, Msg: "TLS with pre-shared keys is not available", Fix: "use bridge_cafile, and bridge_certfile and bridge_keyfile"})
		}
	}
	return list
}
