package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// converted reads a mosquitto.conf, converts it and reads the result.
func converted(t *testing.T, text string) (was, is *Config, toml string) {
	t.Helper()
	was, _ = parse(t, text)
	b, err := Convert(was)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	is, _, err = Parse(strings.NewReader(string(b)), "nightjar.toml", Options{})
	if err != nil {
		t.Fatalf("%q became %s: %v", text, b, err)
	}
	return was, is, string(b)
}

// Every keyword is either the same in nightjar.toml, or there is an error that
// names it: nothing is lost.
func TestConvertEveryKeyword(t *testing.T) {
	values := map[string]string{
		"path": "/x y/$f\"", "true|false": "true", "seconds": "17", "number": "3", "bytes": "4096", "text": `a "b" $$ ${c} \d`, "name": "n", "device": "lo", "0 to 2": "1", "0 to 7": "6",
		"topic prefix": "m/$x", "topic": "state/x", "port": "4711", "milliseconds": "5", "address": "127.0.0.2", "time": "2w", "minutes": "90", "1|2": "1", "hex": strings.Repeat("ab", 20),
		"list of 3, 4, 5": "4,5", "ipv4|ipv6": "ipv6", "mqtt|websockets|http_api": "websockets", "pem|engine": "pem", "cipher:cipher": "ECDHE-RSA-AES128-GCM-SHA256:NONE",
		"tlsv1.3|tlsv1.2|tlsv1.1": "tlsv1.3", "none|stdout|stderr|syslog|topic|dlt|file PATH": "file log", "host[:port] ...": "[::1]:99 b",
		"mqttv31|mqttv311|mqttv50": "mqttv311", "base [cap [stable]]": "7 9 3", "automatic|lazy|once": "lazy", "lazy|immediate": "immediate", "idle interval count": "1 2 3",
		"pattern [out|in|both [qos [local-prefix [remote-prefix]]]]": "a/$b/# both 1 l/ r/", "number and s, h, d, w, m or y": "3h",
		"debug|error|warning|notice|information|subscribe|unsubscribe|websockets|internal|none|all": "debug", "port [address | path of a Unix socket]": "0 /run/x",
	}
	for _, k := range Keywords() {
		value, known := values[k.Type]
		switch {
		case k.Name == "connection", k.Name == "include_dir", k.Scope == OfPlugin, strings.Contains(k.Name, "plugin"), strings.Contains(k.Name, "psk"), k.Name == "bridge_identity":
			continue // not by themselves
		case !known:
			t.Errorf("%s: no value of type %q", k.Name, k.Type)
			continue
		case k.Type == bools && k.Default == "true":
			value = "false"
		}
		head := "listener 1000 127.0.0.1\ncertfile c\nkeyfile k\ncafile a\n"
		switch {
		case k.Name == "certfile" || k.Name == "keyfile" || k.Name == "cafile" || k.Name == "enable_proxy_protocol":
			head = "listener 1000\ncertfile c\nkeyfile k\n"
			if k.Name != "cafile" && k.Name[0] != 'e' {
				head = strings.Replace(head, k.Name, "cafile a\n#", 1)
			}
		case k.Name == "port" || k.Name == "bind_address":
			head = ""
		case k.Scope == OfBridge:
			head += "connection c\n"
			if !strings.HasPrefix(k.Name, "address") {
				head += "address h\n"
			}
			if k.Name != "topic" {
				head += "topic #\n"
			}
			if strings.HasPrefix(k.Name, "bridge_") && k.Name != "bridge_cafile" && k.Name != "bridge_tls_use_os_certs" {
				head += "bridge_cafile a\n"
			}
			if k.Name == "bridge_keyfile" {
				head += "bridge_certfile a\n"
			}
		}
		text := head + k.Name + " " + value + "\n"
		was, is, toml := converted(t, text)
		if !reflect.DeepEqual(canonical(was), canonical(is)) {
			t.Errorf("%q is not the same in\n%s", text, toml)
		}
	}
}

// Whole files, with what the listeners share and what they do not.
func TestConvert(t *testing.T) {
	for _, c := range []struct{ text, want, never string }{
		{"", "[log]\nto = [\"stderr\"]\n", "listener"},
		{"listener 1883\nallow_anonymous false\npassword_file /etc/mosquitto/pwfile\npersistence true\npersistence_location /var/lib/mosquitto/\n", `data = "/var/lib/mosquitto/nightjar"`, "anonymous"},
		{"allow_anonymous true\nlistener 1883 ::1\nlistener 0 /run/s\n", "address = \"[::1]:1883\"\nanonymous = true", "[users]"},
		{"password_file p\n", "[users]\npasswords = \"p\"", "[[listener]]"},
		{"per_listener_settings true\nlistener 1\nplugin /usr/lib/mosquitto_dynamic_security.so\nplugin_opt_config_file /d.json\nlistener 2\nacl_file a\n", "dynamic_security = \"/d.json\"", "[users]"},
		{"max_queued_messages 0\nlog_type none\nlog_dest none\n", "queued_messages = \"none\"", "[[listener]]"},
		{"listener 1\nconnection b\naddress h\ntopic # both 2\nremote_password a\"$x\nbridge_tls_use_os_certs true\n", `password = "a\"$$x"`, ""},
		{everyBridgeKeyword, "local_clean_start = true", ""},
	} {
		was, is, toml := converted(t, c.text)
		if !reflect.DeepEqual(canonical(was), canonical(is)) {
			t.Errorf("%q is not the same in\n%s", c.text, toml)
		}
		if !strings.Contains(toml, c.want) || c.never != "" && strings.Contains(toml, c.never) {
			t.Errorf("%q became\n%s", c.text, toml)
		}
	}
}

// everyBridgeKeyword has each that has an effect, and none at its default.
const everyBridgeKeyword = `listener 1
connection far
addresses one:1 [::1]:2
topic a/# both 2 l/ r/
topic "" in 1 x y
remote_clientid there
remote_username user
remote_password secret
local_clientid here
local_username me
local_password mine
cleansession false
local_cleansession true
notifications_local_only true
notification_topic state
try_private false
round_robin true
start_type lazy
threshold 3
idle_timeout 9
restart_timeout 2 8 30
keepalive_interval 20
bridge_protocol_version mqttv50
bridge_attempt_unsubscribe false
bridge_outgoing_retain false
bridge_max_hops 1
bridge_outgoing_rate 50
bridge_live_first true
bridge_queue_messages 10
bridge_queue_bytes 0
bridge_queue_expiry 2d
bridge_bind_address 127.0.0.2
bridge_max_packet_size 1000
bridge_receive_maximum 30
bridge_session_expiry_interval 3600
bridge_tcp_keepalive 60 10 5
bridge_tcp_user_timeout 1500
bridge_cafile ca.pem
bridge_capath dir
bridge_certfile c.pem
bridge_keyfile k.pem
bridge_tls_version tlsv1.3
bridge_ciphers ECDHE-RSA-AES128-GCM-SHA256
bridge_alpn mqtt
bridge_insecure true
bridge_require_ocsp true
bridge_reload_type immediate
bridge_max_topic_alias 5
bridge_mptcp true
notifications true
`

// The text is about all that there are.
func TestEveryBridgeKeyword(t *testing.T) {
	older := []string{"address", "clientid", "username", "password", "bridge_identity", "bridge_psk", "bridge_tls_use_os_certs", "bridge_ciphers_tls1.3"}
	for _, k := range Keywords() {
		if k.Scope == OfBridge && !strings.Contains(everyBridgeKeyword, "\n"+k.Name+" ") && !slices.Contains(older, k.Name) {
			t.Errorf("%s is missing", k.Name)
		}
	}
}

// What would be lost is an error that names it, and so is what no broker starts with.
func TestConvertRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"mount_point m/\n":                   "MountPoint",
		"listener 1\npsk_hint x\n":           "pre-shared keys",
		"listener 1\nplugin /x/unknown.so\n": "cannot be loaded",
	} {
		c, _ := parse(t, text)
		if b, err := Convert(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\n%s", text, err, b)
		}
	}
}

// FuzzConvert: whatever a mosquitto.conf says, nightjar.toml says the same, or
// there is an error.
func FuzzConvert(f *testing.F) {
	f.Add("persistence true\nlistener 1 ::1\nallow_anonymous true\nlog_dest topic\nlog_type all\nconnection b\naddress h:1\ntopic a/# both 1 x/ y/\n")
	f.Add("listener 1\nmax_qos 1\nmount_point a\x7f/\n")
	f.Fuzz(func(t *testing.T, text string) {
		if isTOML([]byte(text)) {
			return
		}
		c, _, err := Parse(strings.NewReader(text), "c", Options{})
		if err != nil {
			return
		}
		b, err := Convert(c)
		if err != nil {
			return
		}
		back, _, err := Parse(strings.NewReader(string(b)), "t", Options{})
		if err != nil || !reflect.DeepEqual(canonical(c), canonical(back)) {
			t.Errorf("%q became %s: %v", text, b, err)
		}
	})
}
