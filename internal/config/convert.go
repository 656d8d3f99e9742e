package config

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Convert writes a Config as a nightjar.toml that says the same. It reads what it
// has written and compares: what nightjar.toml cannot say is an error, not a loss.
// Passwords of bridges are in it in the clear, as in a mosquitto.conf.
func Convert(c *Config) ([]byte, error) {
	if list := c.Refusals(); len(list) > 0 {
		return nil, list
	}
	w := new(tomlWriter)
	w.general(c)
	if !c.LocalOnly {
		for i := range c.Listeners {
			w.listener(c, &c.Listeners[i])
		}
	}
	for i := range c.Bridges {
		w.bridge(&c.Bridges[i])
	}
	back, _, err := Parse(bytes.NewReader(w.out.Bytes()), "nightjar.toml", Options{})
	if err != nil {
		return nil, fmt.Errorf("the file cannot be said in nightjar.toml: %w", err)
	}
	var lost Errors
	for _, path := range differences(reflect.ValueOf(*canonical(c)), reflect.ValueOf(*canonical(back)), "") {
		lost = append(lost, &Error{Word: path, Msg: "cannot be said in nightjar.toml", Fix: "keep the mosquitto.conf, or remove the line that sets it"})
	}
	if len(lost) > 0 {
		return nil, lost
	}
	return w.out.Bytes(), nil
}

// canonical is a Config without what makes no difference: where it was written, by
// which plugin it was said, and what is ignored.
func canonical(c *Config) *Config {
	d := *c
	d.PerListener, d.Security, d.Plugins = false, Security{}, nil
	d.Log.File = cleaned(d.Log.File)
	d.Persistence = Persistence{Enabled: c.Persistence.Enabled, Dir: c.storeDir(), Own: true, Durability: c.Persistence.Durability}
	d.Listeners = slices.Clone(c.Listeners)
	for i := range d.Listeners {
		l := &d.Listeners[i]
		l.Pos = Pos{}
		l.SubjectAsUsername = l.SubjectAsUsername && !l.IdentityAsUsername
		l.RefuseVersions, l.Origins = listed(l.RefuseVersions), listed(l.Origins)
		l.Security.Plugins, l.Security.PSKFile = nil, ""
		d.Plugins = append(d.Plugins, Plugin{Path: c.dynamicAt(&c.Listeners[i])})
		t := &l.TLS
		t.Ciphers = strings.Join(offered(t.Ciphers), ":")
		t.Ciphers13, t.Engine, t.EnginePassword, t.ALPN = "", "", "", listed(t.ALPN)
		if t.MinVersion != "tlsv1.3" {
			t.MinVersion = ""
		}
	}
	d.Bridges = slices.Clone(c.Bridges)
	for i := range d.Bridges {
		b := &d.Bridges[i]
		b.Pos, b.localCleanStated, b.TLS.Ciphers13 = Pos{}, false, ""
		b.TLS.Ciphers = strings.Join(offered(b.TLS.Ciphers), ":")
		if b.TLS.MinVersion != "tlsv1.3" {
			b.TLS.MinVersion = ""
		}
	}
	return &d
}

// listed is a list, nil if it is empty.
func listed[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func cleaned(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path)
}

// storeDir is where the store lies; "" is memory.
func (c *Config) storeDir() string {
	switch p := &c.Persistence; {
	case !p.Enabled:
		return ""
	case p.Own:
		return p.Dir
	default:
		return filepath.Join(p.Dir, "nightjar")
	}
}

// dynamicAt is the file of dynamic security at a listener.
func (c *Config) dynamicAt(l *Listener) string {
	for _, i := range l.Security.Plugins {
		if p := &c.Plugins[i]; p.Kind == DynamicSecurity {
			return p.Option("config_file")
		}
	}
	return ""
}

// offered are the ciphers of a list that there are here.
func offered(list string) (names []string) {
	for name := range strings.FieldsFuncSeq(list, func(c rune) bool { return c == ':' || c == ',' || c == ' ' }) {
		if known, _ := cipherSuites(name); len(known) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// differences are the names of the fields that two values of a type do not share.
func differences(a, b reflect.Value, path string) (list []string) {
	switch {
	case a.Kind() == reflect.Struct:
		for i := range a.NumField() {
			list = append(list, differences(a.Field(i), b.Field(i), strings.TrimPrefix(path+"."+a.Type().Field(i).Name, "."))...)
		}
	case a.Kind() == reflect.Slice && a.Len() == b.Len():
		for i := range a.Len() {
			list = append(list, differences(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", path, i))...)
		}
	case a.Kind() == reflect.Slice:
		return []string{path}
	case !a.Equal(b):
		return []string{path}
	}
	return list
}

// tomlWriter writes keys that are not as they are without them.
type tomlWriter struct {
	out  bytes.Buffer
	head string // of the table, written with its first key
}

func (w *tomlWriter) table(head string) { w.head = head }

func (w *tomlWriter) raw(key, value string) {
	if w.head != "" {
		fmt.Fprintf(&w.out, "\n%s\n", w.head)
		w.head = ""
	}
	fmt.Fprintf(&w.out, "%s = %s\n", key, value)
}

// literal writes a text for TOML, and for the reader, which expands ${NAME}.
func literal(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, c := range strings.ReplaceAll(s, "$", "$$") {
		switch {
		case c == '"' || c == '\\':
			out.WriteByte('\\')
			out.WriteRune(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&out, `\u%04X`, c)
		default:
			out.WriteRune(c)
		}
	}
	out.WriteByte('"')
	return out.String()
}

func (w *tomlWriter) text(key, s string) {
	if s != "" {
		w.raw(key, literal(s))
	}
}

func (w *tomlWriter) list(key string, list []string) {
	if len(list) == 0 {
		return
	}
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = literal(s)
	}
	w.raw(key, "["+strings.Join(words, ", ")+"]")
}

// amount writes a limit; negative ones are none.
func (w *tomlWriter) amount(key string, n int) {
	switch {
	case n < 0:
		w.raw(key, `"none"`)
	case n > 0:
		w.raw(key, strconv.Itoa(n))
	}
}

func (w *tomlWriter) number(key string, n, without int) {
	if n != without {
		w.raw(key, strconv.Itoa(n))
	}
}

func (w *tomlWriter) is(key string, v, without bool) {
	if v != without {
		w.raw(key, strconv.FormatBool(v))
	}
}

// span writes a time; negative ones are never.
func (w *tomlWriter) span(key string, d time.Duration) {
	switch {
	case d < 0:
		w.raw(key, `"never"`)
	case d > 0:
		w.raw(key, literal(d.String()))
	}
}

func (w *tomlWriter) general(c *Config) {
	w.text("data", c.storeDir())
	w.text("durability", c.Persistence.Durability)
	w.text("user", c.User)
	w.text("pid_file", c.PIDFile)
	w.span("sys_interval", c.SysInterval)
	w.is("no_delay", c.NoDelay, false)
	w.is("control", !c.NoControl, true)
	if c.LocalOnly {
		w.table("[users]")
		w.users(c, &c.Listeners[0])
	}
	w.limits(&c.Limits)
	w.log(&c.Log)
}

// users writes who may connect at a listener.
func (w *tomlWriter) users(c *Config, l *Listener) {
	s := &l.Security
	w.is("anonymous", s.AllowAnonymous, c.LocalOnly)
	w.text("passwords", s.PasswordFile)
	w.text("acl", s.ACLFile)
	w.text("dynamic_security", c.dynamicAt(l))
	w.is("empty_client_id", !s.RefuseEmptyClientID, true)
	w.text("auto_id_prefix", s.AutoIDPrefix)
}

func (w *tomlWriter) limits(l *Limits) {
	w.table("[limits]")
	w.amount("inflight_messages", l.MaxInflightMessages)
	w.amount("inflight_bytes", l.MaxInflightBytes)
	w.amount("queued_messages", l.MaxQueuedMessages)
	w.amount("queued_bytes", l.MaxQueuedBytes)
	if l.DropOldest {
		w.text("queue_full", dropOldest)
	}
	w.amount("packet_bytes", l.MaxPacketSize)
	w.amount("payload_bytes", l.MessageSizeLimit)
	w.amount("http_header_bytes", l.HTTPHeader)
	w.amount("sessions", l.MaxClients)
	w.amount("connections", l.MaxConnections)
	w.amount("memory", l.Memory)
	w.span("keep_alive", l.MaxKeepAlive)
	w.span("session_expiry", l.PersistentClientExpiration)
	w.span("retained_expiry", l.RetainExpiry)
	w.is("queue_qos0", l.QueueQoS0, false)
	w.is("retained", !l.NoRetain, true)
	w.is("check_retained", !l.TrustRetained, true)
	w.is("upgrade_outgoing_qos", l.UpgradeOutgoingQoS, false)
	w.text("client_id_prefix", l.ClientIDPrefix)
}

func (w *tomlWriter) log(l *Log) {
	w.table("[log]")
	var to []string
	for _, d := range []struct {
		name string
		on   bool
	}{{"stdout", l.Stdout}, {"stderr", l.Stderr}, {"syslog", l.Syslog}, {"topic", l.Topic}} {
		if d.on {
			to = append(to, d.name)
		}
	}
	if f := l.File; f != "" {
		if !strings.Contains(f, "/") {
			f = "./" + f
		}
		to = append(to, f)
	}
	if len(to) == 0 {
		to = []string{"none"}
	}
	w.list("to", to)
	w.list("types", typeNames(l.Types))
	w.number("facility", l.Facility, -1)
	w.is("timestamps", !l.NoTimestamp, true)
	if l.TimestampFormat != ForPeople {
		w.raw("timestamp_format", literal(l.TimestampFormat))
	}
	if l.JSON {
		w.text("format", "json")
	}
	w.is("connections", !l.NoConnections, true)
}

// typeNames are the words for a set of kinds; none for the default.
func typeNames(t LogType) (names []string) {
	switch t {
	case LogDefault:
		return nil
	case LogNone:
		return []string{"none"}
	case LogAll:
		return []string{"all"}
	}
	for i, name := range []string{"error", "warning", "notice", "information", "debug", "subscribe", "unsubscribe", "websockets", "internal"} {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

func (w *tomlWriter) listener(c *Config, l *Listener) {
	w.table("[[listener]]")
	address := l.Address()
	if l.UnixPath != "" {
		address = "unix:" + l.UnixPath
	}
	w.text("address", address)
	w.users(c, l)
	if l.Protocol != MQTT {
		w.text("protocol", string(l.Protocol))
	}
	w.text("device", l.Interface)
	w.number("ip", map[string]int{"ipv4": 4, "ipv6": 6}[l.Family], 0)
	w.text("mount_point", l.MountPoint)
	w.amount("connections", l.MaxConnections)
	w.number("qos", int(l.MaxQoS), 2)
	w.amount("topic_aliases", l.MaxTopicAlias)
	w.amount("topic_aliases_out", l.MaxTopicAliasOut)
	if len(l.RefuseVersions) > 0 {
		var versions []string
		for _, v := range []byte{3, 4, 5} {
			if !slices.Contains(l.RefuseVersions, v) {
				versions = append(versions, strconv.Itoa(int(v)))
			}
		}
		w.raw("versions", "["+strings.Join(versions, ", ")+"]")
	}
	w.number("proxy_protocol", l.ProxyProtocol, 0)
	w.is("proxy_require_tls", l.ProxyRequireTLS, false)
	w.list("origins", l.Origins)
	w.text("files", l.HTTPDir)
	switch {
	case l.IdentityAsUsername:
		w.text("user_from", "certificate-name")
	case l.SubjectAsUsername:
		w.text("user_from", "certificate-subject")
	}
	w.is("user_is_client_id", l.UsernameAsClientID, false)
	w.tls(&l.TLS)
}

func (w *tomlWriter) tls(t *TLS) {
	w.table("[listener.tls]")
	w.text("certificate", t.CertFile)
	w.text("key", t.KeyFile)
	w.text("client_ca", t.CAFile)
	w.text("client_ca_directory", t.CAPath)
	w.text("revoked", t.CRLFile)
	w.is("require_client_certificate", t.RequireCertificate, false)
	w.is("ignore_client_dates", t.IgnoreDates, false)
	if t.MinVersion == "tlsv1.3" {
		w.text("version", "1.3")
	}
	w.list("ciphers", offered(t.Ciphers))
	w.list("alpn", t.ALPN)
}

func (w *tomlWriter) bridge(b *Bridge) {
	w.table("[[bridge]]")
	w.text("name", b.Name)
	var addresses []string
	for _, a := range b.Addresses {
		addresses = append(addresses, net.JoinHostPort(a.Host, strconv.Itoa(a.Port)))
	}
	w.list("addresses", addresses)
	w.text("version", map[byte]string{3: "3.1", 4: "3.1.1", 5: "5.0"}[b.Version])
	w.is("clean_start", b.CleanStart, false)
	w.is("local_clean_start", b.LocalCleanStart, b.CleanStart)
	w.span("session_expiry", b.SessionExpiry)
	w.number("receive_maximum", b.ReceiveMaximum, 0)
	w.span("keep_alive", b.KeepAlive)
	w.text("start", b.Start)
	w.is("round_robin", b.RoundRobin, false)
	w.is("notifications", b.Notifications, true)
	w.is("notifications_local_only", b.LocalNotify, false)
	w.text("notification_topic", b.NotifyTopic)
	w.is("outgoing_retain", b.OutgoingRetain, true)
	w.is("try_private", b.TryPrivate, true)
	w.is("unsubscribe", b.Unsubscribe, true)
	w.number("max_hops", b.MaxHops, 0)
	w.number("outgoing_rate", b.Rate, 0)
	w.is("live_first", b.LiveFirst, false)
	w.amount("queue_messages", b.QueueMessages)
	w.amount("queue_bytes", b.QueueBytes)
	w.span("queue_expiry", b.QueueExpiry)
	w.number("threshold", b.Threshold, 10)
	w.span("idle_timeout", b.IdleTimeout)
	if b.Restart != newBridge("", Pos{}).Restart {
		w.span("pause_min", b.Restart.Base)
		w.span("pause_max", b.Restart.Cap)
		w.span("pause_stable", b.Restart.Stable)
	}
	w.number("packet_bytes", b.MaxPacketSize, 0)
	w.text("bind_address", b.BindAddress)
	w.span("tcp_user_timeout", b.UserTimeout)
	if k := b.TCPKeepAlive; k != (TCPKeepAlive{}) {
		w.raw("tcp_keep_alive", fmt.Sprintf("{idle = %q, interval = %q, count = %d}", k.Idle, k.Interval, k.Count))
	}
	w.account("[bridge.remote]", b.RemoteClientID, b.RemoteUsername, b.RemotePassword)
	w.account("[bridge.local]", b.LocalClientID, b.LocalUsername, b.LocalPassword)
	w.bridgeTLS(&b.TLS)
	for _, t := range b.Topics {
		w.table("[[bridge.topic]]")
		w.raw("pattern", literal(t.Pattern))
		w.text("direction", string(t.Direction))
		w.number("qos", int(t.QoS), 0)
		w.text("local_prefix", t.LocalPrefix)
		w.text("remote_prefix", t.RemotePrefix)
	}
}

func (w *tomlWriter) bridgeTLS(t *BridgeTLS) {
	if !t.On() {
		return
	}
	w.table("[bridge.tls]")
	w.is("insecure", t.Insecure, !t.Insecure) // the table itself switches TLS on
	w.text("ca", t.CAFile)
	w.text("ca_directory", t.CAPath)
	w.text("certificate", t.CertFile)
	w.text("key", t.KeyFile)
	if t.MinVersion == "tlsv1.3" {
		w.text("version", "1.3")
	}
	w.list("ciphers", offered(t.Ciphers))
	w.text("alpn", t.ALPN)
	w.is("require_ocsp", t.RequireOCSP, false)
}

func (w *tomlWriter) account(head, id, user, password string) {
	w.table(head)
	w.text("client_id", id)
	w.text("user", user)
	w.text("password", password)
}
