package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const sampleTOML = `# The house.
data = "/var/lib/nightjar"
durability = "relaxed"
user = "nightjar"
sys_interval = "30s"

[users]
passwords = "${CONF}/passwords"
acl = "${CONF}/acl"

[limits]
inflight_messages = 100
queued_messages = "none"
queued_bytes = "64MiB"
queue_full = "drop-oldest"
packet_bytes = "1 MB"
session_expiry = "14d"
keep_alive = "10m"
retained = false

[log]
to = ["stderr", "/var/log/nightjar.log"]
types = ["error", "debug"]
connections = false

[[listener]]
address = ":1883"

[[listener]]
address = "broker.example"
anonymous = true
acl = ""
mount_point = "guests/"
qos = 0
versions = [4, 5]
topic_aliases = "none"
user_from = "certificate-name"

[listener.tls]
certificate = "server.crt"
key = "server.key"
client_ca = "ca.pem"
require_client_certificate = true
version = "1.3"

[[listener]]
address = "[::1]"
protocol = "websocket"
ip = 6
origins = ["https://a.example"]

[[listener]]
address = "unix:/run/nightjar.sock"

[[bridge]]
name = "cloud"
addresses = ["a.example", "b.example:1"]
version = "5.0"
tls = { ca = "ca.pem" }
remote = { user = "u", password_file = "secret" }
topic = [{ pattern = "#", direction = "both", qos = 1, local_prefix = "l/", remote_prefix = "$$x/" }]
`

func parseTOML(text string) (*Config, *Report, error) {
	o := mapFS(fstest.MapFS{"secret": {Data: []byte("hush\nmore\n")}})
	o.Hostname = "host"
	o.Getenv = func(name string) (string, bool) {
		return map[string]string{"CONF": "/etc/nightjar"}[name], name == "CONF"
	}
	return Parse(strings.NewReader(text), "nightjar.toml", o)
}

func TestTOML(t *testing.T) {
	c, _, err := parseTOML(sampleTOML)
	if err != nil {
		t.Fatal(err)
	}
	if c.Persistence != (Persistence{Enabled: true, Dir: "/var/lib/nightjar", Own: true, Durability: "relaxed"}) || c.User != "nightjar" || c.SysInterval != 30*time.Second || c.LocalOnly {
		t.Errorf("%+v", c)
	}
	if want := (Limits{MaxInflightMessages: 100, MaxQueuedMessages: -1, MaxQueuedBytes: 64 << 20, DropOldest: true, MaxPacketSize: 1e6, PersistentClientExpiration: 14 * 24 * time.Hour, MaxKeepAlive: 10 * time.Minute, NoRetain: true}); c.Limits != want {
		t.Errorf("%+v", c.Limits)
	}
	if l := c.Log; !l.Stderr || l.File != "/var/log/nightjar.log" || l.Types != LogError|LogDebug || !l.NoConnections || l.Facility != -1 {
		t.Errorf("%+v", l)
	}
	var addrs []string
	for i := range c.Listeners {
		addrs = append(addrs, c.Listeners[i].Network()+" "+c.Listeners[i].Address())
	}
	if !slices.Equal(addrs, []string{"tcp :1883", "tcp broker.example:8883", "tcp6 [::1]:9001", "unix /run/nightjar.sock"}) {
		t.Errorf("%q", addrs)
	}
	one, two := &c.Listeners[0], &c.Listeners[1]
	if s := one.Security; s.AllowAnonymous || s.PasswordFile != "/etc/nightjar/passwords" || s.ACLFile != "/etc/nightjar/acl" || one.Pos.Line != 26 {
		t.Errorf("%+v", one)
	}
	if s := two.Security; !s.AllowAnonymous || s.PasswordFile != "/etc/nightjar/passwords" || s.ACLFile != "" {
		t.Errorf("%+v", s)
	}
	if two.MountPoint != "guests/" || two.MaxQoS != 0 || two.MaxTopicAlias != -1 || !two.IdentityAsUsername || !slices.Equal(two.RefuseVersions, []byte{3}) ||
		two.TLS.MinVersion != "tlsv1.3" || !two.TLS.RequireCertificate || one.MaxQoS != 2 {
		t.Errorf("%+v", two)
	}
	b := &c.Bridges[0]
	if !slices.Equal(b.Addresses, []BridgeAddress{{"a.example", 8883}, {"b.example", 1}}) || b.RemotePassword != "hush" || b.Version != 5 ||
		b.Topics[0] != (BridgeTopic{"#", Both, 1, "l/", "$x/"}) || b.LocalClientID != "local.host.cloud" || !b.TLS.On() {
		t.Errorf("%+v", b)
	}
}

// The quotas that mosquitto.conf has no words for.
func TestTOMLQuotas(t *testing.T) {
	c, _, err := parseTOML("[limits]\nuser_sessions = 1\nsubscriptions = 2\nretained_messages = 3\nretained_bytes = '4kB'\nreceive_maximum = 5\n" +
		"enforce_receive_maximum = false\nconnect_rate = 6\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := (Limits{MaxUserClients: 1, MaxSubscriptions: 2, MaxRetained: 3, MaxRetainedBytes: 4000, ReceiveMaximum: 5, LenientReceive: true, ConnectRate: 6}); c.Limits != want {
		t.Errorf("%+v", c.Limits)
	}
}

// Without listeners, this machine alone; what is said of users holds.
func TestTOMLLocalOnly(t *testing.T) {
	c, _, err := parseTOML("[users]\nacl = 'x'\n")
	if err != nil || !c.LocalOnly || len(c.Listeners) != 2 || !c.Listeners[0].Security.AllowAnonymous || c.Listeners[1].Security.ACLFile != "x" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestTOMLErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		word string
		msg  string
	}{
		{"[limits]\ninflight = 1", 2, "limits.inflight", "unknown key"},
		{"[[listener]]\naddres = ':1'", 2, "listener.addres", "unknown key"},
		{"data = 1", 1, "", "cannot decode"},
		{"data = 'a'\ndurability = 'often'", 0, "durability", "not known here"},
		{"durability = 'sync'", 0, "durability", "nothing to store"},
		{"data = 'a'\ndurability = 'none'", 0, "durability", "nothing is written"},
		{"data = 'a'\ndata = 'b'", 2, "", "already"},
		{"data =", 1, "", ""},
		{"[limits]\n\nmemory = 'lots'", 3, "", "not an amount"},
		{"[limits]\nreceive_maximum = 65536", 0, "limits.receive_maximum", "more than 65535"},
		{"[limits]\nmemory = 0", 0, "0", "not an amount"},
		{"[limits]\nsession_expiry = 'soon'", 2, "", "not a time"},
		{"[limits]\nqueue_full = 'drop'", 0, "limits.queue_full", "not known"},
		{"[limits]\npacket_bytes = 5", 0, "limits.packet_bytes", "less than 20"},
		{"[users]\n\nacl = '${NONE}'", 3, "${NONE}", "no such variable"},
		{"[log]\nto = ['x']", 0, "log.to", "not known here"},
		{"[log]\nfacility = 9", 0, "log.facility", "out of range"},
		{"\n[[listener]]\naddress = 'h:x'", 2, "address", "not a port"},
		{"[[listener]]\naddress=':1'\n[[listener]]\naddress=':2'\nprotocol='sn'", 3, "protocol", "not known here"},
		{"[[listener]]\nqos = 3", 1, "qos", "not a QoS"},
		{"[[listener]]\nip = 5", 1, "ip", "not a version"},
		{"[[listener]]\nversions = [2]", 1, "versions", "not a protocol version"},
		{"[[listener]]\nmount_point = '#'", 1, "mount_point", "not a topic name"},
		{"[[listener]]\nproxy_protocol = 3", 1, "proxy_protocol", "not a version"},
		{"[[listener]]\nuser_from = 'x'", 1, "user_from", "not known here"},
		{"[[listener]]\ntls.version = '1.1'", 1, "tls.version", "not known here"},
		{"[[listener]]\ntls.ciphers = ['RC4']", 1, "tls.ciphers", "not offered here"},
		{"[[listener]]\ntls.certificate = 'x'", 1, "listener :8883", "certfile without keyfile"},
		{"[[bridge]]\nname = 'b'", 1, "connection b", "no address"},
		{"[[bridge]]", 1, "name", "without a name"},
		{"[[bridge]]\nname='b'\ntcp_keep_alive={idle='1m'}", 1, "tcp_keep_alive", "not complete"},
		{"[[bridge]]\nname='b'\nreceive_maximum=65536", 1, "receive_maximum", "not a Receive Maximum"},
		{"[[bridge]]\nname='b'\ntls={version='1.1'}", 1, "tls.version", "not known"},
		{"[[bridge]]\nname='b'\ntls={ciphers=['RC4']}", 1, "tls.ciphers", "not offered here"},
		{"[[bridge]]\nname='b'\nversion='4'", 1, "version", "not a version"},
		{"[[bridge]]\nname='b'\nremote={password='x',password_file='secret'}", 1, "remote.password_file", "both"},
		{"[[bridge]]\nname='b'\nremote={password_file='none'}", 1, "remote.password_file", "does not exist"},
		{"[[bridge]]\nname='b'\ntopic=[{pattern='a#'}]", 1, `topic "a#"`, "not a topic filter"},
		{"[[bridge]]\nname='b'\ntopic=[{pattern='a',qos=300}]", 1, `topic "a"`, "not a QoS"},
		{"[[bridge]]\nname='b'\ntopic=[{pattern='a',direction='up'}]", 1, `topic "a"`, "not a direction"},
	} {
		cfg, _, err := parseTOML(c.text)
		var e *Error
		if cfg != nil || !errors.As(err, &e) {
			t.Errorf("%q: accepted, %v", c.text, err)
			continue
		}
		if e.Pos != (Pos{"nightjar.toml", c.line}) || c.word != "" && e.Word != c.word || !strings.Contains(e.Msg, c.msg) {
			t.Errorf("%q: %v", c.text, e)
		}
	}
	_, _, err := parseTOML("[[listener]]\naddres = ':1'")
	if err == nil || !strings.Contains(err.Error(), "did you mean address?") {
		t.Errorf("%v", err)
	}
}

// The two formats are told apart by what is in the file.
func TestIsTOML(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "# only\n": false, "listener 1883": false, "remote_password = x": false, "port=1883": false, "pid_file = 'x'": true,
		"\n# c\n [users]": true, "data = 'x'": true, "allow_anonymous true\n[x]": false, "topic a=b": false, "dtaa = 'x'": true,
	} {
		if isTOML([]byte(text)) != want {
			t.Errorf("%q is TOML: %v", text, !want)
		}
	}
}

// Variables may be amounts, times and items of lists too; whatever is in them, it
// is one text, and the lines behind it keep their numbers.
func TestTOMLVariables(t *testing.T) {
	env := map[string]string{"BYTES": "2MiB", "DAYS": "14", "HARD": "a\"b\\c\n[[listener]]\x7f'ä", "LOG": "stdout", "SECRET": "secret", "BYTE": "\xff"}
	parse := func(text string) (*Config, error) {
		o := mapFS(fstest.MapFS{"secret": {Data: []byte("hush\n")}})
		o.Getenv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
		c, _, err := Parse(strings.NewReader(text), "nightjar.toml", o)
		return c, err
	}
	c, err := parse(`user = "${HARD}" # ${NOT}
[limits]
queued_bytes = "${BYTES}"
session_expiry = '${DAYS}d'
[log]
to = ["${LOG}", """
/${LOG}
"""]
[[bridge]]
name = "b"
addresses = ["h"]
topic = [{ pattern = "a" }]
remote = { user = "$$u", password_file = "${SECRET}" }
`)
	if err != nil {
		t.Fatal(err)
	}
	if c.User != env["HARD"] || c.Limits.MaxQueuedBytes != 2<<20 || c.Limits.PersistentClientExpiration != 14*24*time.Hour || !c.Log.Stdout || c.Log.File != "/stdout\n" {
		t.Errorf("%+v", c)
	}
	if b := c.Bridges[0]; b.RemoteUsername != "$u" || b.RemotePassword != "hush" || b.Pos.Line != 9 {
		t.Errorf("%+v", b)
	}
	for text, want := range map[string]string{
		"[limits]\nqueued_bytes = '${DAYS}x'":                    `nightjar.toml:2: limits.queued_bytes: "14x" is not an amount`,
		"[limits]\nqueued_bytes = '${NO}'":                       "nightjar.toml:2: ${NO}: the environment has no such variable",
		"[limits]\n# ${NO}\nsession_expiry = '${NO}'":            "nightjar.toml:3: ${NO}: the environment has no such variable",
		"data = '${LOG}'\n[limits]\nsession_expiry = '${BYTES}'": "nightjar.toml:3:",
		"data = '${LOG}": "nightjar.toml:1:",
	} {
		if _, err := parse(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func TestExpandText(t *testing.T) {
	env := func(name string) (string, bool) { return "<" + name + ">", name != "NO" }
	for in, want := range map[string]string{"": "", "a": "a", "${A}/b${C}": "<A>/b<C>", "$$": "$", "$${A}": "${A}", "$A": "$A", "${A": "${A", "a$": "a$"} {
		if got, unset := expandText(in, env); got != want || unset != "" {
			t.Errorf("%q: %q, %q", in, got, unset)
		}
	}
	if _, unset := expandText("x${NO}", env); unset != "NO" {
		t.Errorf("%q", unset)
	}
	if _, unset := expandText("${A}", nil); unset != "A" {
		t.Errorf("%q", unset)
	}
}

// FuzzTOML: no input panics, and what is accepted has listeners.
func FuzzTOML(f *testing.F) {
	f.Add(sampleTOML)
	f.Add("[[bridge]]\nname='b'\naddresses=['[::1]:1']\ntopic=[{pattern=''}]")
	f.Fuzz(func(t *testing.T, text string) {
		if !isTOML([]byte(text)) {
			return
		}
		c, _, err := parseTOML(text)
		if (c == nil) != (err != nil) || err == nil && len(c.Listeners) == 0 {
			t.Errorf("%v, %v", c, err)
		}
	})
}

// Times in the log are for people, unless mosquitto.conf or the file says otherwise.
func TestTimestampFormat(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   ForPeople,
		"[log]\ntimestamp_format = \"\"\n":   "",
		"[log]\ntimestamp_format = \"%H\"\n": "%H",
	} {
		path := filepath.Join(t.TempDir(), "nightjar.toml")
		if err := os.WriteFile(path, []byte("[[listener]]\naddress = \"127.0.0.1:1883\"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := Load(path)
		if err != nil || c.Log.TimestampFormat != want {
			t.Errorf("%q: format %q, %v, want %q", text, c.Log.TimestampFormat, err, want)
		}
	}
}
