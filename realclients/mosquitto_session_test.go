package realclients

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// away makes a session with one subscription and leaves it.
func (s *Server) away(t testing.TB, args ...string) {
	t.Helper()
	run(t, "", "mosquitto_sub", append([]string{"-p", s.Port, "-c", "-E"}, args...)...)
}

// [MQTT-3.1.2-5] [MQTT-4.4.0-1]: a session keeps what comes in QoS 1 and 2 while its client is away, in order.
func TestMosquittoSessionResumes(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		s := Start(t)
		who := []string{"-i", "keeper", "-V", version, "-q", "2", "-t", "letters/#"}
		s.away(t, who...)
		want := make(map[int]string) // by QoS, because a client hands a message of QoS 2 on when it is released
		for i := range 20 {
			s.pub(t, "-V", version, "-q", fmt.Sprint(1+i%2), "-t", fmt.Sprintf("letters/%d", i%3), "-m", fmt.Sprint("letter ", i))
			want[1+i%2] += fmt.Sprintf("%d letters/%d letter %d\n", 1+i%2, i%3, i)
		}
		args := append([]string{"-p", s.Port, "-c", "-C", "20", "-F", "%q %t %p"}, who...)
		got := make(map[int]string)
		for line := range strings.Lines(run(t, "", "mosquitto_sub", args...)) {
			got[int(line[0]-'0')] += line
		}
		for qos := 1; qos <= 2; qos++ {
			if got[qos] != want[qos] {
				t.Errorf("after the pause:\n%s\nwant:\n%s", got[qos], want[qos])
			}
		}
	})
}

// [MQTT-3.1.2-4]: who begins anew finds nothing of the old session.
func TestMosquittoCleanStartForgets(t *testing.T) {
	s := Start(t)
	s.away(t, "-i", "keeper", "-q", "1", "-t", "letters")
	s.pub(t, "-q", "1", "-t", "letters", "-m", "old")
	fresh := s.sub(t, "-i", "keeper", "-q", "1", "-t", "other")
	s.pub(t, "-q", "1", "-t", "letters", "-m", "new")
	s.pub(t, "-q", "1", "-t", "other", "-m", "marker")
	expect(t, fresh, "marker")
}

// [MQTT-3.1.2-23]: with a Session Expiry Interval of 0 nothing is kept, with 60 s it is.
func TestMosquittoSessionExpiry(t *testing.T) {
	s := Start(t)
	who := []string{"-i", "keeper", "-V", "mqttv5", "-q", "1", "-t", "letters"}
	s.away(t, append(who, "-x", "60")...)
	s.pub(t, "-q", "1", "-t", "letters", "-m", "kept")
	args := append([]string{"-p", s.Port, "-c", "-C", "1"}, who...)
	if out := run(t, "", "mosquitto_sub", args...); out != "kept\n" {
		t.Errorf("printed %q", out)
	}
	run(t, "", "mosquitto_sub", append([]string{"-p", s.Port, "-E"}, who...)...)
	s.pub(t, "-q", "1", "-t", "letters", "-m", "lost")
	again := s.sub(t, append(who, "-c", "-x", "60")...)
	s.pub(t, "-q", "1", "-t", "letters", "-m", "marker")
	expect(t, again, "marker")
}

// A file of a MiB passes unharmed, live, queued and retained.
func TestMosquittoLargeFile(t *testing.T) {
	content := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(content)
	file := filepath.Join(t.TempDir(), "picture")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for qos := range 3 {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			s := Start(t)
			live := s.sub(t, "-q", fmt.Sprint(qos), "-t", "camera", "-F", "%t %l %x")
			s.away(t, "-i", "later", "-q", fmt.Sprint(qos), "-t", "camera")
			s.pub(t, "-q", fmt.Sprint(qos), "-t", "camera", "-f", file, "-r")
			if got, want := live.Next(t), fmt.Sprintf("camera %d %x", len(content), content); got != want {
				t.Errorf("live: %d characters %s..., want %d", len(got), shorten(got[:min(20, len(got))]), len(want))
			}
			same(t, "retained", run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "camera", "-C", "1", "-N"), content)
			if qos > 0 {
				out := run(t, "", "mosquitto_sub", "-p", s.Port, "-i", "later", "-c", "-q", "2", "-t", "other", "-C", "1", "-N")
				same(t, "queued", out, content)
			}
		})
	}
}

func same(t *testing.T, how, got string, want []byte) {
	t.Helper()
	if !bytes.Equal([]byte(got), want) {
		t.Errorf("%s: %d bytes with sum %x, want %d with %x", how, len(got), sha256.Sum256([]byte(got)), len(want), sha256.Sum256(want))
	}
}

// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]: the properties of a message
// arrive as they were sent.
func TestMosquittoProperties(t *testing.T) {
	s := Start(t)
	const format = `%t|%F|%C|%R|%D|%P|%p`
	live := s.sub(t, "-V", "mqttv5", "-q", "1", "-t", "props", "-F", format)
	who := []string{"-V", "mqttv5", "-i", "later", "-q", "1", "-t", "props", "-F", format}
	s.away(t, append(who, "-x", "100")...)
	s.pub(t, "-V", "mqttv5", "-q", "1", "-r", "-t", "props", "-m", "21.5",
		"-D", "publish", "payload-format-indicator", "1",
		"-D", "publish", "content-type", "text/plain",
		"-D", "publish", "response-topic", "answers/here",
		"-D", "publish", "correlation-data", "c0ffee",
		"-D", "publish", "user-property", "unit", "°C",
		"-D", "publish", "user-property", "unit", "K",
		"-D", "publish", "user-property", "", "")
	const want = "props|1|text/plain|answers/here|c0ffee|unit:°C unit:K :|21.5"
	expect(t, live, want)
	for how, args := range map[string][]string{
		"queued":   append([]string{"-p", s.Port, "-c", "-C", "1"}, who...),
		"retained": {"-p", s.Port, "-V", "mqttv5", "-t", "props", "-F", format, "-C", "1"},
	} {
		if out := run(t, "", "mosquitto_sub", args...); out != want+"\n" {
			t.Errorf("%s: %q, want %q", how, out, want)
		}
	}
	if out := run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "props", "-C", "1"); out != "21.5\n" {
		t.Errorf("3.1.1: %q", out)
	}
}

// The properties of a will are those of its message. [MQTT-3.1.2-8]
func TestMosquittoWillProperties(t *testing.T) {
	s := Start(t)
	watch := s.sub(t, "-V", "mqttv5", "-t", "status", "-F", "%C|%R|%P|%p")
	dies := s.sub(t, "-V", "mqttv5", "-t", "x", "--will-topic", "status", "--will-payload", "dead",
		"-D", "will", "content-type", "text/plain", "-D", "will", "response-topic", "revive",
		"-D", "will", "user-property", "why", "unknown")
	if err := dies.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	expect(t, watch, "text/plain|revive|why:unknown|dead")
}

// [MQTT-3.3.4-3] [MQTT-3.3.4-4]: a message carries the identifier of the subscription that it matches.
func TestMosquittoSubscriptionIdentifier(t *testing.T) {
	s := Start(t)
	sub := s.sub(t, "-V", "mqttv5", "-t", "a/+", "-D", "subscribe", "subscription-identifier", "268435455", "-F", "%S %p")
	s.pub(t, "-t", "a/b", "-m", "x")
	expect(t, sub, "268435455 x")
}

// [MQTT-3.3.2-5] [MQTT-3.3.2-6]: what is too old is not delivered, neither from the queue nor as a retained message; what
// is not yet too old says how much is left.
func TestMosquittoMessageExpiry(t *testing.T) {
	s := Start(t)
	notMosquitto(t, s, "2.0.11 delivers what expired in a queue")
	s.away(t, "-V", "mqttv5", "-i", "later", "-x", "100", "-q", "1", "-t", "bread")
	s.pub(t, "-V", "mqttv5", "-q", "1", "-t", "bread", "-m", "stale", "-D", "publish", "message-expiry-interval", "1")
	s.pub(t, "-V", "mqttv5", "-q", "1", "-t", "bread", "-m", "fresh", "-D", "publish", "message-expiry-interval", "1000")
	s.pub(t, "-V", "mqttv5", "-q", "1", "-r", "-t", "cake", "-m", "stale", "-D", "publish", "message-expiry-interval", "1")
	for there := true; there; { // each turn looks at the retained message, until it is gone
		look := s.sub(t, "-t", "cake", "-F", "%r %p")
		s.pub(t, "-t", "cake", "-m", "marker")
		look.Until(t, "0 marker")
		there = strings.Contains(look.String(), "1 stale")
		look.signal(t, os.Interrupt)
		look.exit(t)
	}
	out := run(t, "", "mosquitto_sub", "-V", "mqttv5", "-p", s.Port, "-c", "-x", "100", "-i", "later", "-q", "1", "-t", "bread", "-C", "1", "-F", "%E %p")
	left, payload, _ := strings.Cut(strings.TrimSpace(out), " ")
	var seconds int
	if _, err := fmt.Sscan(left, &seconds); err != nil || payload != "fresh" || seconds < 900 || seconds >= 1000 {
		t.Errorf("printed %q, want less than 1000 s and fresh", out)
	}
}

// Request and response between strangers: mosquitto_rr asks, a pair of mosquitto_sub and mosquitto_pub answers.
func TestMosquittoRequestResponse(t *testing.T) {
	s := Start(t)
	server := s.sub(t, "-V", "mqttv5", "-q", "1", "-t", "ask/time", "-F", "%R|%D|%p")
	asks := start(t, "mosquitto_rr", "-p", s.Port, "-V", "mqttv5", "-q", "1", "-t", "ask/time", "-e", "answer/7", "-m", "what time is it",
		"-D", "publish", "correlation-data", "nr7", "-W", "30")
	expect(t, server, "answer/7|nr7|what time is it")
	s.pub(t, "-V", "mqttv5", "-q", "1", "-t", "answer/7", "-m", "noon", "-D", "publish", "correlation-data", "nr7")
	expect(t, asks, "noon")
	if code := asks.exit(t); code != 0 {
		t.Errorf("mosquitto_rr ended with %d", code)
	}
}

// Receive Maximum of one and a Maximum Packet Size: the client gets all, one at a time, but what is too large. [MQTT-3.1.2-24]
func TestMosquittoLimitsOfTheClient(t *testing.T) {
	s := Start(t)
	notMosquitto(t, s, "2.0.11 lets a message that is too large block those behind it")
	sub := s.sub(t, "-V", "mqttv5", "-q", "2", "-t", "narrow", "-D", "connect", "receive-maximum", "1",
		"-D", "connect", "maximum-packet-size", "200")
	s.pub(t, "-q", "1", "-t", "narrow", "-m", strings.Repeat("x", 300))
	for i := range 50 {
		s.pub(t, "-q", fmt.Sprint(1+i%2), "-t", "narrow", "-m", fmt.Sprint(i))
	}
	for i := range 50 {
		expect(t, sub, fmt.Sprint(i))
	}
}
