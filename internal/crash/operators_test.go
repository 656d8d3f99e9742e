package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/packet"
)

// site is a broker for one test, with the commands that look after it.
type site struct {
	*testing.T
	bin  string
	data string
	c    *campaign // for its connections
	p    *process
}

func newSite(t *testing.T, bin string) *site {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "broker.log"))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, bin: bin, data: filepath.Join(t.TempDir(), "data"), c: &campaign{h: newHistory(io.Discard), log: log}}
	t.Cleanup(func() {
		if s.p != nil {
			s.p.kill()
		}
		log.Close()
	})
	return s
}

// start starts the broker on the site's directory.
func (s *site) start(env ...string) {
	s.Helper()
	p, err := start(s.bin, s.data, s.c.log, env...)
	if err == nil {
		s.p = p
		s.c.addr, err = p.address()
	}
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) stop() {
	s.Helper()
	if err := s.p.stop(); err != nil {
		s.Fatal(err)
	}
}

// connect opens a durable session and reports whether it was there.
func (s *site) connect(id string, will *packet.Will) (w *wire, present bool) {
	s.Helper()
	w, err := dial(s.c, id, s.c.addr)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { w.Close() })
	ack, err := w.open(&packet.Connect{Version: packet.V5, ClientID: id, SessionExpiry: packet.Some[uint32](3600), Will: will})
	if err != nil {
		s.Fatal(err)
	}
	return w, ack.SessionPresent
}

// ask sends a packet and expects an answer of a type.
func (s *site) ask(w *wire, p packet.Packet, want packet.Type) packet.Packet {
	s.Helper()
	if p != nil {
		if _, err := w.send(p); err != nil {
			s.Fatal(err)
		}
	}
	k, err := w.next()
	if err != nil {
		s.Fatalf("instead of %v: %v", want, err)
	}
	if k.Type() != want {
		s.Fatalf("instead of %v: %s", want, describe(k))
	}
	return k
}

func (s *site) subscribe(w *wire, filter string, qos byte) {
	s.Helper()
	s.ask(w, &packet.Subscribe{PacketID: 9, Filters: []packet.SubscribeFilter{{Filter: filter, Options: packet.Options{QoS: qos}}}}, packet.TypeSuback)
}

// publish publishes with QoS 1 and waits for the acknowledgement.
func (s *site) publish(w *wire, topic, payload string, retain bool) {
	s.Helper()
	s.ask(w, &packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: 1, PacketID: 7, Retain: retain}, packet.TypePuback)
}

// run runs a command of the program.
func (s *site) run(args ...string) (out, errs string, ok bool) {
	s.Helper()
	var o, e bytes.Buffer
	cmd := exec.Command(s.bin, args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	return o.String(), e.String(), err == nil
}

func (s *site) must(args ...string) (out string) {
	s.Helper()
	out, errs, ok := s.run(args...)
	if !ok {
		s.Fatalf("nightjar %s: %s", strings.Join(args, " "), errs)
	}
	return out
}

// refused expects that a command fails and says so.
func (s *site) refused(want string, args ...string) {
	s.Helper()
	if _, errs, ok := s.run(args...); ok || !strings.Contains(errs, want) {
		s.Errorf("nightjar %s: %q, want %q", strings.Join(args, " "), errs, want)
	}
}

// fill makes an absent session with three messages and a retained one.
func (s *site) fill() {
	s.Helper()
	w, _ := s.connect("plc", nil)
	s.subscribe(w, "plant/+/level", 1)
	if err := w.leave(&packet.Disconnect{}); err != nil {
		s.Fatal(err)
	}
	w, _ = s.connect("tank", nil)
	for _, n := range []string{"1", "2", "3"} {
		s.publish(w, "plant/"+n+"/level", "full", n == "3")
	}
	if err := w.leave(&packet.Disconnect{SessionExpiry: packet.Some[uint32](0)}); err != nil {
		s.Fatal(err)
	}
}

// listing is what inspect says in JSON.
type listing struct {
	Session *struct {
		ID            string `json:"client_id"`
		Connected     bool
		Subscriptions []struct {
			Filter string
			QoS    int
		}
		Queued      int
		First, Last struct {
			Topic string
			Bytes int
		}
	}
	Retained *struct {
		Topic string
		Bytes int
	}
	Total *struct{ Sessions, Queued, Retained int }
}

// filled looks whether the store has what fill put there.
func (s *site) filled(data string) {
	s.Helper()
	d := json.NewDecoder(strings.NewReader(s.must("inspect", "--data", data, "--json")))
	var lines []listing
	for d.More() {
		var l listing
		if err := d.Decode(&l); err != nil {
			s.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 3 || lines[0].Session == nil || lines[1].Retained == nil || lines[2].Total == nil {
		s.Fatalf("inspect of %s: %+v", data, lines)
	}
	ses := lines[0].Session
	if ses.ID != "plc" || ses.Connected || ses.Queued != 3 || ses.First.Topic != "plant/1/level" || ses.First.Bytes != 4 || ses.Last.Topic != "plant/3/level" ||
		len(ses.Subscriptions) != 1 || ses.Subscriptions[0].Filter != "plant/+/level" || ses.Subscriptions[0].QoS != 1 {
		s.Errorf("session: %+v", ses)
	}
	if r := lines[1].Retained; r.Topic != "plant/3/level" || r.Bytes != 4 {
		s.Errorf("retained: %+v", r)
	}
	if t := lines[2].Total; t.Sessions != 1 || t.Queued != 3 || t.Retained != 1 {
		s.Errorf("total: %+v", t)
	}
}

// TestOperators plays what an operator does: backups of a broker that runs and
// one that does not, restoring them, and looking at each.
func TestOperators(t *testing.T) {
	s := newSite(t, build(t, "../..", ""))
	s.start()
	s.fill()
	s.filled(s.data)
	online, offline := filepath.Join(t.TempDir(), "a", "b"), t.TempDir()
	s.must("backup", online, "--data", s.data)
	if left, _ := filepath.Glob(filepath.Join(s.data, "backup-*")); len(left) > 0 {
		s.p.kill() // the copy goes with the connection, or at the next start
		s.start()
		if left, _ := filepath.Glob(filepath.Join(s.data, "backup-*")); len(left) > 0 {
			t.Errorf("left in the data directory: %v", left)
		}
	}
	if info, err := os.Stat(filepath.Join(s.data, "control")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v %v", info, err)
	}
	s.stop()
	s.filled(s.data)
	if text := s.must("inspect", "--data", s.data); !strings.Contains(text, "queued: 3 of ") {
		t.Errorf("inspect for people:\n%s", text)
	}
	s.must("backup", offline, "--data", s.data)
	for _, backup := range []string{online, offline} {
		s.filled(backup)
		s.data = filepath.Join(t.TempDir(), "new")
		s.must("restore", backup, "--data", s.data) // although somebody has looked into it
		s.filled(s.data)
		s.start()
		w, present := s.connect("plc", nil)
		if !present {
			t.Error("the session was not restored")
		}
		for _, topic := range []string{"plant/1/level", "plant/2/level", "plant/3/level"} {
			if p := s.ask(w, nil, packet.TypePublish).(*packet.Publish); string(p.Topic) != topic {
				t.Errorf("came %s, want %s", describe(p), topic)
			}
		}
		s.stop()
	}
}

// TestOperatorsRefuse: what would do harm is refused, and says why.
func TestOperatorsRefuse(t *testing.T) {
	s := newSite(t, build(t, "../..", ""))
	nothing := filepath.Join(t.TempDir(), "nothing")
	s.refused("holds no store", "inspect", "--data", nothing)
	s.refused("holds no store", "backup", t.TempDir(), "--data", nothing)
	s.start()
	s.fill()
	backup := t.TempDir()
	s.must("backup", backup, "--data", s.data)
	s.refused("is not empty", "backup", backup, "--data", s.data)
	s.refused("is not empty", "restore", backup, "--data", s.data)
	s.refused("in the directory of the store itself", "backup", filepath.Join(s.data, "backup-monday"), "--data", s.data)
	s.refused(fmt.Sprintf("in use by process %d", s.p.cmd.Process.Pid), "serve", "--listen", "mqtt://127.0.0.1:0", "--data", s.data)
	s.refused("leave one of them out", "serve", "--durability", "none", "--data", s.data)
	s.refused("is not a whole backup", "restore", t.TempDir(), "--data", nothing)
	file, above := filepath.Join(backup, "SHA256SUMS"), t.TempDir()
	s.refused("is a file: name the directory of the store", "inspect", "--data", file)
	s.must("restore", backup, "--data", filepath.Join(above, "nightjar"))
	s.refused(filepath.Join(above, "nightjar")+" does", "inspect", "--data", above)
	if err := os.Remove(filepath.Join(s.data, "control")); err != nil {
		t.Fatal(err)
	}
	s.refused("in use by process", "inspect", "--data", s.data)
	s.stop()
	s.damage(backup)
	s.refused("nothing was restored", "restore", backup, "--data", nothing)
	if _, err := os.Stat(nothing); !os.IsNotExist(err) {
		t.Errorf("a directory is left behind: %v", err)
	}
}

// TestNewerVersion: a directory that a newer version has written is refused with a
// word about it, and left as it is.
func TestNewerVersion(t *testing.T) {
	s := newSite(t, build(t, "../..", ""))
	s.start()
	s.fill()
	s.stop()
	markers, err := filepath.Glob(filepath.Join(s.data, "db", "marker.format-version.*"))
	if err != nil || len(markers) != 1 {
		t.Fatal(markers, err)
	}
	was := markers[0]
	newer := was[:len(was)-3] + "099"
	if err := os.Rename(was, newer); err != nil {
		t.Fatal(err)
	}
	s.refused("written by a newer version of Nightjar", "serve", "--listen", "mqtt://127.0.0.1:0", "--data", s.data)
	s.refused("start that version, or choose another directory", "serve", "--listen", "mqtt://127.0.0.1:0", "--data", s.data)
	s.refused("written by a newer version of Nightjar", "inspect", "--data", s.data)
	s.refused("use that version", "backup", filepath.Join(t.TempDir(), "b"), "--data", s.data)
	if err := os.Rename(newer, was); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.data, "*")); len(left) != 2 { // LOCK and db
		t.Errorf("the directory has %v", left)
	}
	s.filled(s.data)
	s.start()
	s.stop()
}

// damage changes a message where it lies in a backup.
func (s *site) damage(backup string) {
	s.Helper()
	files, err := filepath.Glob(filepath.Join(backup, "db", "*"))
	if err != nil {
		s.Fatal(err)
	}
	found := false
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			s.Fatal(err)
		}
		if i := bytes.Index(content, []byte("plant/2/level")); i > 0 {
			found = true
			content[i] ^= 0x55
			if err := os.WriteFile(f, content, 0o600); err != nil {
				s.Fatal(err)
			}
		}
	}
	if !found {
		s.Fatal("there is no message in the backup")
	}
}
