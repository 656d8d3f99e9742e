package config

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const bridgeHead = "connection b\naddress 127.0.0.1\ntopic #\n"

// Lines that are refused: the error names the line, the word and a fix.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		word string
		msg  string
	}{
		{"foo bar", 1, "foo", "unknown keyword"},
		{"listner 1883", 1, "listner", "unknown keyword"},
		{"listener\t1883", 1, "listener\t1883", "unknown keyword"},
		{" # comment", 1, "#", "unknown keyword"},
		{"\ufeffport 1883", 1, "\ufeffport", "unknown keyword"},
		{"port=1883", 1, "port=1883", "unknown keyword"},
		{"\nallow_anonymous yes", 2, "allow_anonymous", "neither true nor false"},
		{"allow_anonymous", 1, "allow_anonymous", "no value"},
		{"listener", 1, "listener", "no value"},
		{"listener abc", 1, "listener", "not a number"},
		{"listener 70000", 1, "listener", "out of range"},
		{"listener 0", 1, "listener", "without the path of a Unix socket"},
		{"port 0", 1, "port", "out of range"},
		{"max_queued_messages abc", 1, "max_queued_messages", "not a number"},
		{"max_inflight_messages 70000", 1, "max_inflight_messages", "out of range"},
		{"max_packet_size 19", 1, "max_packet_size", "out of range"},
		{"max_keepalive 65536", 1, "max_keepalive", "out of range"},
		{"max_qos 3", 1, "max_qos", "out of range"},
		{"message_size_limit 268435456", 1, "message_size_limit", "out of range"},
		{"memory_limit -1", 1, "memory_limit", "out of range"},
		{"sys_interval -1", 1, "sys_interval", "out of range"},
		{"log_dest foo", 1, "log_dest", "not known here"},
		{"log_dest file", 1, "log_dest", "no value"},
		{"log_dest file a\nlog_dest file b", 2, "log_dest", "a second log file"},
		{"log_type foo", 1, "log_type", "not known here"},
		{"log_facility 8", 1, "log_facility", "out of range"},
		{"persistent_client_expiration 1x", 1, "persistent_client_expiration", "not a time"},
		{"persistent_client_expiration 0d", 1, "persistent_client_expiration", "not a time"},
		{"persistent_client_expiration d", 1, "persistent_client_expiration", "not a time"},
		{"retain_expiry_interval 0", 1, "retain_expiry_interval", "out of range"},
		{"pid_file a\npid_file b", 2, "pid_file", "given twice, first at test.conf:1"},
		{"pid_file a\xff", 1, "pid_file", "not UTF-8"},
		{"allow_anonymous true\nper_listener_settings true", 2, "per_listener_settings", "comes after"},
		{"listener 1\nmount_point a/+", 2, "mount_point", "not a topic name"},
		{"listener 1\nprotocol mqttsn", 2, "protocol", "not known here"},
		{"listener 1\nsocket_domain ipv5", 2, "socket_domain", "not known here"},
		{"listener 1\nmax_topic_alias 70000", 2, "max_topic_alias", "out of range"},
		{"listener 1\naccept_protocol_versions 4,6", 2, "accept_protocol_versions", "not a protocol version"},
		{"listener 1\nenable_proxy_protocol 3", 2, "enable_proxy_protocol", "out of range"},
		{"listener 1\ntls_version ssl3", 2, "tls_version", "not known here"},
		{"listener 1\ntls_engine_kpass_sha1 zz", 2, "tls_engine_kpass_sha1", "not a SHA-1"},
		{"enable_proxy_protocol 1", 1, "enable_proxy_protocol", "not after a listener"},
		{"listener 1\ncertfile a", 1, "listener :1", "certfile without keyfile"},
		{"listener 1\nkeyfile a", 1, "listener :1", "keyfile without certfile"},
		{"listener 1\ncafile a", 1, "listener :1", "nothing would be encrypted"},
		{"listener 1\nrequire_certificate true", 1, "listener :1", "nothing would be encrypted"},
		{"listener 1\ncertfile a\nkeyfile b\nrequire_certificate true", 1, "listener :1", "no client could connect"},
		{"listener 1\ncertfile a\nkeyfile b\npsk_hint x", 1, "listener :1", "both"},
		{"listener 1\ncertfile a\nkeyfile b\nenable_proxy_protocol 2", 1, "listener :1", "enable_proxy_protocol 2"},
		{"listener 1\nuse_subject_as_username true\nenable_proxy_protocol 2", 1, "listener :1", "enable_proxy_protocol 2"},
		{"plugin", 1, "plugin", "no value"},
		{"plugin_opt_x y", 1, "plugin_opt_x", "not after a plugin"},
		{"auth_plugin_deny_special_chars true", 1, "auth_plugin_deny_special_chars", "not after a plugin"},
		{"plugin_load a", 1, "plugin_load", "no name or no path"},
		{"plugin_load a b\nplugin_load a c", 2, "plugin_load", "a second plugin"},
		{"listener 1\nplugin_use a", 2, "plugin_use", "no plugin"},
		{"plugin /x/mosquitto_dynamic_security.so", 1, "", "is not told its file"},
		{"plugin /x/a.so\nplugin_opt_ x", 2, "plugin_opt_", "no name of the option"},
		{"include_dir x", 1, "include_dir", "cannot be included"},
		{"topic #", 1, "topic", "not within a bridge"},
		{"connection", 1, "connection", "no name"},
		{"connection b\naddress 127.0.0.1", 1, "connection b", "no topic"},
		{"connection b\ntopic #", 1, "connection b", "no address"},
		{bridgeHead + bridgeHead, 4, "connection", "a second bridge"},
		{bridgeHead + "address 127.0.0.2", 4, "address", "given twice"},
		{"connection b\naddress 127.0.0.1:0", 2, "address", "no valid port"},
		{"connection b\naddress", 2, "address", "no value"},
		{bridgeHead + "topic", 4, "topic", "no value"},
		{bridgeHead + "topic a foo", 4, "topic", "not a direction"},
		{bridgeHead + "topic a out 3", 4, "topic", "not a QoS"},
		{bridgeHead + "topic a out 1 l+ r/", 4, "topic", "is not a topic name"},
		{bridgeHead + "topic a#b", 4, "topic", "is not a topic filter"},
		{bridgeHead + `topic "" out 1 l ""`, 4, "topic", "an empty pattern"},
		{bridgeHead + `topic "a b`, 4, "topic", "quote is not closed"},
		{bridgeHead + "start_type manual", 4, "start_type", "not known here"},
		{bridgeHead + "keepalive_interval 70000", 4, "keepalive_interval", "out of range"},
		{bridgeHead + "restart_timeout 30 10", 4, "restart_timeout", "lower than the base"},
		{bridgeHead + "bridge_protocol_version 5", 4, "bridge_protocol_version", "not known here"},
		{bridgeHead + "bridge_tcp_keepalive 1 2", 4, "bridge_tcp_keepalive", "no value"},
		{bridgeHead + "bridge_receive_maximum 0", 4, "bridge_receive_maximum", "out of range"},
		{bridgeHead + "bridge_psk aa", 1, "connection b", "without bridge_identity"},
		{bridgeHead + "bridge_identity aa", 1, "connection b", "without bridge_psk"},
		{bridgeHead + "bridge_cafile x\nbridge_identity x", 1, "connection b", "both"},
		{bridgeHead + "local_clientid x\nconnection c\naddress h\ntopic #\nlocal_clientid x", 5, "connection c", "the same local_clientid"},
	} {
		cfg, report, err := Parse(strings.NewReader(c.text), "test.conf", Options{})
		var e *Error
		if cfg != nil || !errors.As(err, &e) {
			t.Errorf("%q: accepted", c.text)
			continue
		}
		if e.Pos != (Pos{"test.conf", c.line}) || e.Word != c.word || !strings.Contains(e.Msg, c.msg) {
			t.Errorf("%q: %v", c.text, e)
		}
		if e.Fix == "" && c.msg != "unknown keyword" {
			t.Errorf("%q: no fix: %v", c.text, e)
		}
		if len(report.Entries) == 0 {
			t.Errorf("%q: nothing reported", c.text)
		}
	}
}

func TestSuggestions(t *testing.T) {
	for word, fix := range map[string]string{
		"listner": "did you mean listener?", "Allow_Anonymous": "did you mean allow_anonymous?", "pasword_file": "did you mean password_file?",
		"xyzzy": "", "port=1883": "write KEYWORD VALUE, with a space between",
	} {
		if e := unknown(Keywords(), word); e.Fix != fix {
			t.Errorf("%s: %q", word, e.Fix)
		}
	}
}

// All errors of a file are told, not the first alone.
func TestAllErrors(t *testing.T) {
	_, r, err := Parse(strings.NewReader("foo\nlistener 1883\nbar\nmax_qos 9\n"), "test.conf", Options{})
	var list Errors
	if !errors.As(err, &list) || len(list) != 3 || r.Count(Refused) != 3 || r.Count(Kept) != 1 || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v, %v", err, r.Entries)
	}
}

func TestFates(t *testing.T) {
	_, r := parse(t, strings.Join([]string{
		"autosave_interval 60", "persistence_file x", "max_qos 1", "listener 1883", "mount_point a", "mount_point b/", "ciphers HIGH:!aNULL",
		"ciphers ECDHE-RSA-AES128-GCM-SHA256:RC4-MD5", "plugin /usr/lib/own.so", "plugin_opt_secret hush", "log_dest dlt", "tls_version tlsv1.1",
	}, "\n"))
	want := []string{
		"test.conf:1: ignored: autosave_interval 60 (what was acknowledged is on disk already)",
		"test.conf:2: changed: persistence_file x (the database is a directory of its own; Mosquitto's file is left alone)",
		"test.conf:3: kept: max_qos 1 (no listener is above it in this file: it is about the default listener, port 1883)",
		"test.conf:4: kept: listener 1883",
		"test.conf:5: kept: mount_point a (it does not end with a slash: topic a becomes aa)",
		"test.conf:6: changed: mount_point b/ (replaces the value of test.conf:5; Mosquitto 2.0 refuses it)",
		"test.conf:7: changed: ciphers HIGH:!aNULL (none of these is offered here; the default list is used, all of it is safe)",
		"test.conf:8: changed: ciphers ECDHE-RSA-AES128-GCM-SHA256:RC4-MD5 (replaces the value of test.conf:7; Mosquitto 2.0 refuses it; not offered here: RC4-MD5)",
		"test.conf:9: ignored: plugin /usr/lib/own.so (plugins of Mosquitto are machine code for Mosquitto and cannot be loaded)",
		"test.conf:10: ignored: plugin_opt_secret *** (the plugin is not loaded)",
		"test.conf:11: ignored: log_dest dlt (there is no Diagnostic Log and Trace; use syslog or file)",
		"test.conf:12: changed: tls_version tlsv1.1 (the lowest version is 1.2; 1.1 is broken)",
	}
	for i, e := range r.Entries {
		if i < len(want) && e.String() != want[i] {
			t.Errorf("%s", e)
		}
	}
	if len(r.Entries) != len(want) {
		t.Errorf("%d entries", len(r.Entries))
	}
	r.Amend("mount_point", Ignored, "not yet")
	if r.Entries[4].Fate != Ignored || r.Entries[5].Why != "not yet" {
		t.Errorf("%v", r.Entries[4:6])
	}
}

// What would let in more clients than the file says must keep a broker from
// starting.
func TestRefusals(t *testing.T) {
	for text, n := range map[string]int{
		"listener 1\nplugin /x/own.so":                                       1,
		"listener 1\npsk_hint x\npsk_file y":                                 1,
		"listener 1\ncertfile a\nkeyfile b\ntls_keyform engine":              1,
		bridgeHead + "bridge_psk aa\nbridge_identity x":                      1,
		"plugin /x/mosquitto_dynamic_security.so\nplugin_opt_config_file /x": 0,
		"listener 1\nallow_anonymous true":                                   0,
	} {
		c, _ := parse(t, text)
		if got := c.Refusals(); len(got) != n {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestListeners(t *testing.T) {
	c, _ := parse(t, `per_listener_settings true
bind_address 10.0.0.1
port 1884
max_connections 7
password_file default.pw
listener 8883 broker.example
mount_point house/
max_qos 1
max_topic_alias 0
accept_protocol_versions 4, 5
use_username_as_clientid true
allow_zero_length_clientid false
auto_id_prefix house-
listener 0 /run/mqtt.sock
listener 9001 ::1
protocol websockets
socket_domain ipv6
bind_interface lo
websockets_origin https://a.example
websockets_origin https://b.example
http_dir /srv/www
enable_proxy_protocol 1
acl_file ws.acl
`)
	var got []string
	for i := range c.Listeners {
		got = append(got, c.Listeners[i].Network()+" "+c.Listeners[i].Address())
	}
	if want := []string{"tcp broker.example:8883", "unix /run/mqtt.sock", "tcp6 [::1]:9001", "tcp 10.0.0.1:1884"}; !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
	tls, ws, def := &c.Listeners[0], &c.Listeners[2], &c.Listeners[3]
	if tls.MountPoint != "house/" || tls.MaxQoS != 1 || tls.MaxTopicAlias != -1 || !slices.Equal(tls.RefuseVersions, []byte{3}) ||
		!tls.UsernameAsClientID || !tls.Security.RefuseEmptyClientID || tls.Security.AutoIDPrefix != "house-" || tls.Security.PasswordFile != "" {
		t.Errorf("%+v", tls)
	}
	if ws.Protocol != WebSocket || ws.Interface != "lo" || len(ws.Origins) != 2 || ws.HTTPDir != "/srv/www" || ws.ProxyProtocol != 1 ||
		ws.Security.ACLFile != "ws.acl" || ws.MaxQoS != 2 || ws.Pos.Line != 15 {
		t.Errorf("%+v", ws)
	}
	if def.MaxConnections != 7 || def.Security.PasswordFile != "default.pw" || c.LocalOnly {
		t.Errorf("%+v", def)
	}
}

// Without a listener in the file, the loopback addresses alone.
func TestLocalOnly(t *testing.T) {
	c, _ := parse(t, "max_connections 5")
	if len(c.Listeners) != 2 || c.Listeners[0].Address() != "127.0.0.1:1883" || c.Listeners[1].Address() != "[::1]:1883" || !c.Listeners[1].Optional || c.Listeners[0].MaxConnections != 5 {
		t.Errorf("%+v", c.Listeners)
	}
	c, _ = parse(t, "socket_domain ipv4")
	if len(c.Listeners) != 1 || c.Listeners[0].Network() != "tcp4" {
		t.Errorf("%+v", c.Listeners)
	}
}

func TestLimits(t *testing.T) {
	c, _ := parse(t, "max_inflight_messages 0\nmax_queued_messages 7\nmax_queued_bytes 0\nmax_keepalive 100\nsys_interval 0\nmemory_limit 0\nmessage_size_limit 9\nmax_packet_size 20\nglobal_max_clients -1\nretain_available false\npersistent_client_expiration 1m\nretain_expiry_interval 2\nqueue_qos0_messages 1\n")
	l := c.Limits
	want := Limits{MaxInflightMessages: -1, MaxQueuedMessages: 7, MaxQueuedBytes: -1, MaxKeepAlive: 100 * time.Second, Memory: -1, MessageSizeLimit: 9,
		MaxPacketSize: 20, MaxClients: -1, NoRetain: true, PersistentClientExpiration: 30 * 24 * time.Hour, RetainExpiry: 2 * time.Minute, QueueQoS0: true}
	if l != want || c.SysInterval != -1 {
		t.Errorf("%+v, %v", l, c.SysInterval)
	}
	c, _ = parse(t, "persistent_client_expiration 2000000000y")
	if c.Limits.PersistentClientExpiration <= 0 {
		t.Errorf("%v", c.Limits.PersistentClientExpiration)
	}
}

// The plugins that Mosquitto 2.1 brings are built in.
func TestPlugins(t *testing.T) {
	c, r := parse(t, `plugin_load pw /usr/lib/mosquitto_password_file.so
plugin_opt_password_file /etc/pw
plugin_load acl /usr/lib/mosquitto_acl_file.so
plugin_opt_acl_file /etc/acl
global_plugin /usr/lib/mosquitto_persist_sqlite.so
listener 1883
listener_allow_anonymous false
listener_auto_id_prefix x-
plugin_use pw
plugin_use acl
listener 1884
`)
	one, two := c.Listeners[0].Security, c.Listeners[1].Security
	if one.PasswordFile != "/etc/pw" || one.ACLFile != "/etc/acl" || one.AutoIDPrefix != "x-" || two.PasswordFile != "" || two.ACLFile != "" || !c.Persistence.Enabled {
		t.Errorf("%+v, %+v", one, two)
	}
	if r.Entries[0].Fate != Changed || len(c.Refusals()) != 0 {
		t.Errorf("%v", r.Entries[0])
	}
}

func TestBridge(t *testing.T) {
	c, _ := parse(t, `connection cloud
address a.example:8883 b.example [::1]:1884 # both
topic # both 2 local/ remote/
topic "with space/#" IN 1
topic "" out 0 here there
topic plain
remote_username u
remote_password p w
cleansession true
bridge_protocol_version mqttv50
keepalive_interval 2
restart_timeout 10 30
bridge_cafile ca.pem
bridge_tcp_keepalive 1 2 3
connection other
address c.example
topic a/+ out
local_cleansession true
restart_timeout 20
`)
	b := c.Bridges[0]
	if !slices.Equal(b.Addresses, []BridgeAddress{{"a.example", 8883}, {"b.example", 1883}, {"::1", 1884}}) {
		t.Errorf("%v", b.Addresses)
	}
	if want := []BridgeTopic{{"#", Both, 2, "local/", "remote/"}, {"with space/#", In, 1, "", ""}, {"", Out, 0, "here", "there"}, {"plain", Out, 0, "", ""}}; !slices.Equal(b.Topics, want) {
		t.Errorf("%v", b.Topics)
	}
	if b.Topics[0].Local() != "local/#" || b.Topics[2].Remote() != "there" {
		t.Errorf("%v", b.Topics)
	}
	if b.RemoteClientID != "host.cloud" || b.LocalClientID != "local.host.cloud" || b.RemotePassword != "p w" || !b.LocalCleanStart || b.Version != 5 ||
		b.KeepAlive != 5*time.Second || b.Restart != (Backoff{10 * time.Second, 30 * time.Second, 0}) || !b.TLS.On() || b.TCPKeepAlive.Count != 3 || !b.TryPrivate {
		t.Errorf("%+v", b)
	}
	if o := c.Bridges[1]; o.CleanStart || !o.LocalCleanStart || o.Restart != (Backoff{Base: 20 * time.Second}) || o.TLS.On() {
		t.Errorf("%+v", o)
	}
}

// mapFS serves include_dir.
func mapFS(m fstest.MapFS) Options {
	return Options{
		ReadFile: func(p string) ([]byte, error) { return fs.ReadFile(m, p) },
		ReadDir:  func(p string) ([]os.DirEntry, error) { return fs.ReadDir(m, p) },
	}
}

// Files of a directory are read in Mosquitto's order, each with a scope of its
// own; the main file goes on where it was.
func TestIncludeDir(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	m := fstest.MapFS{
		"d/b.conf": file("listener 6"), "d/A.conf": file("listener 3"), "d/01.conf": file("listener 2"), "d/a.conf": file("listener 4"),
		"d/B.conf": file("listener 5"), "d/00.conf": file("listener 1"), "d/.conf": file("bad"), "d/x.txt": file("bad"), "d/y.conf~": file("bad"),
		"e/one.conf": file("max_qos 1"), "bad/one.conf": file("\nfoo"), "nest/one.conf": file("include_dir d"), "empty/x": file(""),
	}
	c, r, err := Parse(strings.NewReader("listener 10\ninclude_dir d\nmax_qos 0\n"), "main.conf", mapFS(m))
	if err != nil {
		t.Fatal(err)
	}
	var ports []int
	for _, l := range c.Listeners {
		ports = append(ports, l.Port)
	}
	if !slices.Equal(ports, []int{10, 1, 2, 3, 4, 5, 6}) || c.Listeners[0].MaxQoS != 0 || c.Listeners[6].MaxQoS != 2 {
		t.Errorf("%v, %+v", ports, c.Listeners[0])
	}
	if len(r.Entries) != 9 || r.Entries[1].Keyword != "include_dir" || r.Entries[2].Pos != (Pos{"d/00.conf", 1}) || r.Entries[8].Pos != (Pos{"main.conf", 3}) {
		t.Errorf("%v", r.Entries)
	}
	// An included file does not see the main file's listener.
	if c, _, err = Parse(strings.NewReader("listener 10\ninclude_dir e\n"), "main.conf", mapFS(m)); err != nil || len(c.Listeners) != 2 || c.Listeners[1].Port != 1883 || c.Listeners[1].MaxQoS != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, r, err = Parse(strings.NewReader("include_dir empty"), "main.conf", mapFS(m)); err != nil || r.Entries[0].Why == "" {
		t.Errorf("%v, %v", r, err)
	}
	for text, want := range map[string]Pos{"include_dir none": {"main.conf", 1}, "\ninclude_dir bad": {"bad/one.conf", 2}, "include_dir nest": {"nest/one.conf", 1}, "include_dir": {"main.conf", 1}} {
		_, _, err := Parse(strings.NewReader(text), "main.conf", mapFS(m))
		var e *Error
		if !errors.As(err, &e) || e.Pos != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The table is whole: no name twice, everything explained.
func TestKeywords(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keywords() {
		if seen[k.Name] {
			t.Errorf("%s is twice in the table", k.Name)
		}
		seen[k.Name] = true
		if k.Help == "" || k.Type == "" || k.Scope == "" || k.set == nil || (k.Fate == Changed || k.Fate == Ignored) != (k.Why != "") {
			t.Errorf("%s: %+v", k.Name, k)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for _, path := range []string{"testdata/none.conf", "testdata"} {
		if _, _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%v", err)
		}
	}
}

// FuzzConfig: no input panics; what is accepted has listeners, each with a
// position, and every line of it one entry.
func FuzzConfig(f *testing.F) {
	for _, name := range []string{"testdata/three-listeners.conf", "testdata/durable.conf"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add(bridgeHead + "topic \"a b\" both 1 l/ r/\nrestart_timeout 1 2 3\n")
	f.Add("per_listener_settings true\nplugin_load a b\nlistener 1 h\nplugin_use a\nplugin_opt_x y\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, r, err := Parse(strings.NewReader(text), "fuzz.conf", Options{})
		lines := 0
		for line := range strings.Lines(text) {
			if line[0] != '#' && strings.Trim(strings.TrimRight(line, "\r\n"), " ") != "" {
				lines++
			}
		}
		if len(r.Entries) > lines {
			t.Errorf("%d entries for %d lines", len(r.Entries), lines)
		}
		if err != nil {
			if c != nil || err.Error() == "" {
				t.Errorf("%v with %v", c, err)
			}
			return
		}
		if len(c.Listeners) == 0 || len(r.Entries) != lines || r.Count(Refused) != 0 {
			t.Errorf("%d listeners, %d entries for %d lines", len(c.Listeners), len(r.Entries), lines)
		}
		c.Refusals()
	})
}
