package realclients

import (
	"fmt"
	"strings"
	"testing"
)

// The programs that everybody tries first. [MQTT-3.8.4-8] and the rest of section 4.3 show in what they print.

const sentinel = "subscribed-a81f"

// pub runs mosquitto_pub, which has to succeed.
func (s *Server) pub(t testing.TB, args ...string) {
	t.Helper()
	run(t, "", "mosquitto_pub", append([]string{"-p", s.Port}, args...)...)
}

// sub starts mosquitto_sub and returns once its subscriptions are there: the program is given one more filter, under which
// a retained message waits.
func (s *Server) sub(t testing.TB, args ...string) *beside {
	t.Helper()
	s.subs++
	topic := fmt.Sprint(sentinel, "/", s.subs)
	s.pub(t, "-t", topic, "-m", sentinel, "-r", "-q", "1")
	p := start(t, "mosquitto_sub", append([]string{"-p", s.Port, "-t", topic}, args...)...)
	p.Until(t, sentinel)
	return p
}

// notMosquitto skips what Debian's mosquitto is known to do differently, when it is the broker under test.
func notMosquitto(t testing.TB, s *Server, why string) {
	t.Helper()
	if s.Log == nil {
		t.Skip("mosquitto " + why)
	}
}

func expect(t testing.TB, p *beside, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if got := p.Next(t); got != want {
			t.Fatalf("printed %q, want %q", got, want)
		}
	}
}

func versions(t *testing.T, test func(t *testing.T, version string)) {
	for _, v := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		t.Run(v, func(t *testing.T) { test(t, v) })
	}
}

// [MQTT-3.8.4-8]: a message arrives with the lower of the two QoS.
func TestMosquittoQoS(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		s := Start(t)
		for granted := range 3 {
			sub := s.sub(t, "-V", version, "-q", fmt.Sprint(granted), "-t", "kitchen/#", "-F", "%t %q %r %l %p")
			for sent := range 3 {
				s.pub(t, "-V", version, "-q", fmt.Sprint(sent), "-t", "kitchen/temperature", "-m", "21.5")
				expect(t, sub, fmt.Sprintf("kitchen/temperature %d 0 4 21.5", min(granted, sent)))
			}
		}
	})
}

// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-12]: the last retained message comes to who subscribes later, until an empty one
// clears it.
func TestMosquittoRetained(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		s := Start(t)
		s.pub(t, "-V", version, "-t", "house/door", "-m", "open", "-r")
		s.pub(t, "-V", version, "-t", "house/door", "-m", "shut", "-r", "-q", "1")
		s.pub(t, "-V", version, "-t", "house/window", "-m", "live")
		out := run(t, "", "mosquitto_sub", "-p", s.Port, "-V", version, "-q", "2", "-t", "house/+", "-C", "1", "-F", "%q %r %t %p")
		if out != "1 1 house/door shut\n" {
			t.Fatalf("printed %q", out)
		}
		sub := s.sub(t, "-V", version, "-t", "house/+", "-F", "%r %t %l %p")
		s.pub(t, "-V", version, "-t", "house/door", "-n", "-r", "-q", "1")
		sub.Until(t, "0 house/door 0 ") // who is there already learns of it

		late := s.sub(t, "-V", version, "-t", "house/+", "-F", "%r %t %p")
		s.pub(t, "-V", version, "-t", "house/door", "-m", "marker")
		late.Until(t, "marker")
		if strings.Contains(late.String(), "1 house/door") {
			t.Errorf("a cleared message was delivered: %q", late)
		}
	})
}

// [MQTT-3.3.1-13] and its opposite: Retain As Published.
func TestMosquittoRetainAsPublished(t *testing.T) {
	s := Start(t)
	plain := s.sub(t, "-V", "mqttv5", "-t", "a", "-F", "%r %p")
	kept := s.sub(t, "-V", "mqttv5", "-t", "a", "-F", "%r %p", "--retain-as-published")
	s.pub(t, "-t", "a", "-m", "x", "-r")
	expect(t, plain, "0 x")
	expect(t, kept, "1 x")
}

// [MQTT-3.1.2-8]: the will of a client that dies is published, retained if it says so.
func TestMosquittoWill(t *testing.T) {
	versions(t, func(t *testing.T, version string) {
		s := Start(t)
		watch := s.sub(t, "-V", version, "-q", "1", "-t", "boiler/status", "-F", "%q %r %t %p")
		dies := s.sub(t, "-V", version, "-i", "boiler", "-t", "boiler/set", "--will-topic", "boiler/status",
			"--will-payload", "dead", "--will-qos", "1", "--will-retain")
		if err := dies.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		expect(t, watch, "1 0 boiler/status dead")
		out := run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "boiler/status", "-C", "1", "-F", "%r %p")
		if out != "1 dead\n" {
			t.Errorf("retained will: %q", out)
		}
	})
}

// [MQTT-3.14.4-3]: a client that says goodbye has no will any more.
func TestMosquittoWillNotPublishedAfterDisconnect(t *testing.T) {
	s := Start(t)
	watch := s.sub(t, "-t", "boiler/status")
	run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "x", "-E", "--will-topic", "boiler/status", "--will-payload", "dead")
	s.pub(t, "-t", "boiler/status", "-m", "marker")
	expect(t, watch, "marker")
}

// [MQTT-3.1.3-9]: a will waits for its delay; it is published when the time is over.
func TestMosquittoWillDelay(t *testing.T) {
	s := Start(t)
	watch := s.sub(t, "-V", "mqttv5", "-t", "boiler/#", "-F", "%t %p")
	dies := func(topic, delay string) *beside {
		return s.sub(t, "-V", "mqttv5", "-i", topic, "-c", "-x", "60", "-t", "other", "--will-topic", topic,
			"--will-payload", "dead", "-D", "will", "will-delay-interval", delay)
	}
	for _, p := range []*beside{dies("boiler/late", "3"), dies("boiler/soon", "0")} {
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, watch, "boiler/soon dead", "boiler/late dead")
}

// [MQTT-4.6.0-6]: a thousand lines of one publisher keep their order, in every QoS.
func TestMosquittoLines(t *testing.T) {
	for qos := range 3 {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			s := Start(t)
			sub := s.sub(t, "-q", fmt.Sprint(qos), "-t", "log")
			var in, want []string
			for i := range 1000 {
				in, want = append(in, fmt.Sprintf("line %d\n", i)), append(want, fmt.Sprintf("line %d", i))
			}
			run(t, strings.Join(in, ""), "mosquitto_pub", "-p", s.Port, "-q", fmt.Sprint(qos), "-t", "log", "-l")
			expect(t, sub, want...)
		})
	}
}

func TestMosquittoSysTree(t *testing.T) {
	s := Start(t)
	out := run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "$SYS/broker/version", "-C", "1")
	if !strings.Contains(out, "version") {
		t.Errorf("$SYS/broker/version is %q", out)
	}
	out = run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "$SYS/#", "-C", "30", "-F", "%t")
	if n := strings.Count(out, "$SYS/broker/"); n != 30 {
		t.Errorf("%d of 30 lines are topics of $SYS:\n%s", n, out)
	}
	run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "$SYS/broker/uptime", "-C", "2") // it goes on
}

// [MQTT-4.7.2-1]: # does not match what begins with $.
func TestMosquittoDollarTopics(t *testing.T) {
	s := Start(t)
	sub := s.sub(t, "-t", "#", "-t", "+/broker/version", "-v")
	s.pub(t, "-t", "$SYSTEM/x", "-m", "hidden")
	s.pub(t, "-t", "marker", "-m", "seen")
	sub.Until(t, "marker seen")
	if strings.Contains(sub.String(), "$SYS") {
		t.Errorf("# matched a topic that begins with $:\n%s", sub)
	}
}

// 4.8.2: each message of a shared subscription goes to one member of the group, and a member that leaves is missed by
// nobody. [MQTT-4.8.2-4] [MQTT-4.8.2-6]
func TestMosquittoShared(t *testing.T) {
	s := Start(t)
	const messages = 90
	var members []*beside
	for range 3 {
		members = append(members, s.sub(t, "-q", "1", "-t", "$share/workers/jobs/#", "-t", "end"))
	}
	outside := s.sub(t, "-q", "1", "-t", "jobs/#")
	for i := range messages {
		s.pub(t, "-q", "1", "-t", fmt.Sprintf("jobs/%d", i%7), "-m", fmt.Sprintf("job %d", i))
	}
	for i := range messages {
		expect(t, outside, fmt.Sprintf("job %d", i))
	}
	s.pub(t, "-q", "1", "-t", "end", "-m", "end") // each member has this filter for itself
	seen := make(map[string]int)
	for _, m := range members {
		m.Until(t, "end")
		if strings.Count(m.String(), "job") == 0 {
			t.Errorf("a member was given nothing")
		}
		for line := range strings.Lines(m.String()) {
			if job, ok := strings.CutPrefix(strings.TrimSpace(line), "job "); ok {
				seen[job]++
			}
		}
	}
	for i := range messages {
		if n := seen[fmt.Sprint(i)]; n != 1 {
			t.Errorf("job %d was delivered %d times", i, n)
		}
	}
}

// mosquitto_sub's own tools for retained messages.
func TestMosquittoRemoveRetained(t *testing.T) {
	s := Start(t)
	for _, room := range []string{"bath", "hall", "attic"} {
		s.pub(t, "-t", "old/"+room, "-m", "x", "-r", "-q", "1")
	}
	cleared := s.sub(t, "-q", "1", "-t", "old/#", "-F", "%r %l %p")
	start(t, "mosquitto_sub", "-p", s.Port, "-t", "old/#", "--remove-retained", "-q", "1")
	for range 3 {
		cleared.Until(t, "0 0 ")
	}
	watch := s.sub(t, "-t", "old/#", "-F", "%r %t %p")
	s.pub(t, "-t", "old/marker", "-m", "x")
	watch.Until(t, "old/marker")
	if strings.Contains(watch.String(), "1 old/") {
		t.Errorf("retained messages are still there:\n%s", watch)
	}
}

func TestMosquittoUnixSocket(t *testing.T) {
	s := Start(t)
	sub := s.sub(t, "-t", "by/socket")
	run(t, "", "mosquitto_pub", "--unix", s.Socket, "-t", "by/socket", "-m", "hello", "-q", "2")
	expect(t, sub, "hello")
	s.pub(t, "-t", "kept", "-m", "there", "-r", "-q", "1")
	if out := run(t, "", "mosquitto_sub", "--unix", s.Socket, "-t", "kept", "-C", "1"); out != "there\n" {
		t.Errorf("subscriber on the socket printed %q", out)
	}
}

// Topics that are allowed and unusual: empty levels, spaces, other scripts. [MQTT-4.7.3-4]
func TestMosquittoTopics(t *testing.T) {
	s := Start(t)
	sub := s.sub(t, "-t", "odd/#", "-F", "%t %p")
	for _, topic := range []string{"odd", "odd/", "odd//x", "odd/two words", "odd/küche/温度/🌡", "odd/" + strings.Repeat("x", 60000),
		"odd" + strings.Repeat("/y", 100)} {
		s.pub(t, "-t", topic, "-m", "1")
		expect(t, sub, topic+" 1")
	}
}
