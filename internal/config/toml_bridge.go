package config

import (
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

type tomlBridge struct {
	Name           string           `toml:"name"`
	Addresses      []string         `toml:"addresses"`
	Version        string           `toml:"version"`
	Remote         tomlAccount      `toml:"remote"`
	Local          tomlAccount      `toml:"local"`
	CleanStart     bool             `toml:"clean_start"`
	LocalClean     *bool            `toml:"local_clean_start"`
	SessionExpiry  lifetime         `toml:"session_expiry"` // at the other broker
	ReceiveMaximum int              `toml:"receive_maximum"`
	KeepAlive      lifetime         `toml:"keep_alive"`
	Start          string           `toml:"start"`
	RoundRobin     bool             `toml:"round_robin"`
	Notifications  *bool            `toml:"notifications"`
	NotifyLocal    bool             `toml:"notifications_local_only"`
	NotifyTopic    string           `toml:"notification_topic"`
	OutgoingRetain *bool            `toml:"outgoing_retain"`
	TryPrivate     *bool            `toml:"try_private"`
	Unsubscribe    *bool            `toml:"unsubscribe"` // from what only goes out
	MaxHops        int              `toml:"max_hops"`
	Rate           int              `toml:"outgoing_rate"`
	LiveFirst      bool             `toml:"live_first"`
	QueueMessages  *amount          `toml:"queue_messages"`
	QueueBytes     *amount          `toml:"queue_bytes"`
	QueueExpiry    lifetime         `toml:"queue_expiry"`
	Threshold      int              `toml:"threshold"`
	IdleTimeout    lifetime         `toml:"idle_timeout"`
	PauseMin       lifetime         `toml:"pause_min"`
	PauseMax       lifetime         `toml:"pause_max"`
	PauseStable    lifetime         `toml:"pause_stable"`
	MaxPacketSize  int              `toml:"packet_bytes"`
	BindAddress    string           `toml:"bind_address"`
	UserTimeout    lifetime         `toml:"tcp_user_timeout"`
	TCPKeepAlive   tomlTCPKeepAlive `toml:"tcp_keep_alive"`
	TLS            *tomlBridgeTLS   `toml:"tls"`
	Topic          []struct {
		Pattern   string    `toml:"pattern"`
		Direction Direction `toml:"direction"`
		QoS       int       `toml:"qos"`
		Local     string    `toml:"local_prefix"`
		Remote    string    `toml:"remote_prefix"`
	} `toml:"topic"`
}

type tomlTCPKeepAlive struct {
	Idle     lifetime `toml:"idle"`
	Interval lifetime `toml:"interval"`
	Count    int      `toml:"count"`
}

type tomlAccount struct {
	ClientID     string `toml:"client_id"`
	User         string `toml:"user"`
	Password     string `toml:"password"`
	PasswordFile string `toml:"password_file"`
}

type tomlBridgeTLS struct {
	CA          string   `toml:"ca"` // the system's if there is no directory either
	CADir       string   `toml:"ca_directory"`
	Certificate string   `toml:"certificate"`
	Key         string   `toml:"key"`
	Version     string   `toml:"version"`
	Ciphers     []string `toml:"ciphers"`
	ALPN        string   `toml:"alpn"`
	Insecure    bool     `toml:"insecure"`
	RequireOCSP bool     `toml:"require_ocsp"`
}

// tomlBridge applies a [[bridge]].
func (r *reader) tomlBridge(t *tomlBridge) {
	b := newBridge(t.Name, r.pos)
	switch {
	case t.Name == "":
		r.refuseKey("name", "a bridge without a name", `write name = "NAME"`)
	case slices.ContainsFunc(r.bridges, func(o *Bridge) bool { return o.Name == t.Name }):
		r.refuseKey("name", "a second bridge "+quote(t.Name), "give it another name")
	}
	for _, s := range t.Addresses {
		host, port, err := hostPort(s, map[bool]int{false: 1883, true: 8883}[t.TLS != nil])
		if err != nil || host == "" {
			r.refuseKey("addresses", quote(s)+" is not an address", `write "HOST" or "HOST:PORT"`)
		}
		b.Addresses = append(b.Addresses, BridgeAddress{host, port})
	}
	if t.Version != "" {
		if b.Version = map[string]byte{"3.1": 3, "3.1.1": 4, "5.0": 5}[t.Version]; b.Version == 0 {
			r.refuseKey("version", quote(t.Version)+" is not a version of MQTT", `write "3.1", "3.1.1" or "5.0"`)
		}
	}
	b.RemoteClientID, b.RemoteUsername, b.RemotePassword = t.Remote.ClientID, t.Remote.User, r.secret("remote", &t.Remote)
	b.LocalClientID, b.LocalUsername, b.LocalPassword = t.Local.ClientID, t.Local.User, r.secret("local", &t.Local)
	b.CleanStart, b.RoundRobin, b.BindAddress = t.CleanStart, t.RoundRobin, t.BindAddress
	if t.LocalClean != nil {
		b.LocalCleanStart, b.localCleanStated = *t.LocalClean, true
	}
	b.Notifications, b.LocalNotify, b.NotifyTopic = !no(t.Notifications), t.NotifyLocal, t.NotifyTopic
	b.OutgoingRetain, b.TryPrivate, b.Unsubscribe = !no(t.OutgoingRetain), !no(t.TryPrivate), !no(t.Unsubscribe)
	r.tomlBridgeLimits(t, &b)
	r.tomlBridgeTimes(t, &b)
	if t.Start != "" {
		b.Start = t.Start
		if !slices.Contains([]string{"automatic", "lazy", "once"}, t.Start) {
			r.refuseKey("start", quote(t.Start)+" is not known here", "write automatic, lazy or once")
		}
	}
	if t.TLS != nil {
		r.tomlBridgeTLS(t.TLS, &b.TLS)
	}
	r.tomlTopics(t, &b)
	r.bridges = append(r.bridges, &b)
}

// tomlBridgeLimits applies what bounds a bridge.
func (r *reader) tomlBridgeLimits(t *tomlBridge, b *Bridge) {
	for key, n := range map[string]int{"max_hops": t.MaxHops, "outgoing_rate": t.Rate, "threshold": t.Threshold, "packet_bytes": t.MaxPacketSize} {
		if n < 0 {
			r.refuseKey(key, "less than 0", "write 0 or more, or leave it out")
		}
	}
	b.MaxHops, b.Rate, b.LiveFirst, b.MaxPacketSize = t.MaxHops, t.Rate, t.LiveFirst, t.MaxPacketSize
	if t.Threshold != 0 {
		b.Threshold = t.Threshold
	}
	b.QueueMessages, b.QueueBytes, b.QueueExpiry = t.QueueMessages.value(), t.QueueBytes.value(), max(time.Duration(t.QueueExpiry), 0)
	if b.ReceiveMaximum = t.ReceiveMaximum; t.ReceiveMaximum < 0 || t.ReceiveMaximum > math.MaxUint16 {
		r.refuseKey("receive_maximum", "not a Receive Maximum", "write 1 to 65535")
	}
}

// tomlBridgeTimes applies how long a bridge waits for something.
func (r *reader) tomlBridgeTimes(t *tomlBridge, b *Bridge) {
	if t.KeepAlive != 0 {
		b.KeepAlive = min(max(time.Duration(t.KeepAlive), 5*time.Second), 65535*time.Second)
	}
	if t.IdleTimeout > 0 {
		b.IdleTimeout = time.Duration(t.IdleTimeout)
	}
	if t.PauseMin > 0 || t.PauseMax > 0 {
		b.Restart.Base, b.Restart.Cap = time.Duration(t.PauseMin), time.Duration(t.PauseMax)
	}
	b.Restart.Stable = max(time.Duration(t.PauseStable), 0)
	b.SessionExpiry, b.UserTimeout = max(time.Duration(t.SessionExpiry), 0), max(time.Duration(t.UserTimeout), 0)
	if k := t.TCPKeepAlive; k != (tomlTCPKeepAlive{}) {
		if k.Idle <= 0 || k.Interval <= 0 || k.Count < 1 {
			r.refuseKey("tcp_keep_alive", "not complete", `write {idle = "60s", interval = "10s", count = 5}`)
		}
		b.TCPKeepAlive = TCPKeepAlive{time.Duration(k.Idle), time.Duration(k.Interval), k.Count}
	}
}

// tomlBridgeTLS applies how a bridge encrypts.
func (r *reader) tomlBridgeTLS(t *tomlBridgeTLS, b *BridgeTLS) {
	*b = BridgeTLS{
		CAFile: t.CA, CAPath: t.CADir, OSCerts: t.CA+t.CADir == "", CertFile: t.Certificate, KeyFile: t.Key, ALPN: t.ALPN,
		Insecure: t.Insecure, RequireOCSP: t.RequireOCSP,
	}
	b.MinVersion, b.Ciphers = r.tomlTLS(t.Version, t.Ciphers)
}

// tomlTopics applies the topics of a bridge.
func (r *reader) tomlTopics(t *tomlBridge, b *Bridge) {
	for _, x := range t.Topic {
		bt := BridgeTopic{Pattern: x.Pattern, Direction: x.Direction, QoS: byte(x.QoS), LocalPrefix: x.Local, RemotePrefix: x.Remote}
		if bt.Direction == "" {
			bt.Direction = Out
		}
		msg, fix := bt.check()
		switch {
		case msg != "":
		case x.QoS < 0 || x.QoS > 2:
			msg, fix = "not a QoS", "write 0, 1 or 2"
		case !slices.Contains([]Direction{Out, In, Both}, bt.Direction):
			msg, fix = quote(string(bt.Direction))+" is not a direction", "write out, in or both"
		}
		if msg != "" {
			r.refuseKey("topic "+quote(x.Pattern), msg, fix)
		}
		b.Topics = append(b.Topics, bt)
	}
}

// secret is a password, or the first line of the file that holds it.
func (r *reader) secret(where string, a *tomlAccount) string {
	switch {
	case a.PasswordFile == "":
		return a.Password
	case a.Password != "":
		r.refuseKey(where+".password_file", "both password and password_file", "remove one")
		return ""
	case r.opts.ReadFile == nil:
		r.refuseKey(where+".password_file", "files cannot be read here", "write password")
		return ""
	}
	b, err := r.opts.ReadFile(a.PasswordFile)
	if err != nil {
		if os.IsNotExist(err) {
			r.refuseKey(where+".password_file", a.PasswordFile+" does not exist", "create it")
		} else {
			r.refuseKey(where+".password_file", cause(err).Error(), "make "+a.PasswordFile+" readable")
		}
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimRight(line, "\r")
}
