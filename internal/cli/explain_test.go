package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

const explained = `per_listener_settings true
user root
persistence true
persistence_location <dir>
message_size_limit 10
retain_available false
listener <a> 127.0.0.1
allow_anonymous true
acl_file <dir>/acl
max_qos 1
listener <b> 127.0.0.1
password_file <dir>/pw
mount_point house/
acl_file <dir>/acl
listener <c> 127.0.0.1
allow_anonymous true
connection cloud
address 127.0.0.1:<d>
local_clientid to-cloud
topic news/# both
`

const explainedACL = "topic read news/#\nuser ann\ntopic readwrite house/ann/#\ntopic deny house/ann/secret\npattern write in/%c\n"

// ask runs nightjar explain.
func (h *house) ask(args ...string) (int, string) {
	var out bytes.Buffer
	for i := range args {
		args[i] = h.fill(args[i])
	}
	code := Main(h.t.Context(), "test", append([]string{"nightjar", "explain"}, args...), Streams{In: strings.NewReader(""), Out: &out, Err: &out, Env: func(string) string { return "" }})
	return code, out.String()
}

// Every answer names the rule with its line, or the limit with its line.
func TestExplain(t *testing.T) {
	h := &house{t: t, dir: t.TempDir(), ports: map[string]string{"a": "1883", "b": "1884", "c": "1885", "d": "1886"}}
	h.write("acl", explainedACL)
	h.write("mosquitto.conf", h.fill(explained))
	if code := Main(t.Context(), "test", []string{"nightjar", "passwd", "-b", "-c", h.dir + "/pw", "ann", "x"}, Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Env: os.Getenv}); code != 0 {
		t.Fatalf("nightjar passwd ended with %d", code)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"x receive news/a -l <a>", 0, "allowed by " + h.dir + "/acl:1: topic read news/#"},
		{"x publish news/a -l <a>", 1, "refused: no rule grants it"},
		{"x publish in/x -l <a>", 0, "allowed by " + h.dir + "/acl:5: pattern write in/%c"},
		{"x publish in/x -l <a> -q 2", 1, "mosquitto.conf:10: max_qos 1: QoS 2 is more than 1"},
		{"x publish in/x -l <a> --bytes 11", 1, "mosquitto.conf:5: message_size_limit 10: 11 bytes are more than 10"},
		{"x publish in/x -l <a> -r", 1, "mosquitto.conf:6: retain_available false"},
		{"ann subscribe # -l <b>", 0, "allowed"},
		{"ann receive ann/secret -l <b>", 1, "refused by " + h.dir + "/acl:4: topic deny house/ann/secret"},
		{"ann receive ann/open -l <b>", 0, `makes the topic "house/ann/open"`},
		{"dev receive ann/open -u ann -l <b>", 0, "acl:3: topic readwrite house/ann/#"},
		{"eve publish x -u eve -l <b>", 1, "/pw has no such user"},
		{"x publish x -l <b>", 1, "it cannot connect: allow_anonymous is false"},
		{"x publish x -l <c>", 0, "no access control list"},
		{"to-cloud publish house/x", 0, "to-cloud\" is the bridge cloud, " + h.dir + "/mosquitto.conf:17"},
		{"to-cloud receive house/x", 0, "access control lists are not about bridges"},
		{"to-cloud publish house/x --bytes 11", 1, "mosquitto.conf:5: message_size_limit 10"},
		{"to-cloud publish house/x -l <a>", 1, "refused: no rule grants it"},
		{"to-cloud publish x/#", 3, "is not a topic"},
		{"x publish x -l 9", 3, "no such listener"},
		{"x publish a/# -l <a>", 3, "is not a topic"},
	} {
		code, out := h.ask(append(strings.Fields(c.args), "-c", h.dir+"/mosquitto.conf")...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: status %d, want %d and %q:\n%s", c.args, code, c.code, c.want, out)
		}
	}
}

// The running broker explains as it decides now, for the user and the listener of
// the client that is asked about.
func TestExplainRunning(t *testing.T) {
	h := &house{t: t, dir: t.TempDir(), ports: map[string]string{"a": mosquittotest.Port(t), "b": mosquittotest.Port(t), "c": mosquittotest.Port(t), "d": mosquittotest.Port(t)}, log: new(lines)}
	h.write("acl", explainedACL)
	h.write("pw", "")
	path := h.write("mosquitto.conf", h.fill(explained))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var log lines
	go func() {
		ended <- Main(ctx, "test", []string{"nightjar", "serve", "-c", path}, Streams{In: strings.NewReader(""), Out: &log, Err: &log, Env: func(string) string { return "" }})
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("the broker ended with %d:\n%s", code, &log)
		}
	})
	data := h.dir + "/nightjar"
	deadline := time.Now().Add(patience)
	c, err := h.dial(h.url("a"), client.Options{Username: "ann", ClientID: "dev"})
	for ; err != nil && time.Now().Before(deadline); c, err = h.dial(h.url("a"), client.Options{Username: "ann", ClientID: "dev"}) {
		select {
		case code := <-ended:
			ended <- code
			t.Fatalf("the broker ended:\n%s", &log)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	code, out := h.ask("dev", "receive", "house/ann/secret", "--data", data)
	if code != 1 || !strings.Contains(out, "the client is connected") || !strings.Contains(out, `user "ann"`) || !strings.Contains(out, "acl:4: topic deny house/ann/secret") {
		t.Errorf("status %d:\n%s", code, out)
	}
	if code, out := h.ask("dev", "publish", "house/ann/x", "--data", data); code != 0 {
		t.Errorf("status %d:\n%s", code, out)
	}
	if err := h.says(c, "house/ann/x", "m", 1, false); err != nil {
		t.Errorf("it was explained as allowed: %v", err)
	}
	if err := h.says(c, "house/ann/secret", "m", 1, false); err == nil || !strings.Contains(err.Error(), packet.NotAuthorized.String()) {
		t.Errorf("it was explained as refused: %v", err)
	}
	if code, out := h.ask("to-cloud", "publish", "house/ann/secret", "--data", data); code != 0 || !strings.Contains(out, "is the bridge cloud") {
		t.Errorf("status %d:\n%s", code, out)
	}
	if code, out := h.ask("dev", "publish", "x", "--data", h.dir+"/nowhere"); code != exitUsage || !strings.Contains(out, "no broker runs there") {
		t.Errorf("status %d:\n%s", code, out)
	}
}

// A mosquitto.conf becomes a nightjar.toml from which the same broker is made; a file
// that is there stays as it is.
func TestConvertCommand(t *testing.T) {
	h := &house{t: t, dir: t.TempDir(), ports: map[string]string{"a": "1883"}}
	conf := h.write("m.conf", h.fill("listener <a>\nallow_anonymous true\nmax_qos 1\nautosave_interval 5\npersistence true\npersistence_location <dir>\n"))
	var out, notes bytes.Buffer
	code := Main(t.Context(), "test", []string{"nightjar", "convert", conf, "-o", h.dir + "/n.toml"}, Streams{Out: &out, Err: &notes, Env: os.Getenv})
	if code != 0 || !strings.Contains(notes.String(), "left out") || !strings.Contains(notes.String(), "m.conf:4: ignored: autosave_interval 5") {
		t.Fatalf("status %d: %s", code, &notes)
	}
	was, _, err := fromFile(conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	is, _, err := fromFile(h.dir+"/n.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if is.Data != was.Data || is.Data != h.dir+"/nightjar" || len(is.Listeners) != 1 || *is.Listeners[0].MaxQoS != 1 || !is.Listeners[0].Anonymous || is.Listeners[0].Address != was.Listeners[0].Address {
		t.Errorf("%+v is not %+v", is, was)
	}
	if code := Main(t.Context(), "test", []string{"nightjar", "convert", conf, "-o", h.dir + "/n.toml"}, Streams{Out: &out, Err: &notes, Env: os.Getenv}); code != exitUsage || !strings.Contains(notes.String(), "is there already") {
		t.Errorf("status %d: %s", code, &notes)
	}
	if code := Main(t.Context(), "test", []string{"nightjar", "convert", conf}, Streams{Out: &out, Err: &notes, Env: os.Getenv}); code != 0 || !strings.Contains(out.String(), "qos = 1") {
		t.Errorf("status %d: %s", code, &out)
	}
}
