package config

import (
	"strings"
	"testing"
	"time"
)

// parse reads a text that must be accepted.
func parse(t *testing.T, text string) (*Config, *Report) {
	t.Helper()
	c, r, err := Parse(strings.NewReader(text), "test.conf", Options{Hostname: "host"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return c, r
}

func TestLoadBenchmarks(t *testing.T) {
	for _, name := range []string{"testdata/three-listeners.conf", "testdata/durable.conf"} {
		c, r, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Listeners) != 3 || c.LocalOnly {
			t.Fatalf("%s: %d listeners, local only %v", name, len(c.Listeners), c.LocalOnly)
		}
		ws, tls := &c.Listeners[1], &c.Listeners[2]
		if ws.Protocol != WebSocket || ws.Address() != "127.0.0.1:8831" || !tls.TLS.On() || !tls.Security.AllowAnonymous {
			t.Errorf("%s: listeners %+v", name, c.Listeners)
		}
		l := c.Limits
		if l.MaxQueuedMessages != -1 || l.MaxQueuedBytes != -1 || l.MaxInflightMessages != 1000 || l.MaxInflightBytes != -1 {
			t.Errorf("%s: limits %+v", name, l)
		}
		if !c.NoDelay || !c.Log.NoConnections || c.Log.Types != LogError || !c.Log.Stderr || c.User != "root" {
			t.Errorf("%s: %+v", name, c)
		}
		if n := r.Count(Refused); n != 0 {
			t.Errorf("%s: %d lines refused", name, n)
		}
	}
	c, _, _ := Load("testdata/durable.conf")
	if !c.Persistence.Enabled || c.Persistence.Dir != "./" {
		t.Errorf("persistence %+v", c.Persistence)
	}
}

// The lines that most tutorials show.
func TestTutorial(t *testing.T) {
	c, r := parse(t, "# a comment\n\nlistener 1883\nallow_anonymous false\npassword_file /etc/mosquitto/pwfile\npersistence true\npersistence_location /var/lib/mosquitto/\nlog_dest file /var/log/mosquitto/mosquitto.log\r\npersistent_client_expiration 2w\n")
	l := &c.Listeners[0]
	if len(c.Listeners) != 1 || l.Address() != ":1883" || l.Network() != "tcp" || l.Security.AllowAnonymous || l.Security.PasswordFile != "/etc/mosquitto/pwfile" {
		t.Errorf("listeners %+v", c.Listeners)
	}
	if c.Log.File != "/var/log/mosquitto/mosquitto.log" || c.Log.Stderr || c.Log.Types != LogDefault {
		t.Errorf("log %+v", c.Log)
	}
	if c.Limits.PersistentClientExpiration != 14*24*time.Hour {
		t.Errorf("expiration %v", c.Limits.PersistentClientExpiration)
	}
	if len(r.Entries) != 7 || r.Count(Kept) != 7 || r.Entries[0].String() != "test.conf:3: kept: listener 1883" {
		t.Errorf("report %v", r.Entries)
	}
}

// Version 2: without a listener, this machine alone, without names; with one,
// nobody without a name unless it is said.
func TestAnonymous(t *testing.T) {
	for _, c := range []struct {
		text  string
		local bool
		allow []bool
	}{
		{"", true, []bool{true, true}},
		{"max_queued_messages 5", true, []bool{true, true}},
		{"max_connections 5", true, []bool{true, true}},
		{"allow_anonymous false", true, []bool{false, false}},
		{"listener 1883", false, []bool{false}},
		{"port 1883", false, []bool{false}},
		{"bind_address 10.0.0.1", false, []bool{false}},
		{"listener 1883\nallow_anonymous true\nlistener 1884", false, []bool{true, true}},
		{"allow_anonymous true\nlistener 1883", false, []bool{true}},
		{"allow_anonymous true\nlistener 1883\nlistener_allow_anonymous false\nlistener 1884", false, []bool{false, true}},
		{"per_listener_settings true\nlistener 1883\nallow_anonymous true\nlistener 1884", false, []bool{true, false}},
		{"per_listener_settings true\nallow_anonymous true\nlistener 1883", false, []bool{false}},
		{"per_listener_settings true\nallow_anonymous true", true, []bool{true, true}},
		{"per_listener_settings true\npassword_file p\nlistener 1884", false, []bool{false, false}},
		{"max_connections 5\nlistener 1884", false, []bool{false, false}},
	} {
		cfg, _ := parse(t, c.text)
		var allow []bool
		for _, l := range cfg.Listeners {
			allow = append(allow, l.Security.AllowAnonymous)
		}
		if cfg.LocalOnly != c.local || len(allow) != len(c.allow) {
			t.Errorf("%q: local %v, %d listeners", c.text, cfg.LocalOnly, len(allow))
			continue
		}
		for i := range allow {
			if allow[i] != c.allow[i] {
				t.Errorf("%q: anonymous %v, want %v", c.text, allow, c.allow)
			}
		}
	}
}
