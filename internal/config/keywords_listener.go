package config

import (
	"crypto/sha1"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/nightjarmq/nightjar/topic"
)

// listenerKeywords describe the listener above them, or the default listener.
func listenerKeywords() []Keyword {
	return []Keyword{
		{Name: "listener", Scope: Global, Type: "port [address | path of a Unix socket]", Help: "Begins a listener.", Fate: Kept, set: addListener},
		{Name: "port", Scope: Global, Type: "port", Default: "1883", Help: "Port of the default listener.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(1, math.MaxUint16)
				if err == nil {
					r.openDefault().Port = n
				}
				return err
			}},
		{Name: "bind_address", Scope: Global, Type: "address", Help: "Address of the default listener.", Fate: Kept,
			set: once(func(r *reader) *string { return &r.openDefault().Host })},
		{Name: "bind_interface", Scope: OfListener, Type: "device", Help: "Listen on this network device only.", Fate: Kept,
			set: once(func(r *reader) *string { return &r.listener().Interface })},
		{Name: "socket_domain", Scope: OfListener, Type: "ipv4|ipv6", Default: "both", Help: "Listen on one IP version only.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				s, err := w.oneOf("ipv4", "ipv6")
				r.listener().Family = s
				return err
			}},
		{Name: "protocol", Scope: OfListener, Type: "mqtt|websockets|http_api", Default: "mqtt", Help: "What is spoken at the listener.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				s, err := w.oneOf("mqtt", "websockets", "http_api")
				if err == nil {
					r.listener().Protocol = Protocol(s)
				}
				return err
			}},
		{Name: "accept_protocol_versions", Scope: OfListener, Type: "list of 3, 4, 5", Default: "3,4,5", Since: "2.1", Help: "MQTT versions that are accepted.", Fate: Kept, set: acceptVersions},
		{Name: "mount_point", Scope: OfListener, Type: "topic prefix", Help: "Put before every topic of the listener's clients.", Fate: Kept,
			set: mountPoint},
		{Name: "max_connections", Scope: OfListener, Type: "number", Default: "-1", Help: "Most connections of the listener; -1 is no limit.", Fate: Kept,
			set: limit(0, math.MaxInt32, func(r *reader) *int { return &r.listener().MaxConnections })},
		{Name: "max_qos", Scope: OfListener, Type: "0 to 2", Default: "2", Help: "Highest QoS of the listener's clients.", Fate: Kept, set: maxQoS},
		{Name: "maximum_qos", Scope: OfListener, Type: "0 to 2", Default: "2", Help: "An older name of max_qos.", Fate: Kept, set: maxQoS},
		{Name: "max_topic_alias", Scope: OfListener, Type: "number", Default: "10", Help: "Topic aliases a client may use.", Fate: Kept,
			set: aliases(func(r *reader) *int { return &r.listener().MaxTopicAlias })},
		{Name: "max_topic_alias_broker", Scope: OfListener, Type: "number", Default: "10", Since: "2.1", Help: "Topic aliases the broker uses.", Fate: Kept,
			set: aliases(func(r *reader) *int { return &r.listener().MaxTopicAliasOut })},
		{Name: "use_username_as_clientid", Scope: OfListener, Type: bools, Default: "false", Help: "Make the user name the client identifier.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.listener().UsernameAsClientID })},
		{Name: "listener_allow_anonymous", Scope: OfListener, Type: bools, Default: "allow_anonymous", Since: "2.1", Help: "As allow_anonymous, for one listener.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				v, err := w.bool()
				if err == nil {
					r.listener().sec.anonymous = &v
				}
				return err
			}},
		{Name: "listener_auto_id_prefix", Scope: OfListener, Type: "text", Default: "auto_id_prefix", Since: "2.1", Help: "As auto_id_prefix, for one listener.", Fate: Kept,
			set: once(func(r *reader) *string { return &r.listener().sec.AutoIDPrefix })},
		{Name: "http_dir", Scope: OfListener, Type: "path", Help: "Directory of files that a websockets listener serves.", Fate: Kept,
			set: once(func(r *reader) *string { return &r.listener().HTTPDir })},
		{Name: "websockets_origin", Scope: OfListener, Type: "text", Default: "all", Since: "2.1", Help: "Origin that browsers may come from; may be repeated.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				s, err := w.text()
				if err == nil {
					r.listener().Origins = append(r.listener().Origins, s)
				}
				return err
			}},
		{Name: "enable_proxy_protocol", Scope: OfListener, Type: "1|2", Default: "off", Since: "2.1", Help: "Connections begin with the PROXY protocol.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(1, 2)
				r.listener().ProxyProtocol = n
				return err
			}},
		{Name: "mptcp", Scope: OfListener, Type: bools, Default: "false", Since: "2.1", Help: "Accept Multipath TCP.", Fate: Changed,
			Why: "it is accepted wherever the system has it, whatever is said here", set: boolean},
		{Name: "proxy_protocol_v2_require_tls", Scope: OfListener, Type: bools, Default: "false", Since: "2.1", Help: "Refuse what reached the proxy without TLS.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.listener().ProxyRequireTLS })},
	}
}

// addListener begins a listener.
func addListener(r *reader, w *words) *Error {
	port, err := w.int(0, math.MaxUint16)
	if err != nil {
		return err
	}
	where := w.next()
	if strings.HasPrefix(where, "#") {
		where = ""
	}
	l := newListener(r.pos)
	switch {
	case port == 0 && where == "":
		return wrong("port 0 without the path of a Unix socket", "write listener 0 PATH, or a port from 1 to 65535")
	case port == 0:
		l.UnixPath = where
	default:
		l.Port, l.Host = port, where
	}
	r.listeners = append(r.listeners, l)
	r.here.listener = l
	r.cfg.LocalOnly = false
	return nil
}

func acceptVersions(r *reader, w *words) *Error {
	list := strings.FieldsFunc(w.tail(), func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })
	if len(list) == 0 {
		return wrong("no value", "write versions separated by commas, as in 4,5")
	}
	refuse := []byte{3, 4, 5}
	for _, s := range list {
		n, err := strconv.Atoi(s)
		if err != nil || n < 3 || n > 5 {
			return wrong(quote(s)+" is not a protocol version", "3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0")
		}
		refuse = slices.DeleteFunc(refuse, func(v byte) bool { return int(v) == n })
	}
	r.listener().RefuseVersions = refuse
	return nil
}

func mountPoint(r *reader, w *words) *Error {
	if err := last(func(r *reader) *string { return &r.listener().MountPoint })(r, w); err != nil {
		return err
	}
	if m := r.listener().MountPoint; topic.ValidateName(m) != nil {
		return wrong(quote(m)+" is not a topic name", "write it without + and #")
	} else if !strings.HasSuffix(m, "/") {
		r.note(Kept, "it does not end with a slash: topic a becomes "+m+"a")
	}
	return nil
}

func maxQoS(r *reader, w *words) *Error {
	n, err := w.int(0, 2)
	if err == nil {
		r.listener().MaxQoS = byte(n)
	}
	return err
}

// aliases stores a number of topic aliases.
func aliases(at func(r *reader) *int) func(*reader, *words) *Error {
	return func(r *reader, w *words) *Error {
		n, err := w.int(0, math.MaxUint16)
		if n == 0 {
			n = -1
		}
		*at(r) = n
		return err
	}
}

// tlsKeywords are about encryption at a listener.
func tlsKeywords() []Keyword {
	tls := func(f func(t *TLS) *string) func(r *reader) *string {
		return func(r *reader) *string { return f(&r.listener().TLS) }
	}
	return []Keyword{
		{Name: "certfile", Scope: OfListener, Type: "path", Help: "Certificate of the server, with its chain, as PEM.", Fate: Kept,
			set: last(tls(func(t *TLS) *string { return &t.CertFile }))},
		{Name: "keyfile", Scope: OfListener, Type: "path", Help: "Private key of the server as PEM.", Fate: Kept,
			set: last(tls(func(t *TLS) *string { return &t.KeyFile }))},
		{Name: "cafile", Scope: OfListener, Type: "path", Help: "Authorities whose client certificates are trusted.", Fate: Kept,
			set: last(tls(func(t *TLS) *string { return &t.CAFile }))},
		{Name: "capath", Scope: OfListener, Type: "path", Help: "Directory of such authorities.", Fate: Changed,
			Why: "all files .pem and .crt of the directory are read; it need not be rehashed", set: last(tls(func(t *TLS) *string { return &t.CAPath }))},
		{Name: "crlfile", Scope: OfListener, Type: "path", Help: "Client certificates that are revoked.", Fate: Kept,
			set: last(tls(func(t *TLS) *string { return &t.CRLFile }))},
		{Name: "ciphers", Scope: OfListener, Type: "cipher:cipher", Help: "Ciphers of TLS 1.2.", Fate: Kept, set: ciphers},
		{Name: "ciphers_tls1.3", Scope: OfListener, Type: "cipher:cipher", Help: "Ciphers of TLS 1.3.", Fate: Ignored,
			Why: "the three ciphers of TLS 1.3 are always offered, all are safe", set: last(tls(func(t *TLS) *string { return &t.Ciphers13 }))},
		{Name: "dhparamfile", Scope: OfListener, Type: "path", Help: "Parameters of Diffie-Hellman.", Fate: Ignored,
			Why: "elliptic curves need none", set: skip},
		{Name: "disable_client_cert_date_checks", Scope: OfListener, Type: bools, Default: "false", Since: "2.1", Help: "Accept client certificates outside their dates.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.listener().TLS.IgnoreDates })},
		{Name: "require_certificate", Scope: OfListener, Type: bools, Default: "false", Help: "Clients must show a valid certificate.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.listener().TLS.RequireCertificate })},
		{Name: "tls_version", Scope: OfListener, Type: "tlsv1.3|tlsv1.2|tlsv1.1", Default: "tlsv1.2", Help: "Lowest version of TLS.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				s, err := w.oneOf("tlsv1.3", "tlsv1.2", "tlsv1.1")
				if s == "tlsv1.1" {
					r.note(Changed, "the lowest version is 1.2; 1.1 is broken")
				}
				r.listener().TLS.MinVersion = s
				return err
			}},
		{Name: "tls_engine", Scope: OfListener, Type: "name", Help: "OpenSSL engine.", Fate: Ignored,
			Why: "there is no OpenSSL", set: once(tls(func(t *TLS) *string { return &t.Engine }))},
		{Name: "tls_engine_kpass_sha1", Scope: OfListener, Type: "hex", Help: "Password of the engine's key.", Fate: Ignored, Secret: true,
			Why: "there is no OpenSSL", set: func(r *reader, w *words) *Error {
				if b, err := hex.DecodeString((&words{w.rest}).tail()); err != nil || len(b) != sha1.Size {
					return wrong("not a SHA-1 in hexadecimal", "write 40 hexadecimal digits")
				}
				return once(tls(func(t *TLS) *string { return &t.EnginePassword }))(r, w)
			}},
		{Name: "tls_keyform", Scope: OfListener, Type: "pem|engine", Default: "pem", Help: "Form of the private key.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				s, err := w.text()
				if err == nil && s == "engine" {
					r.listener().TLS.EngineKey = true
				}
				return err
			}},
		{Name: "psk_hint", Scope: OfListener, Type: "text", Help: "Encrypt with pre-shared keys; the hint names them.", Fate: Ignored,
			Why: "there is no TLS library for pre-shared keys; the broker does not start with such a listener",
			set: once(tls(func(t *TLS) *string { return &t.PSKHint }))},
		{Name: "use_identity_as_username", Scope: OfListener, Type: bools, Default: "false", Help: "The certificate's common name is the user name.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.listener().IdentityAsUsername })},
		{Name: "use_subject_as_username", Scope: OfListener, Type: bools, Default: "false", Help: "The certificate's subject is the user name.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.listener().SubjectAsUsername })},
	}
}

// ciphers notes what Go does not have of OpenSSL's list.
func ciphers(r *reader, w *words) *Error {
	if err := last(func(r *reader) *string { return &r.listener().TLS.Ciphers })(r, w); err != nil {
		return err
	}
	known, missing := cipherSuites(r.listener().TLS.Ciphers)
	switch {
	case len(known) == 0:
		r.note(Changed, "none of these is offered here; the default list is used, all of it is safe")
	case len(missing) > 0:
		r.note(Changed, "not offered here: "+strings.Join(missing, ", "))
	}
	return nil
}
