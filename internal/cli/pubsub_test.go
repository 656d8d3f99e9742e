package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

// result is what a program left behind.
type result struct {
	out, err string
	status   int
}

// programs runs the same command line in mosquitto's program and in ours.
type programs struct {
	t   *testing.T
	b   *mosquittotest.Broker
	dir string // for XDG_CONFIG_HOME
}

func startPrograms(t *testing.T, config string) *programs {
	mosquittotest.Program(t, "mosquitto_pub")
	return &programs{t, mosquittotest.Start(t, config), t.TempDir()}
}

func (p *programs) server() []string { return []string{"-h", "127.0.0.1", "-p", p.b.Port} }

func (p *programs) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p.t.Cleanup(cancel)
	return ctx
}

func (p *programs) theirs(command, stdin string, args ...string) result {
	p.t.Helper()
	cmd := exec.CommandContext(p.context(), mosquittotest.Program(p.t, "mosquitto_"+command), args...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+p.dir, "TZ=")
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func (p *programs) ours(command, stdin string, args ...string) result {
	var out, errs bytes.Buffer
	run := map[string]func(context.Context, []string, Streams) int{"pub": Pub, "sub": Sub, "rr": RR}[command]
	env := func(name string) string { return map[string]string{"XDG_CONFIG_HOME": p.dir}[name] }
	status := run(p.context(), args, Streams{strings.NewReader(stdin), &out, &errs, env})
	return result{out.String(), errs.String(), status}
}

// recorder collects everything that is published below x/ as text.
func (p *programs) recorder() <-chan string {
	c, err := client.Dial(p.context(), p.b.URL, client.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	got := make(chan string, 100)
	s := client.To("x/#", 2)
	s.Filters[0].RetainAsPublished = true
	_, err = c.Subscribe(p.context(), s, func(_ context.Context, m *packet.Publish) {
		got <- fmt.Sprintf("%s q%d r%t %q expiry %v forward %q", m.Topic, m.QoS, m.Retain, m.Payload, m.MessageExpiry, m.Forward)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return got
}

// published gives what was recorded up to a marker that this call publishes.
func (p *programs) published(got <-chan string) []string {
	p.t.Helper()
	if r := p.ours("pub", "", append(p.server(), "-t", "x/end", "-m", "end", "-q", "2")...); r.status != 0 {
		p.t.Fatal(r)
	}
	var list []string
	for {
		select {
		case s := <-got:
			if strings.HasPrefix(s, "x/end ") {
				return list
			}
			list = append(list, s)
		case <-p.context().Done():
			p.t.Fatal("the marker did not come")
		}
	}
}

// The same options publish the same messages, with the same properties in the same order, and end with the same status.
func TestPubLikeMosquitto(t *testing.T) {
	p := startPrograms(t, "")
	got := p.recorder()
	file := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(file, []byte("from\x00a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, stdin string }{
		{"-t x/1 -m hello", ""},
		{"-t x/1 -m hello -q 1", ""},
		{"-t x/1 -m hello -q 2 -V 31", ""},
		{"-t x/1 -m hello -q 2 -V 5 -r", ""},
		{"-t x/1 -t x/2 -m last-topic-counts", ""},
		{"-t x/ö -m ö -i me", ""},
		{"-t x/1 -n -q 1 -I prefix-", ""},
		{"-t x/1 -n --repeat 3 -q 2", ""},
		{"-t x/1 -m again --repeat 3 --repeat-delay 0.01", ""},
		{"-t x/1 -f " + file, ""},
		{"-t x/1 -s -q 1", "all\nof it\n"},
		{"-t x/1 -l -q 1", "one\n\ntwo\r\nlast"},
		{"-t x/1 -l", "one\ntwo\n"},
		{"-t x/1 -l", ""},
		{"-t x/1 -l -q 2 -M 1 -V 5", strings.Repeat("line\n", 50)},
		{"-t x/1 -m p -D publish content-type text/plain -D publish user-property k1 v1 -D publish response-topic r/t " +
			"-D publish user-property k2 v2 -D publish correlation-data cd -D publish payload-format-indicator 1 -D publish message-expiry-interval 77", ""},
		{"-t x/1 -m alias -D publish topic-alias 3 --repeat 2 -q 1", ""},
		{"-t x/1 -m c -c -i persistent -q 1", ""},
		{"-t x/1 -m c -c -i persistent5 -V 5 -x 5 -q 1", ""},
		{"-t x/1 -m c -V mqttv5 -x 10 -D connect user-property a b -D disconnect user-property c d -D connect request-problem-information 1", ""},
		{"-t x/1 -m w --will-topic x/will --will-payload gone --will-qos 1 --will-retain -u user -P pw -k 10", ""},
		{"-t x/1 -m props -D PUBLISH content-type t --quiet", ""},
		{"-t x/1 -m nodelay --nodelay -A 127.0.0.1", ""},
	} {
		args := append(p.server(), strings.Fields(test.args)...)
		theirs := p.theirs("pub", test.stdin, args...)
		theirMessages := p.published(got)
		ours := p.ours("pub", test.stdin, args...)
		ourMessages := p.published(got)
		if theirs != ours {
			t.Errorf("%s:\nmosquitto_pub %+v\nnightjar pub  %+v", test.args, theirs, ours)
		}
		if a, b := strings.Join(theirMessages, "\n"), strings.Join(ourMessages, "\n"); a != b {
			t.Errorf("%s published\n%s\nby mosquitto_pub, but by nightjar pub\n%s", test.args, a, b)
		}
	}
	for _, url := range []string{"mqtt://127.0.0.1:" + p.b.Port + "/x/url", "mqtt://user:pw@127.0.0.1:" + p.b.Port + "/x/url"} {
		theirs, ours := p.theirs("pub", "", "-L", url, "-m", "u"), p.ours("pub", "", "-L", url, "-m", "u")
		if list := p.published(got); theirs != ours || len(list) != 2 || list[0] != list[1] {
			t.Errorf("%s: %+v %+v %q", url, theirs, ours, list)
		}
	}
	ours := p.ours("pub", "", "--unix", p.b.Socket, "-t", "x/unix", "-m", "u", "-q", "1")
	theirs := p.theirs("pub", "", "--unix", p.b.Socket, "-t", "x/unix", "-m", "u", "-q", "1")
	if list := p.published(got); theirs != ours || len(list) != 2 || list[0] != list[1] {
		t.Errorf("unix: %+v %+v %q", theirs, ours, list)
	}
}

// retainSamples puts messages on the server that exercise the output formats.
func (p *programs) retainSamples() {
	p.t.Helper()
	all := strings.Fields("-D publish content-type text/plain -D publish correlation-data corr -D publish response-topic r/t " +
		"-D publish user-property k v -D publish user-property k2 v2 -D publish payload-format-indicator 1")
	for _, s := range []struct {
		topic, payload string
		props          []string
	}{
		{"f/1", `hello "w" \ x/` + "\t\b\x01\x7f", all},
		{"f/2", ` {"a": [1,2.50,1e3,true,null,"x\u00e9y\/\n",{"z":[]},[]], "b":{}, "c":[[1],{"k":{}}], "d":-0.0, "e":12345678901234567890, "f":0.1, "a":1e-7} `, nil},
		{"f/3", "bin\x00\x01\xff\n", nil},
		{"f/4é", "zäh", all[:4]},
		{"f/5", "{bad", nil},
		{"f/6", "[1, \"two\"]", strings.Fields("-D publish user-property b 1 -D publish content-type c -D publish user-property a 2")},
		{"f/7", "0.30000000000000004", nil},
	} {
		args := append(append(p.server(), "-V", "5", "-q", "1", "-r", "-s", "-t", s.topic), s.props...)
		if r := p.ours("pub", s.payload, args...); r.status != 0 {
			p.t.Fatal(r)
		}
	}
}

// Every sequence of -F gives the same bytes, and so do the other ways of printing.
func TestSubOutputLikeMosquitto(t *testing.T) {
	p := startPrograms(t, "")
	p.retainSamples()
	var options [][]string
	for _, f := range []string{
		"%%", "%A|%5A|%05A|%-5A|", "%C|%15C|%-15C|%.3C|%15.3C|%-15.3C|%015C|", "%D", "%E|%6E|%06E|%-6E|", "%F|%3F|%03F|%-3F|%-03F|",
		"%l|%6l|%06l|%-6l|%-06l|", "%m|%4m|%04m|", "%P", "%p|%20p|%-20p|%3p|%-3p|%020p|", "%q", "%R|%6R|%-6R|%.1R|", "%r", "%S|%3S|%03S|",
		"%t|%10t|%-10t|%.2t|%010t|%10.2t|%-10.2t|", "%x|%30x|%-30x|%4x|%030x|", "%X|%30X|%-30X|%3X|", `\\\0\a\e\n\r\t\v`, "@@ @% @n @t @E @!", "plain",
		"%j", "%J", "%j%J|%t",
	} {
		options = append(options, []string{"-F", f}, []string{"-F", f, "-D", "subscribe", "subscription-identifier", "7"})
	}
	options = append(options, []string{"-F", "%j", "--pretty"}, []string{"-F", "%J", "--pretty"}, []string{"-v"}, []string{"-N"},
		[]string{"-v", "-N"}, nil, []string{"-F", "%t", "-N"}, []string{"-F", "%p", "-v"}, []string{"-q", "2"})
	tst := regexp.MustCompile(`"tst":(\t?)"[-0-9T:.]+Z[-+0-9]+"`)
	for _, o := range options {
		for _, version := range []string{"311", "5"} {
			args := append(append(p.server(), "-C", "7", "-t", "f/#", "-q", "1", "-V", version), o...)
			theirs, ours := p.theirs("sub", "", args...), p.ours("sub", "", args...)
			for _, r := range []*result{&theirs, &ours} {
				r.out = tst.ReplaceAllString(r.out, `"tst":$1"TIME"`)
				r.err = strings.ToLower(r.err)
			}
			if theirs != ours {
				t.Errorf("%q version %s:\nmosquitto_sub %q %q %d\nnightjar sub  %q %q %d", o, version,
					theirs.out, theirs.err, theirs.status, ours.out, ours.err, ours.status)
			}
		}
	}
}

// The options that choose messages choose the same ones, and the status is the same.
func TestSubLikeMosquitto(t *testing.T) {
	p := startPrograms(t, "")
	p.retainSamples()
	for _, args := range []string{
		"-t f/# -T f/2 -T f/+/x -C 3 -v",
		"-t f/1 -t f/2 -C 2 -v",
		"-t f/1 -E -d -i e -q 2 -V 5",
		"-t f/nothing -t f/+/none -E -d -i e -q 1",
		"-t f/nothing -W 1",
		"-t f/nothing -W 1 --quiet",
		"-t f/1 -R -W 1 -V 5",
		"-t f/1 -R -W 1",
		"-t f/1 -C 1 --retained-only",
		"-t f/1 -C 1 --retain-as-published -V 5 -F %r",
		"-t f/7 -C 1 -d -i e",
	} {
		words := append(p.server(), strings.Fields(args)...)
		if theirs, ours := p.theirs("sub", "", words...), p.ours("sub", "", words...); theirs != ours {
			t.Errorf("%s:\nmosquitto_sub %+v\nnightjar sub  %+v", args, theirs, ours)
		}
	}
}

// --remove-retained leaves nothing behind but what -T keeps.
func TestSubRemovesRetained(t *testing.T) {
	p := startPrograms(t, "")
	p.retainSamples()
	r := p.ours("sub", "", append(p.server(), "-t", "f/#", "-T", "f/2", "--remove-retained", "-C", "6", "-F", "%t")...)
	if r.status != 0 || strings.Count(r.out, "\n") != 6 {
		t.Fatal(r)
	}
	c, err := client.Dial(p.context(), p.b.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	left := make(chan string, 10)
	if _, err = c.Subscribe(p.context(), client.To("f/#", 0), func(_ context.Context, m *packet.Publish) { left <- string(m.Topic) }); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(p.context(), &packet.Publish{Topic: []byte("f/end")}); err != nil { // comes behind all that is retained
		t.Fatal(err)
	}
	for _, want := range []string{"f/2", "f/end"} {
		select {
		case got := <-left:
			if got != want {
				t.Fatalf("%s is left, want %s", got, want)
			}
		case <-p.context().Done():
			t.Fatalf("no %s came", want)
		}
	}
}

// A durable session made with -E delivers what was published since, and acknowledges what -C took, no more and no less.
func TestSubDurable(t *testing.T) {
	p := startPrograms(t, "")
	for _, version := range []string{"311", "5"} {
		base := append(p.server(), "-V", version, "-i", "durable"+version, "-c", "-t", "d", "-q", "2")
		if r := p.ours("sub", "", append(base, "-E")...); r.status != 0 {
			t.Fatal(r)
		}
		if r := p.ours("pub", "1\n2\n3\n4\n", append(p.server(), "-t", "d", "-l", "-q", "2")...); r.status != 0 {
			t.Fatal(r)
		}
		if r := p.ours("sub", "", append(base, "-C", "2")...); r.out != "1\n2\n" || r.status != 0 {
			t.Errorf("%+v", r)
		}
		if r := p.ours("sub", "", append(base, "-C", "2")...); r.out != "3\n4\n" || r.status != 0 {
			t.Errorf("%+v", r)
		}
	}
}

// A server that refuses is explained, and the status is that of the original.
func TestRefusedLikeMosquitto(t *testing.T) {
	p := startPrograms(t, "allow_anonymous false\n")
	for _, args := range []string{"pub -t a -m b", "pub -t a -m b -V 5", "pub -t a -m b -V 31", "pub -t a -l", "pub -t a -m b --quiet -u x -P y", "sub -t a", "sub -t a -V 5"} {
		words := strings.Fields(args)
		full := append(p.server(), words[1:]...)
		theirs, ours := p.theirs(words[0], "a\n", full...), p.ours(words[0], "a\n", full...)
		quiet := strings.Contains(args, "--quiet")
		if theirs.status != ours.status || theirs.out != ours.out || quiet != (ours.err == "") || strings.Count(ours.err, "\n") > 1 {
			t.Errorf("%s:\n%+v\n%+v", args, theirs, ours)
		}
	}
	if r := p.ours("pub", "", "-h", "127.0.0.1", "-p", "1", "-t", "a", "-m", "b"); r.status != 1 || !strings.Contains(r.err, "check -h and -p") {
		t.Error(r)
	}
}

// The options file gives defaults, and the command line goes before it.
func TestOptionsFile(t *testing.T) {
	p := startPrograms(t, "")
	got := p.recorder()
	text := "# defaults\n-h 127.0.0.1\n-p " + p.b.Port + "\n-q 2\n-t x/from file\n\n"
	if err := os.WriteFile(filepath.Join(p.dir, "mosquitto_pub"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, ours := p.theirs("pub", "", "-m", "m", "-q", "1"), p.ours("pub", "", "-m", "m", "-q", "1")
	list := p.published(got)
	if theirs != ours || theirs.status != 0 || len(list) != 2 || list[0] != list[1] || !strings.HasPrefix(list[0], "x/from file q1") {
		t.Errorf("%+v %+v %q", theirs, ours, list)
	}
	other := filepath.Join(p.dir, "other")
	if err := os.WriteFile(other, []byte("-h 127.0.0.1\n-p "+p.b.Port+"\n-D publish user-property a b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := p.ours("pub", "", "-o", other, "-t", "x/o", "-m", "m"); r.status != 0 {
		t.Error(r)
	}
	if list := p.published(got); len(list) != 1 || !strings.HasPrefix(list[0], `x/o q0`) {
		t.Errorf("%q", list)
	}
}

// A mistake is explained in one line that names the option, with status 1 as in the original.
func TestMistakes(t *testing.T) {
	p := &programs{t: t, dir: t.TempDir()}
	for args, says := range map[string]string{
		"pub -t a":                                       "-m, -f, -l, -n or -s",
		"pub -m a":                                       "needs a topic (-t)",
		"pub -t a -m":                                    "-m needs a value: -m TEXT",
		"pub -t a -m b -n":                               "-n: only one of",
		"pub -t a -m b -Z":                               "-Z is not an option",
		"pub -t a -m b -C 3":                             "-C is not an option",
		"pub -t a/# -m b":                                "-t a/#: not a topic to publish to",
		"pub -t a -m b -q 3":                             "-q 3: must be a number from 0 to 2",
		"pub -t a -m b -k 3":                             "-k 3: must be a number from 5 to 65535",
		"pub -t a -m b -p 70000":                         "-p 70000: must be",
		"pub -t a -m b -V 6":                             "-V 6: must be 31, 311 or 5",
		"pub -t a -m b -c":                               "give one with -i",
		"pub -t a -m b -c -V 5":                          "give one with -i",
		"pub -t a -m b -P x":                             "-P needs -u",
		"pub -t a -m b -i x -I y":                        "-I y: cannot be combined with -i",
		"pub -t a -m b --will-payload x":                 "--will-payload needs --will-topic",
		"pub -t a -m b --psk 00":                         "--psk 00: pre-shared keys are not supported",
		"pub -t a -m b --tls-engine x":                   "engines are not supported",
		"pub -t a -m b --cert x":                         "--cert and --key go together",
		"pub -t a -m b --cafile /nonexistent":            "--cafile: open /nonexistent",
		"pub -t a -m b --ciphers NONE":                   "--ciphers NONE: NONE is not a cipher suite",
		"pub -t a -m b --proxy http://x":                 "must begin with socks5h://",
		"pub -L foo://x -m b":                            "must begin with mqtt://",
		"pub -L mqtt://x -m b":                           "has no topic",
		"pub -t a -f /nonexistent":                       "-f: open /nonexistent",
		"pub -t a -s":                                    "standard input is empty",
		"pub -t a -m b -o /nonexistent":                  "options file: open /nonexistent",
		"pub -t a -m b -D publish foo bar":               `-D: "foo" is not a property`,
		"pub -t a -m b -D foo content-type bar":          `-D: "foo" is not a command`,
		"pub -t a -m b -D publish will-delay-interval 1": "does not belong to publish but to will",
		"pub -t a -m b -D publish user-property k":       "needs a key and a value",
		"pub -t a -m b -D publish":                       "too few words",
		"pub -t a -m b -D publish topic-alias 0":         "from 1 to 65535",
		"pub -t a -m b -D publish topic-alias abc":       "from 1 to 65535",
		"pub -t a -m b -D will content-type x":           "-D will needs --will-topic",
		"pub -t a -m b --repeat 0":                       "--repeat 0: must be a number of 1 or more",
		"rr -t a -m b":                                   "a topic for the response (-e)",
		"rr -t a -e b":                                   "a message (-m, -f, -n or -s)",
		"rr -t a -e b/# -m c":                            "-e b/#: not a topic to publish to",
		"rr -t a -e b -l":                                "-l is not an option",
		"rr -t a -e b -m c -C 2":                         "-C is not an option",
		"rr -t a -e b -m c -D publish response-topic d":  "contradicts -e",
		"rr -t a -e b -s":                                "standard input is empty",
		"sub":                                            "needs a filter to subscribe to (-t)",
		"sub -t a#":                                      "-t a#: not a topic filter",
		"sub -t a -R --retained-only":                    "exclude each other",
		"sub -t a -F %z":                                 "-F %z: %z is unknown",
		"sub -t a -F %":                                  "ends inside a % sequence",
		"pub -t a -m b -x -1":                            "give one with -i",
		"sub -t a -F %:t":                                "only %x and %X take a separator",
		"sub -t a --message-rate -v":                     "leave -F, -v",
		"sub -t a --retain-handling later":               "must be always, new or never",
		"pub -t a -m b --retain-handling new":            "--retain-handling is not an option",
		"sub -t a --latency":                             "--latency is not an option",
		`sub -t a -F \q`:                                 `\q is unknown`,
		"sub -t a -W 0":                                  "-W 0: must be",
		"sub -t a -C x":                                  "-C x: must be",
		"sub -t a --random-filter 0":                     "percentage",
		"pub -t a -m b -D connect content-type x":        "does not belong to connect",
		"pub -t a -m b -D publish content-type x -D publish content-type x": "given twice",
	} {
		words := strings.Fields(args)
		r := p.ours(words[0], "", words[1:]...)
		if r.status != 1 || r.out != "" || !strings.Contains(r.err, says) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: %+v, want %q", args, r, says)
		}
	}
}

// --help lists every option of the command with its help text, and nothing of the other command.
func TestHelp(t *testing.T) {
	p := &programs{t: t, dir: t.TempDir()}
	for name, command := range map[string]commands{"pub": forPub, "sub": forSub, "rr": forRR} {
		r := p.ours(name, "", "--help")
		if r.status != 0 || r.err != "" {
			t.Fatal(r)
		}
		for _, f := range flagTable() {
			line := "\n  " + strings.Join(f.names, ", ")
			if strings.Contains(r.out, line+" ") || strings.Contains(r.out, line+"\n") {
				if f.in&command == 0 {
					t.Errorf("%s --help shows %s", name, f.names[0])
				}
			} else if f.in&command != 0 {
				t.Errorf("%s --help misses %s", name, f.names[0])
			}
		}
		for line := range strings.Lines(r.out) {
			if len([]rune(line)) > 101 {
				t.Errorf("%s --help: line too long: %s", name, line)
			}
		}
	}
}
