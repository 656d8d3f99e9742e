//go:build unix

package realclients

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// Files with secrets that everybody on the machine may read are named at the start, each
// once, and no others.
func TestExposedFilesAreReported(t *testing.T) {
	h := newHouse(t)
	certify(t, h)
	h.write("pw", "")
	h.write("pw2", "")
	for _, file := range []string{"pw", "pw2"} {
		run(t, "", "mosquitto_passwd", "-b", h.path(file), "ann", "secret")
	}
	h.write("bridge.key", "")
	h.write("bridge.crt", "")
	for from, to := range map[string]string{"server.key": "bridge.key", "server.crt": "bridge.crt"} {
		b, err := os.ReadFile(h.path(from))
		if err != nil {
			t.Fatal(err)
		}
		h.write(to, string(b))
	}
	h.write("acl", "topic readwrite #\n")
	h.write("dynamic.json", `{"defaultACLAccess":{},"clients":[],"groups":[],"roles":[]}`)
	h.write("mosquitto.conf", `user root
per_listener_settings true
listener <a> 127.0.0.1
password_file <dir>/pw
acl_file <dir>/acl
listener <b> 127.0.0.1
password_file <dir>/pw2
certfile <dir>/server.crt
keyfile <dir>/server.key
listener <d> 127.0.0.1
plugin mosquitto_dynamic_security.so
plugin_opt_config_file <dir>/dynamic.json
connection cloud
address 127.0.0.1:<c>
topic a
bridge_cafile <dir>/ca.crt
bridge_certfile <dir>/bridge.crt
bridge_keyfile <dir>/bridge.key
remote_username house
remote_password hush
`)
	secrets := []string{"pw", "dynamic.json", "server.key", "bridge.key", "mosquitto.conf"}
	reported := func(mode os.FileMode) string {
		t.Helper()
		for _, file := range append(secrets, "acl", "bridge.crt") {
			if err := os.Chmod(h.path(file), mode); err != nil {
				t.Fatal(err)
			}
		}
		h.open()
		h.end(syscall.SIGTERM)
		return h.p.stderr.String()
	}
	log := reported(0o644)
	for _, file := range secrets {
		n := 0
		for line := range strings.Lines(log) {
			if strings.Contains(line, "everybody on this machine may read") && strings.HasSuffix(strings.TrimSpace(line), h.path(file)) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is reported %d times", file, n)
		}
	}
	if n := strings.Count(log, "everybody on this machine"); n != len(secrets) || t.Failed() {
		t.Errorf("%d files are reported:\n%s", n, log)
	}
	if log := reported(0o640); strings.Contains(log, "everybody on this machine") {
		t.Errorf("files are reported that are closed:\n%s", log)
	}
}
