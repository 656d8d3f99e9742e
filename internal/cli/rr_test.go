package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// respond answers what is published to x/ask with its payload in brackets, on the topic that it asks for or on x/answer.
func (p *programs) respond() {
	p.t.Helper()
	c, err := client.Dial(p.context(), p.b.URL, client.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	_, err = c.Subscribe(p.context(), client.To("x/ask", 2), func(ctx context.Context, m *packet.Publish) {
		answer := &packet.Publish{Topic: []byte("x/answer"), QoS: 1, Payload: append(append([]byte("<"), m.Payload...), '>')}
		answer.ContentType, answer.CorrelationData = []byte("text/plain"), m.CorrelationData
		if bytes.Equal(m.Payload, []byte("empty")) {
			answer.Payload = nil
		}
		if bytes.HasPrefix(m.Payload, []byte("{")) {
			answer.Payload = m.Payload
		}
		if m.ResponseTopic != nil {
			answer.Topic = m.ResponseTopic
		}
		if err := c.PublishAsync(ctx, answer, nil); err != nil {
			p.t.Error(err)
		}
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// The same options ask the same question, print the same answer and end with the same status.
func TestRRLikeMosquitto(t *testing.T) {
	p := startPrograms(t, "")
	got := p.recorder()
	p.respond()
	file := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(file, []byte("from\x00a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stamp := regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
	for _, test := range []struct{ args, stdin string }{
		{"-m hello", ""},
		{"-m hello -v", ""},
		{"-m hello -q 1 -N", ""},
		{"-m hello -q 2 -V 5", ""},
		{"-m hello -V 311 -q 2", ""},
		{"-m hello -V 31 -q 1 -i rr-31", ""},
		{"-n -q 1 -I prefix-", ""},
		{"-m empty", ""},
		{"-m empty -v", ""},
		{"-m j -F %t|%p|%q|%r|%l|%C|%D|%x -D publish correlation-data cd -q 1", ""},
		{`-m {"a":[1,2]} -F %J --pretty`, ""},
		{"-m p -D publish content-type text/plain -D publish user-property k v -D connect user-property a b -D subscribe user-property c d -D disconnect user-property e f", ""},
		{"-m p -k 10 -u user -P pw -M 3 --nodelay -A 127.0.0.1 --quiet", ""},
		{"-m p -x 5 -i rr-x -c", ""},
		{"-m p -R --retain-as-published", ""},
		{"-t x/other -t x/ask -m last-topic-counts", ""},
		{"-m p -W 5", ""},
	} {
		args := append(p.server(), strings.Fields("-t x/ask -e x/answer "+test.args)...)
		theirs := p.theirs("rr", test.stdin, args...)
		theirMessages := p.published(got)
		ours := p.ours("rr", test.stdin, args...)
		theirs.out, ours.out = stamp.ReplaceAllString(theirs.out, "TIME"), stamp.ReplaceAllString(ours.out, "TIME")
		ourMessages := p.published(got)
		if theirs != ours {
			t.Errorf("%s:\nmosquitto_rr %+v\nnightjar rr  %+v", test.args, theirs, ours)
		}
		if a, b := strings.Join(theirMessages, "\n"), strings.Join(ourMessages, "\n"); a != b {
			t.Errorf("%s published\n%s\nby mosquitto_rr, but by nightjar rr\n%s", test.args, a, b)
		}
	}
	for _, test := range []struct{ args, stdin, out string }{ // mosquitto_rr 2.0 forgets to read these
		{"-f " + file, "", "<from\x00a file\n>\n"},
		{"-s", "all\nof it\n", "<all\nof it\n>\n"},
	} {
		args := append(p.server(), strings.Fields("-t x/ask -e x/answer "+test.args)...)
		if r := p.ours("rr", test.stdin, args...); r.out != test.out || r.status != 0 {
			t.Errorf("%s: %+v", test.args, r)
		}
	}
	url := "mqtt://127.0.0.1:" + p.b.Port + "/x/ask"
	if theirs, ours := p.theirs("rr", "", "-L", url, "-e", "x/answer", "-m", "u"), p.ours("rr", "", "-L", url, "-e", "x/answer", "-m", "u"); theirs != ours || ours.out != "<u>\n" {
		t.Errorf("%+v %+v", theirs, ours)
	}
	unix := []string{"--unix", p.b.Socket, "-t", "x/ask", "-e", "x/answer", "-m", "u"}
	if theirs, ours := p.theirs("rr", "", unix...), p.ours("rr", "", unix...); theirs != ours || ours.out != "<u>\n" {
		t.Errorf("%+v %+v", theirs, ours)
	}
}

// Without an answer -W ends the wait, a server that is not there or refuses is explained, and a lost connection too.
func TestRRFailures(t *testing.T) {
	p := startPrograms(t, "")
	nobody := append(p.server(), strings.Fields("-t x/nobody -e x/answer -m p -W 1")...)
	if theirs, ours := p.theirs("rr", "", nobody...), p.ours("rr", "", nobody...); theirs.status != 27 || theirs != ours {
		t.Errorf("%+v\n%+v", theirs, ours)
	}
	if r := p.ours("rr", "", strings.Fields("-h 127.0.0.1 -p 1 -t a -e b -m c")...); r.status != 1 || !strings.Contains(r.err, "check -h and -p") {
		t.Errorf("%+v", r)
	}
	closed := startPrograms(t, "allow_anonymous false\n")
	args := append(closed.server(), strings.Fields("-t a -e b -m c")...)
	if theirs, ours := closed.theirs("rr", "", args...), closed.ours("rr", "", args...); theirs.status != ours.status || ours.status == 0 {
		t.Errorf("%+v\n%+v", theirs, ours)
	}
	small := startPrograms(t, "max_packet_size 60\n")
	if r := small.ours("rr", strings.Repeat("x", 100), append(small.server(), strings.Fields("-t a -e b -s")...)...); r.status != 1 || !strings.Contains(r.err, "not accepted") {
		t.Errorf("%+v", r)
	}
}

// -R waits for a message that is not retained.
func TestRRPassesOverRetained(t *testing.T) {
	p := startPrograms(t, "")
	p.respond()
	if r := p.ours("pub", "", append(p.server(), strings.Fields("-t x/answer -m stale -r -q 1")...)...); r.status != 0 {
		t.Fatal(r)
	}
	for v, out := range map[string]string{"-R": "<p>\n", "": "stale\n"} {
		args := append(p.server(), strings.Fields("-V 311 -t x/ask -e x/answer -m p "+v)...)
		if r := p.ours("rr", "", args...); r.status != 0 || r.out != out {
			t.Errorf("%q: %+v", v, r)
		}
	}
}
