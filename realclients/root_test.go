//go:build unix

package realclients

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A process of root becomes the user that the file names, who then owns the data.
func TestDropsPrivileges(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	h := newHouse(t)
	if err := os.Chmod(h.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	h.write("acl", "topic readwrite #\n")
	if err := os.Chmod(h.path("acl"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.write("mosquitto.conf", "user nobody\npersistence true\npersistence_location <dir>/data\nlistener <a> 127.0.0.1\nallow_anonymous true\nacl_file <dir>/acl\n"+
		"listener <b> 127.0.0.1\nprotocol http_api\n")
	h.open()
	if said := h.p.stderr.String(); !strings.Contains(said, "cannot be read again when it changes") || !strings.Contains(said, h.path("acl")) {
		t.Errorf("nothing is said of the access list that only root can read:\n%s", said)
	}
	if h.isRoot() {
		t.Error("it runs as root")
	}
	switch code, body := h.get("b", "/metrics", "", ""); { // it may not read all about itself any more
	case code != 200 || !strings.Contains(body, "process_resident_memory_bytes "):
		t.Errorf("%d\n%s", code, body)
	case strings.Contains(body, "process_io_"), strings.Contains(h.p.stderr.String(), "process_io_"):
		t.Errorf("what cannot be read is told as 0, or complained about:\n%s\n%s", body, h.p.stderr.String())
	}
	h.pub("a", "-t", "kept", "-m", "x", "-r", "-q", "1")
	info, err := os.Stat(h.path("data/nightjar"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid == 0 {
		t.Error("the data belongs to root")
	}
}

// isRoot reports whether the program has the rights of root, as a user or as a group.
func (h *house) isRoot() (is bool) {
	h.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.p.cmd.Process.Pid))
	if err != nil {
		h.t.Skip("no /proc: ", err)
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		is = is || (f[0] == "Uid:" || f[0] == "Gid:") && f[1] == "0"
	}
	return is
}

// Without a file a process of root becomes Mosquitto's user under Mosquitto's name. Else it stays root, and says so.
func TestRootWithoutFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	h := newHouse(t)
	h.p = start(t, h.link(), "-p", h.ports["a"])
	h.p.stderr.Until(t, "the broker runs as user ")
	if h.isRoot() {
		t.Error("as mosquitto it runs as root")
	}
	h.p = start(t, program(t), "-p", h.ports["b"], "--data", h.path("data"))
	h.p.stderr.Until(t, "the broker runs as root: ")
	if !h.isRoot() {
		t.Error("as nightjar it does not run as who started it")
	}
}
