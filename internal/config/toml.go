package config

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// document is nightjar.toml: the same settings as mosquitto.conf, each said once,
// in one place, with one spelling. A listener's own security replaces that of
// [users], key by key.
type document struct {
	Data        string   `toml:"data"` // where sessions and messages are kept; "" is memory
	Durability  string   `toml:"durability"`
	User        string   `toml:"user"`
	PIDFile     string   `toml:"pid_file"`
	SysInterval lifetime `toml:"sys_interval"`
	NoDelay     bool     `toml:"no_delay"`
	Control     *bool    `toml:"control"`

	Users    tomlUsers      `toml:"users"`
	Limits   tomlLimits     `toml:"limits"`
	Log      tomlLog        `toml:"log"`
	Listener []tomlListener `toml:"listener"`
	Bridge   []tomlBridge   `toml:"bridge"`
}

type tomlUsers struct {
	Anonymous     *bool   `toml:"anonymous"`
	Passwords     *string `toml:"passwords"`        // path
	ACL           *string `toml:"acl"`              // path
	Dynamic       *string `toml:"dynamic_security"` // path
	EmptyClientID *bool   `toml:"empty_client_id"`
	AutoIDPrefix  *string `toml:"auto_id_prefix"`
}

type tomlLimits struct {
	InflightMessages   *amount  `toml:"inflight_messages"`
	InflightBytes      *amount  `toml:"inflight_bytes"`
	QueuedMessages     *amount  `toml:"queued_messages"`
	QueuedBytes        *amount  `toml:"queued_bytes"`
	QueueFull          string   `toml:"queue_full"` // drop-newest or drop-oldest
	PacketBytes        *amount  `toml:"packet_bytes"`
	PayloadBytes       *amount  `toml:"payload_bytes"`
	HTTPHeader         *amount  `toml:"http_header_bytes"`
	Sessions           *amount  `toml:"sessions"`
	UserSessions       *amount  `toml:"user_sessions"`
	Subscriptions      *amount  `toml:"subscriptions"` // of one client
	RetainedMessages   *amount  `toml:"retained_messages"`
	RetainedBytes      *amount  `toml:"retained_bytes"`
	ReceiveMaximum     *amount  `toml:"receive_maximum"`
	EnforceReceive     *bool    `toml:"enforce_receive_maximum"`
	ConnectRate        *amount  `toml:"connect_rate"` // a second, from one address
	Connections        *amount  `toml:"connections"`
	Memory             *amount  `toml:"memory"`
	KeepAlive          lifetime `toml:"keep_alive"`
	SessionExpiry      lifetime `toml:"session_expiry"`
	RetainedExpiry     lifetime `toml:"retained_expiry"`
	QueueQoS0          bool     `toml:"queue_qos0"`
	Retained           *bool    `toml:"retained"`
	CheckRetained      *bool    `toml:"check_retained"`
	UpgradeOutgoingQoS bool     `toml:"upgrade_outgoing_qos"`
	ClientIDPrefix     string   `toml:"client_id_prefix"`
}

type tomlLog struct {
	To              []string `toml:"to"` // stdout, stderr, syslog, topic or a path
	Types           []string `toml:"types"`
	Facility        *int     `toml:"facility"`
	Timestamps      *bool    `toml:"timestamps"`
	TimestampFormat *string  `toml:"timestamp_format"` // nil: for people; "" is mosquitto.conf without a format
	Format          string   `toml:"format"`           // text or json
	Connections     *bool    `toml:"connections"`
}

type tomlListener struct {
	tomlUsers
	Address        string   `toml:"address"` // host:port or unix:path
	Protocol       Protocol `toml:"protocol"`
	Device         string   `toml:"device"`
	IP             int      `toml:"ip"`
	MountPoint     string   `toml:"mount_point"`
	Connections    *amount  `toml:"connections"`
	QoS            *int     `toml:"qos"`
	TopicAliases   *amount  `toml:"topic_aliases"`
	AliasesOut     *amount  `toml:"topic_aliases_out"`
	Versions       []int    `toml:"versions"`
	Proxy          int      `toml:"proxy_protocol"`
	ProxyTLS       bool     `toml:"proxy_require_tls"`
	Origins        []string `toml:"origins"`
	Files          string   `toml:"files"`
	UserFrom       string   `toml:"user_from"` // certificate-name or certificate-subject
	UserIsClientID bool     `toml:"user_is_client_id"`
	TLS            tomlTLS  `toml:"tls"`
}

type tomlTLS struct {
	Certificate string   `toml:"certificate"`
	Key         string   `toml:"key"`
	ClientCA    string   `toml:"client_ca"`
	ClientCADir string   `toml:"client_ca_directory"`
	Revoked     string   `toml:"revoked"`
	Require     bool     `toml:"require_client_certificate"`
	IgnoreDates bool     `toml:"ignore_client_dates"`
	Version     string   `toml:"version"`
	Ciphers     []string `toml:"ciphers"`
	ALPN        []string `toml:"alpn"`
}

// amount is a limit: a number, a number with kB, MB, GB, kiB, MiB or GiB, or
// "none".
type amount int

// value is 0 for what was not said.
func (a *amount) value() int {
	if a == nil {
		return 0
	}
	return int(*a)
}

// UnmarshalText reads an amount.
func (a *amount) UnmarshalText(b []byte) error {
	s := strings.TrimSpace(string(b))
	if s == "none" {
		*a = -1
		return nil
	}
	unit := 1
	for _, u := range []struct {
		suffix string
		factor int
	}{{"kiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1000}, {"MB", 1e6}, {"GB", 1e9}} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(rest), u.factor
			break
		}
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 32)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not an amount: write a number above 0, such as 64MiB, or \"none\"", b)
	}
	*a = amount(n) * amount(unit)
	return nil
}

// lifetime is a time: as of time.ParseDuration, or a number with d, w, m (of 30
// days) or y, or "never".
type lifetime time.Duration

// UnmarshalText reads a lifetime.
func (l *lifetime) UnmarshalText(b []byte) error {
	s := strings.TrimSpace(string(b))
	if s == "never" || s == "none" {
		*l = -1
		return nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		*l = lifetime(d)
		return nil
	}
	if d, err := (&words{s}).lifetime(); err == nil && s[len(s)-1] != 'm' {
		*l = lifetime(d)
		return nil
	}
	return fmt.Errorf("%q is not a time: write for example 10s, 5m, 12h, 14d, 1y, or \"never\"", b)
}

// isTOML tells nightjar.toml from mosquitto.conf by the first line that says
// something: KEY = VALUE or [TABLE].
func isTOML(b []byte) bool {
	for line := range bytes.Lines(b) {
		s := strings.TrimSpace(string(line))
		if s == "" || s[0] == '#' {
			continue
		}
		key, _, ok := strings.Cut(s, "=")
		key = strings.TrimSpace(key)
		if s[0] == '[' || !ok || strings.ContainsAny(key, " \t") {
			return s[0] == '['
		}
		_, ours := tomlField(reflect.TypeFor[document](), key)
		return ours || find(Keywords(), key) == nil // else "port=1883": a mistake in a mosquitto.conf
	}
	return false
}

// toml reads a nightjar.toml.
func (r *reader) toml(name string, b []byte) {
	if b = r.expandTOML(name, b); len(r.errs) > 0 {
		return
	}
	var d document
	dec := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		r.tomlErrors(name, err)
		return
	}
	r.pos = Pos{File: name}
	r.checkAmounts(name, reflect.ValueOf(&d).Elem())
	if len(r.errs) > 0 {
		return
	}
	r.cfg.PerListener = true // every listener's security is said below
	r.general(&d)
	r.tomlLog(&d.Log)
	for i := range d.Listener {
		r.pos = Pos{File: name, Line: nthLine(b, "[[listener]]", i)}
		r.tomlListener(&d, &d.Listener[i])
	}
	for i := range d.Bridge {
		r.pos = Pos{File: name, Line: nthLine(b, "[[bridge]]", i)}
		r.tomlBridge(&d.Bridge[i])
	}
	if len(d.Listener) == 0 {
		r.ensureStandard().sec = r.merged(&d.Users, &tomlUsers{})
	}
}

// tomlErrors turns the decoder's errors into ours.
func (r *reader) tomlErrors(name string, err error) {
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) {
		for i := range missing.Errors {
			e := &missing.Errors[i]
			row, _ := e.Position()
			r.refuse(&Error{Pos: Pos{name, row}, Word: strings.Join(e.Key(), "."), Msg: "unknown key", Fix: tomlFix(e.Key())})
		}
		return
	}
	var e *toml.DecodeError
	if errors.As(err, &e) {
		row, _ := e.Position()
		r.refuse(&Error{Pos: Pos{name, row}, Word: strings.Join(e.Key(), "."), Msg: strings.TrimPrefix(e.Error(), "toml: "), Fix: "correct the value"})
		return
	}
	r.refuse(&Error{Pos: Pos{File: name}, Msg: err.Error()})
}

// tomlFix suggests the key of the same table that is most like an unknown one.
func tomlFix(key []string) string {
	t := reflect.TypeFor[document]()
	for _, k := range key[:max(len(key)-1, 0)] {
		f, ok := tomlField(t, k)
		if !ok {
			return ""
		}
		for t = f.Type; t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer; {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return ""
		}
	}
	var table []Keyword
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("toml"); name != "" {
			table = append(table, Keyword{Name: name})
		}
	}
	if near := nearest(table, key[len(key)-1]); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

func tomlField(t reflect.Type, key string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if f.Tag.Get("toml") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// nthLine returns the line of the nth table of an array.
func nthLine(b []byte, head string, n int) int {
	line := 0
	for l := range bytes.Lines(b) {
		line++
		if strings.HasPrefix(strings.Join(strings.Fields(string(l)), ""), head) {
			if n == 0 {
				return line
			}
			n--
		}
	}
	return 0
}

// checkAmounts refuses amounts that were written as numbers, which the decoder
// could not.
func (r *reader) checkAmounts(name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if a, ok := v.Interface().(*amount); ok && a != nil && *a < 1 && *a != -1 {
			r.refuse(&Error{Pos: Pos{File: name}, Word: strconv.Itoa(int(*a)), Msg: "not an amount", Fix: "write a number above 0, or \"none\""})
		} else if !v.IsNil() {
			r.checkAmounts(name, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			r.checkAmounts(name, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			r.checkAmounts(name, v.Field(i))
		}
	}
}

// hostPort takes an address apart; a missing port is the protocol's.
func hostPort(s string, standard int) (host string, port int, err error) {
	if !strings.Contains(s, ":") || strings.HasSuffix(s, "]") {
		s += ":" + strconv.Itoa(standard)
	}
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not HOST:PORT", s)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("%q is not a port", p)
	}
	return host, port, nil
}
