package config

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

// accepts reports whether the real broker starts with a configuration.
func accepts(t *testing.T, bin, text string) bool {
	t.Helper()
	port := mosquittotest.Port(t)
	path := filepath.Join(t.TempDir(), "mosquitto.conf")
	text = "listener " + port + " 127.0.0.1\n" + text + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-c", path)
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	defer func() {
		cmd.Process.Kill()
		<-ended
	}()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("%q: mosquitto neither starts nor ends", text)
	return false
}

// What Mosquitto 2.0 refuses is refused, what it accepts is accepted. The second
// list holds the differences, each on purpose.
func TestAgainstMosquitto(t *testing.T) {
	bin := mosquittotest.Program(t, "mosquitto")
	same := strings.Split(strings.TrimSpace(`
allow_anonymous true
allow_anonymous yes
allow_anonymous TRUE
allow_anonymous
allow_anonymous true # comment
allow_anonymous\ttrue
 allow_anonymous true
\tallow_anonymous true
 # comment
foo bar
max_queued_messages
max_queued_messages -5
max_inflight_messages 70000
max_inflight_messages 65535
max_packet_size 10
max_packet_size 20
max_keepalive 65536
message_size_limit 300000000
max_qos 3
maximum_qos 1
max_topic_alias 70000
mount_point a/+
protocol mqttsn
socket_domain ipv5
socket_domain ipv4
persistent_client_expiration 1x
persistent_client_expiration 2h
persistent_client_expiration 0d
persistent_client_expiration d
log_dest foo
log_dest file
log_type foo
log_facility 9
log_facility 3
listener 70000
listener 0
listener
port 0
allow_anonymous true\nper_listener_settings true
per_listener_settings true
include_dir /none
include_dir
psk_hint x\ncertfile y
retry_interval 20
store_clean_interval 10
trace_level 3
sys_interval -1
sys_interval 70000
autosave_interval -5
pid_file p\npid_file q
connection b
connection b\naddress 127.0.0.1
connection b\ntopic #
connection b\naddress 127.0.0.1:9\ntopic # foo
connection b\naddress 127.0.0.1:9\ntopic # OUT 1
connection b\naddress 127.0.0.1:9\ntopic # out 3
connection b\naddress 127.0.0.1:9\ntopic a/+ in "" ""
connection b\naddress 127.0.0.1:9\ntopic a out 1 l+ r/
connection b\naddress 127.0.0.1:9\ntopic "" out 1 l r
connection b\naddress 127.0.0.1:9\ntopic "" out 1 l ""
connection b\naddress 127.0.0.1:0\ntopic #
connection b\naddress 127.0.0.1:9 127.0.0.2:9\ntopic #
connection b\naddress 127.0.0.1:9\naddress 127.0.0.2\ntopic #
connection b\naddress 127.0.0.1:9\ntopic #\nconnection b\naddress 127.0.0.1\ntopic #
connection b\naddress 127.0.0.1:9\ntopic #\nremote_password x
connection b\naddress 127.0.0.1:9\ntopic #\nbridge_psk aa
connection b\naddress 127.0.0.1:9\ntopic #\nbridge_identity x
connection b\naddress 127.0.0.1:9\ntopic #\nbridge_cafile x\nbridge_identity x
connection b\naddress 127.0.0.1:9\ntopic #\nstart_type manual
connection b\naddress 127.0.0.1:9\ntopic #\nkeepalive_interval 2
connection b\naddress 127.0.0.1:9\ntopic #\nkeepalive_interval 70000
connection b\naddress 127.0.0.1:9\ntopic #\nrestart_timeout 30 10
connection b\naddress 127.0.0.1:9\ntopic #\nbridge_protocol_version 5
connection b\naddress 127.0.0.1:9\ntopic #\nthreshold 0
topic #
address 127.0.0.1
notifications true
plugin_opt_x y
auth_plugin_deny_special_chars true
persistence_file x\npersistence_file y
websockets_headers_size 70000
tls_engine_kpass_sha1 zz
`), "\n")
	for _, text := range same {
		compare(t, bin, text, false)
	}
	for _, text := range []string{
		`max_queued_messages abc`,                          // 2.0 takes it for 0, which is no limit
		`mount_point a/\nmount_point b/`,                   // 2.1 takes the last
		`persistent_client_expiration 10s`,                 // 2.1 knows seconds
		`listener_allow_anonymous true`,                    // of 2.1
		`certfile x`,                                       // 2.0 would not encrypt
		`require_certificate true`,                         // 2.0 would not encrypt
		`max_keepalive 0`,                                  // 2.1 takes it for no limit
		`connection b\naddress 127.0.0.1:9\ntopic a#b out`, // 2.0 starts, without the bridge
	} {
		compare(t, bin, text, true)
	}
}

func compare(t *testing.T, bin, text string, differ bool) {
	t.Helper()
	text = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(text)
	o := Options{ReadFile: os.ReadFile, ReadDir: os.ReadDir, Hostname: "host"}
	_, _, err := Parse(strings.NewReader("listener 1 127.0.0.1\n"+text), "c", o)
	var list Errors
	if err != nil && !errors.As(err, &list) {
		t.Fatal(err)
	}
	if theirs := accepts(t, bin, text); theirs == (err == nil) == differ {
		t.Errorf("%q: Mosquitto accepts it: %v; here: %v", text, theirs, err)
	}
}
