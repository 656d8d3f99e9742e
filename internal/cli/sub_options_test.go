package cli

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

// The conversions and separators that mosquitto_sub has since 2.1.
func TestFormatsOf21(t *testing.T) {
	float := binary.NativeEndian.AppendUint32(nil, math.Float32bits(21.5))
	double := binary.NativeEndian.AppendUint64(nil, math.Float64bits(-0.125))
	for _, test := range []struct {
		format  string
		payload []byte
		want    string
	}{
		{"%f|%.1f|%8.2f|%-8.2f|%08.2f|", float, "21.500000|21.5|   21.50|21.50   |00021.50|"},
		{"%d|%.0d|%010.3d|", double, "-0.125000|-0|-00000.125|"},
		{"%x|%.2x|%.2:x|%.2:X|%.4-x|%.1_x|%.9:x", []byte{0xde, 0xad, 0xbe}, "deadbe|de ad be|de:ad:be|DE:AD:BE|dead-be|d_e_a_d_b_e|deadbe"},
		{"%08.2:x|%-8.2:x|", []byte{0xde, 0xad, 0xbe, 0xef}, "00:00:de:ad|de:ad    |"},
		{"%.2:x|%:x", nil, "|"},
	} {
		if err := checkFormat(test.format); err != nil {
			t.Error(err)
			continue
		}
		s := subscriber{o: new(options), format: parseFormat(test.format)}
		if err := s.formatMessage(&packet.Publish{Payload: test.payload}, time.Unix(0, 0)); err != nil || s.line.String() != test.want {
			t.Errorf("%s: %q %v, want %q", test.format, s.line.String(), err, test.want)
		}
	}
	for _, test := range []struct{ format, payload, says string }{
		{"<%f>", "abc", "%f needs a payload of 4 bytes, that of a/b has 3"},
		{"<%d>", "abcd", "%d needs a payload of 8 bytes, that of a/b has 4"},
	} {
		s := subscriber{o: new(options), format: parseFormat(test.format)}
		err := s.formatMessage(&packet.Publish{Topic: []byte("a/b"), Payload: []byte(test.payload)}, time.Unix(0, 0))
		if err == nil || err.Error() != test.says || s.line.String() != "<>" {
			t.Errorf("%s: %q %v", test.format, s.line.String(), err)
		}
	}
}

// -w writes each topic's latest message on the line that the topic got first.
func TestWatch(t *testing.T) {
	var screen bytes.Buffer
	var w watch
	out := newOutput(&screen)
	w.begin(out, "h")
	for _, m := range [][2]string{{"a", "one\n"}, {"b", "two\n"}, {"a", "three\n"}} {
		w.print(out.w, []byte(m[0]), m[1])
	}
	out.printf("")
	want := "\x1b[2J\x1b[1;1HBroker: h\n" + "\x1b[2;1H\x1b[Kone\n\x1b[2;1H\n" + "\x1b[3;1H\x1b[Ktwo\n\x1b[3;1H\n" + "\x1b[2;1H\x1b[Kthree\n\x1b[3;1H\n"
	if screen.String() != want {
		t.Errorf("%q", screen.String())
	}
	p := startPrograms(t, "")
	p.retainSamples()
	r := p.ours("sub", "", append(p.server(), "-t", "f/7", "-C", "1", "-w", "-F", "%t %p")...)
	if r.out != "\x1b[2J\x1b[1;1HBroker: 127.0.0.1\n\x1b[2;1H\x1b[Kf/7 0.30000000000000004\n\x1b[2;1H\n" {
		t.Errorf("%+v", r)
	}
}

// --message-rate counts every message once.
func TestMessageRate(t *testing.T) {
	p := startPrograms(t, "")
	p.retainSamples()
	r := p.ours("sub", "", append(p.server(), "-t", "f/#", "-C", "7", "--message-rate")...)
	sum := 0
	for line := range strings.Lines(r.out) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Errorf("%q", line)
		}
		sum += n
	}
	if sum != 7 || r.status != 0 {
		t.Errorf("%+v", r)
	}
	var text bytes.Buffer
	var m meter
	tick, end, ended := make(chan time.Time), make(chan struct{}), make(chan struct{})
	go func() { m.run(newOutput(&text), tick, end); close(ended) }()
	m.count.Add(2)
	tick <- time.Now()
	tick <- time.Now()
	m.count.Add(1)
	close(end)
	if <-ended; text.String() != "2\n0\n1\n" && text.String() != "2\n1\n" {
		t.Errorf("%q", text.String())
	}
}

// --retain-handling is in the subscription, and goes before what -R asks for.
func TestRetainHandling(t *testing.T) {
	p := startPrograms(t, "")
	p.retainSamples()
	for args, want := range map[string]string{
		"":                         "Options: 0x00",
		"--retain-handling always": "Options: 0x00",
		"--retain-handling new":    "Options: 0x10",
		"--retain-handling never":  "Options: 0x20",
		"-R":                       "Options: 0x20",
		"-R --retain-handling new": "Options: 0x10",
		"--retain-handling new -R": "Options: 0x10",
		"-q 1 --retain-handling new --retain-as-published": "QoS: 1, Options: 0x18",
	} {
		words := append(p.server(), strings.Fields("-V 5 -t f/7 -E -d -i e "+args)...)
		if r := p.ours("sub", "", words...); r.status != 0 || !strings.Contains(r.out, want) {
			t.Errorf("%q: %+v, want %s", args, r, want)
		}
	}
	r := p.ours("sub", "", append(p.server(), strings.Fields("-V 5 -t f/7 -C 1 --retain-handling new")...)...)
	if r.out != "0.30000000000000004\n" || r.status != 0 {
		t.Errorf("%+v", r)
	}
}

func TestLatency(t *testing.T) {
	for d, want := range map[time.Duration]string{
		7: "7ns", 1500: "1.500000µs", 2_250_000: "2.250000ms", 3*time.Second + 5: "3.000000005",
	} {
		if got := latency(d); got != want {
			t.Errorf("%d: %s", d, got)
		}
	}
	p := startPrograms(t, "")
	p.respond()
	r := p.ours("rr", "", append(p.server(), strings.Fields("-t x/ask -e x/answer -m m --latency")...)...)
	if !regexp.MustCompile(`^<m>\nLatency: [0-9.]+(ns|µs|ms)?\n$`).MatchString(r.out) || r.status != 0 {
		t.Errorf("%+v", r)
	}
}

// Multipath TCP falls back to TCP, and the key log has what a 1.3 handshake leaves.
func TestOptionsOfTheTransport(t *testing.T) {
	dir := t.TempDir()
	writeCertificates(t, dir)
	port := mosquittotest.Port(t)
	p := startPrograms(t, "listener "+port+" 127.0.0.1\ncafile "+dir+"/ca.crt\ncertfile "+dir+"/broker.test.crt\nkeyfile "+dir+"/broker.test.key\n")
	if r := p.ours("pub", "", append(p.server(), "-t", "x/m", "-m", "m", "-q", "1", "--mptcp")...); r.status != 0 {
		t.Errorf("%+v", r)
	}
	keys := filepath.Join(dir, "keys")
	words := strings.Fields("-h 127.0.0.1 -p " + port + " -t x/m -m m -q 1 --insecure --cafile " + dir + "/ca.crt --tls-keylog ")
	for range 2 { // the second one appends
		if r := p.ours("pub", "", append(words, keys)...); r.status != 0 {
			t.Fatalf("%+v", r)
		}
	}
	text, err := os.ReadFile(keys)
	if err != nil || strings.Count(string(text), "CLIENT_TRAFFIC_SECRET_0 ") != 2 {
		t.Errorf("%q %v", text, err)
	}
	if r := p.ours("pub", "", append(words, dir)...); r.status == 0 || !strings.Contains(r.err, "--tls-keylog") {
		t.Errorf("%+v", r)
	}
}
