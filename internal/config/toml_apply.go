package config

import (
	"slices"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/topic"
)

// refuseKey refuses a key of nightjar.toml in the table being read.
func (r *reader) refuseKey(key, msg, fix string) {
	r.refuse(&Error{Pos: r.pos, Word: key, Msg: msg, Fix: fix})
}

// general applies what stands before the listeners.
func (r *reader) general(d *document) {
	c, l := r.cfg, &d.Limits
	r.tomlStore(d)
	c.User, c.PIDFile, c.NoDelay = d.User, d.PIDFile, d.NoDelay
	c.SysInterval, c.NoControl = time.Duration(d.SysInterval), no(d.Control)
	r.global = r.merged(&d.Users, &tomlUsers{})
	r.global.Plugins = nil // every listener has its own
	c.Limits = Limits{
		MaxInflightMessages: l.InflightMessages.value(), MaxInflightBytes: l.InflightBytes.value(),
		MaxQueuedMessages: l.QueuedMessages.value(), MaxQueuedBytes: l.QueuedBytes.value(), DropOldest: l.QueueFull == dropOldest,
		MaxPacketSize: l.PacketBytes.value(), MessageSizeLimit: l.PayloadBytes.value(),
		MaxClients: l.Sessions.value(), MaxConnections: l.Connections.value(), Memory: l.Memory.value(), HTTPHeader: l.HTTPHeader.value(),
		MaxUserClients: l.UserSessions.value(), MaxSubscriptions: l.Subscriptions.value(),
		MaxRetained: l.RetainedMessages.value(), MaxRetainedBytes: l.RetainedBytes.value(),
		ReceiveMaximum: l.ReceiveMaximum.value(), LenientReceive: no(l.EnforceReceive), ConnectRate: l.ConnectRate.value(),
		MaxKeepAlive:               time.Duration(l.KeepAlive),
		PersistentClientExpiration: max(time.Duration(l.SessionExpiry), 0), RetainExpiry: max(time.Duration(l.RetainedExpiry), 0),
		QueueQoS0: l.QueueQoS0, NoRetain: no(l.Retained), TrustRetained: no(l.CheckRetained),
		UpgradeOutgoingQoS: l.UpgradeOutgoingQoS, ClientIDPrefix: l.ClientIDPrefix,
	}
	if q := l.QueueFull; q != "" && q != dropNewest && q != dropOldest {
		r.refuseKey("limits.queue_full", quote(q)+" is not known here", "write drop-newest or drop-oldest")
	}
	if p := c.Limits.MaxPacketSize; p > 0 && p < 20 {
		r.refuseKey("limits.packet_bytes", "less than 20 bytes, too little for any client", "write 20 or more")
	}
	if c.Limits.MaxInflightMessages > 65535 {
		r.refuseKey("limits.inflight_messages", "more than 65535", "write less, or \"none\"")
	}
	if c.Limits.ReceiveMaximum > 65535 {
		r.refuseKey("limits.receive_maximum", "more than 65535", "write less, or \"none\"")
	}
}

// What limits.queue_full says.
const (
	dropNewest = "drop-newest"
	dropOldest = "drop-oldest"
)

// tomlStore applies data and durability.
func (r *reader) tomlStore(d *document) {
	r.cfg.Persistence = Persistence{Enabled: d.Data != "", Dir: d.Data, Own: true, Durability: d.Durability}
	switch d.Durability {
	case "":
	case "sync", "relaxed":
		if d.Data == "" {
			r.refuseKey("durability", "there is nothing to store without data", "name a directory with data, or leave durability out")
		}
	case "none":
		if d.Data != "" {
			r.refuseKey("durability", "nothing is written to data with \"none\"", "leave one of them out")
		}
	default:
		r.refuseKey("durability", quote(d.Durability)+" is not known here", "write sync, relaxed or none")
	}
}

func no(b *bool) bool { return b != nil && !*b }

// merged is the security of a listener: its own, else that of all.
func (r *reader) merged(all, own *tomlUsers) security {
	var s security
	for _, u := range []*tomlUsers{all, own} {
		if u.Anonymous != nil {
			s.anonymous = u.Anonymous
		}
		if u.Passwords != nil {
			s.PasswordFile = *u.Passwords
		}
		if u.ACL != nil {
			s.ACLFile = *u.ACL
		}
		if u.Dynamic != nil {
			s.Plugins = r.dynamicSecurity(*u.Dynamic)
		}
		if u.EmptyClientID != nil {
			s.RefuseEmptyClientID = !*u.EmptyClientID
		}
		if u.AutoIDPrefix != nil {
			s.AutoIDPrefix = *u.AutoIDPrefix
		}
	}
	return s
}

// dynamicSecurity returns the plugin that has a file; "" is none.
func (r *reader) dynamicSecurity(file string) []int {
	if file == "" {
		return nil
	}
	for i := range r.cfg.Plugins {
		if r.cfg.Plugins[i].Option("config_file") == file {
			return []int{i}
		}
	}
	r.cfg.Plugins = append(r.cfg.Plugins, Plugin{Pos: r.pos, Kind: DynamicSecurity, Options: []PluginOption{{"config_file", file}}})
	return []int{len(r.cfg.Plugins) - 1}
}

// tomlLog applies [log], with the words of mosquitto.conf.
func (r *reader) tomlLog(l *tomlLog) {
	log := &r.cfg.Log
	log.NoTimestamp, log.TimestampFormat, log.NoConnections = no(l.Timestamps), ForPeople, no(l.Connections)
	if l.TimestampFormat != nil {
		log.TimestampFormat = *l.TimestampFormat
	}
	log.JSON = l.Format == "json"
	if l.Format != "" && l.Format != "text" && l.Format != "json" {
		r.refuseKey("log.format", quote(l.Format)+" is not known here", "write text or json")
	}
	for _, to := range l.To {
		if strings.Contains(to, "/") {
			to = "file " + to
		}
		if err := logDest(r, &words{to}); err != nil {
			r.refuseKey("log.to", err.Msg, "write stdout, stderr, syslog, topic, none or the path of a file")
		}
	}
	for _, s := range l.Types {
		if err := logType(r, &words{s}); err != nil {
			r.refuseKey("log.types", err.Msg, err.Fix)
		}
	}
	if l.Facility != nil {
		if *l.Facility < 0 || *l.Facility > 7 {
			r.refuseKey("log.facility", "out of range", "write a number from 0 to 7")
		}
		log.Facility = *l.Facility
	}
}

// tomlListener applies a [[listener]].
func (r *reader) tomlListener(d *document, t *tomlListener) {
	l := newListener(r.pos)
	l.sec = r.merged(&d.Users, &t.tomlUsers)
	if t.Protocol != "" {
		l.Protocol = t.Protocol
	}
	if l.Protocol == "websocket" {
		l.Protocol = WebSocket
	}
	if !slices.Contains([]Protocol{MQTT, WebSocket, HTTPAPI}, l.Protocol) {
		r.refuseKey("protocol", quote(string(t.Protocol))+" is not known here", "write mqtt, websocket or http_api")
	}
	r.tomlAddress(l, t)
	l.Interface, l.MountPoint, l.HTTPDir, l.Origins = t.Device, t.MountPoint, t.Files, t.Origins
	l.MaxConnections, l.MaxTopicAlias, l.MaxTopicAliasOut = t.Connections.value(), t.TopicAliases.value(), t.AliasesOut.value()
	l.ProxyProtocol, l.ProxyRequireTLS, l.UsernameAsClientID = t.Proxy, t.ProxyTLS, t.UserIsClientID
	r.tomlRanges(l, t)
	switch t.UserFrom {
	case "":
	case "certificate-name":
		l.IdentityAsUsername = true
	case "certificate-subject":
		l.SubjectAsUsername = true
	default:
		r.refuseKey("user_from", quote(t.UserFrom)+" is not known here", "write certificate-name or certificate-subject")
	}
	l.TLS = TLS{
		CertFile: t.TLS.Certificate, KeyFile: t.TLS.Key, CAFile: t.TLS.ClientCA, CAPath: t.TLS.ClientCADir, CRLFile: t.TLS.Revoked,
		RequireCertificate: t.TLS.Require, IgnoreDates: t.TLS.IgnoreDates, ALPN: t.TLS.ALPN,
	}
	l.TLS.MinVersion, l.TLS.Ciphers = r.tomlTLS(t.TLS.Version, t.TLS.Ciphers)
	r.listeners = append(r.listeners, l)
	r.cfg.LocalOnly = false
}

// tomlTLS gives the words of mosquitto.conf for a version of TLS and a list of
// ciphers.
func (r *reader) tomlTLS(version string, ciphers []string) (least, list string) {
	switch version {
	case "", "1.2":
	case "1.3":
		least = "tlsv1.3"
	default:
		r.refuseKey("tls.version", quote(version)+" is not known here", `write "1.2" or "1.3"`)
	}
	list = strings.Join(ciphers, ":")
	if _, missing := cipherSuites(list); len(missing) > 0 {
		r.refuseKey("tls.ciphers", "not offered here: "+strings.Join(missing, ", "), "remove them")
	}
	return least, list
}

// tomlAddress reads HOST:PORT or unix:PATH. Without a port it is the standard
// one of what is spoken.
func (r *reader) tomlAddress(l *listener, t *tomlListener) {
	if path, ok := strings.CutPrefix(t.Address, "unix:"); ok && path != "" {
		l.UnixPath = path
		return
	}
	standard := map[bool]map[bool]int{false: {false: 1883, true: 8883}, true: {false: 9001, true: 9443}}[l.Protocol == WebSocket][t.TLS.Certificate != ""]
	var err error
	if l.Host, l.Port, err = hostPort(t.Address, standard); err != nil {
		r.refuseKey("address", err.Error(), `write "HOST:PORT", ":PORT" for every address, or "unix:PATH"`)
	}
}

func (r *reader) tomlRanges(l *listener, t *tomlListener) {
	switch t.IP {
	case 0:
	case 4, 6:
		l.Family = map[int]string{4: "ipv4", 6: "ipv6"}[t.IP]
	default:
		r.refuseKey("ip", "not a version of IP", "write 4 or 6")
	}
	if t.QoS != nil {
		if *t.QoS < 0 || *t.QoS > 2 {
			r.refuseKey("qos", "not a QoS", "write 0, 1 or 2")
		}
		l.MaxQoS = byte(*t.QoS)
	}
	if t.Proxy < 0 || t.Proxy > 2 {
		r.refuseKey("proxy_protocol", "not a version of the PROXY protocol", "write 1 or 2")
	}
	if len(t.Versions) > 0 {
		l.RefuseVersions = slices.DeleteFunc([]byte{3, 4, 5}, func(v byte) bool { return slices.Contains(t.Versions, int(v)) })
		if slices.ContainsFunc(t.Versions, func(v int) bool { return v < 3 || v > 5 }) {
			r.refuseKey("versions", "not a protocol version", "3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0")
		}
	}
	if t.MountPoint != "" && topic.ValidateName(t.MountPoint) != nil {
		r.refuseKey("mount_point", quote(t.MountPoint)+" is not a topic name", "write it without + and #")
	}
	if max(l.MaxTopicAlias, l.MaxTopicAliasOut) > 65535 {
		r.refuseKey("topic_aliases", "more than 65535", "write less")
	}
}
