//go:build unix

package realclients

import (
	"strings"
	"syscall"
	"testing"

	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

// at starts another program with the file mosquitto.conf, which is Nightjar itself with "".
func (h *house) at(program string) {
	h.t.Helper()
	if program == "" {
		h.open()
		return
	}
	h.p = start(h.t, program, "-c", h.path("mosquitto.conf"))
	h.p.stderr.Until(h.t, " running")
}

// end ends the broker with a signal.
func (h *house) end(s syscall.Signal) {
	h.t.Helper()
	h.p.signal(h.t, s)
	h.p.exit(h.t)
}

// cloudConf is a broker with TLS, users and passwords.
const cloudConf = `user root
persistence true
persistence_location <dir>/
autosave_interval 1
autosave_on_changes true
password_file <dir>/users
listener <a> 127.0.0.1
certfile <dir>/server.crt
keyfile <dir>/server.key
`

// homeConf is a broker with a bridge to localhost:CLOUD.
const homeConf = `user root
persistence true
persistence_location <dir>/
listener <a> 127.0.0.1
allow_anonymous true
connection cloud
address localhost:CLOUD
remote_username house
remote_password secret
bridge_cafile AUTHORITY
restart_timeout 1
keepalive_interval 5
topic sensors/# out 1 "" house7/
topic lamps/# both 1 "" house7/
`

// town is a house with a broker, the cloud with another one, and a phone there.
type town struct {
	home, cloud *house
	program     string // of the cloud
	phone       []string
}

func newTown(t *testing.T, program string) *town {
	t.Helper()
	w := &town{home: newHouse(t), cloud: newHouse(t), program: program}
	certify(t, w.cloud)
	w.cloud.write("users", "")
	for _, user := range []string{"house", "phone"} {
		run(t, "", "mosquitto_passwd", "-b", w.cloud.path("users"), user, "secret")
	}
	w.cloud.write("mosquitto.conf", cloudConf)
	w.home.write("mosquitto.conf", strings.NewReplacer("CLOUD", w.cloud.ports["a"], "AUTHORITY", w.cloud.path("ca.crt")).Replace(homeConf))
	w.phone = []string{"-h", "localhost", "--cafile", w.cloud.path("ca.crt"), "-u", "phone", "-P", "secret", "-q", "1"}
	w.cloud.at(program)
	w.home.open()
	return w
}

// linked waits until the bridge is connected.
func (w *town) linked() { w.home.p.stderr.Until(w.home.t, "a bridge is connected") }

// measure is the device at home: it publishes temperature and humidity.
func (w *town) measure(temperature, humidity string) {
	w.home.t.Helper()
	w.home.pub("a", "-t", "sensors/temperature", "-m", temperature, "-r", "-q", "1")
	w.home.pub("a", "-t", "sensors/humidity", "-m", humidity, "-r", "-q", "1")
}

// press is the phone: it switches the lamp.
func (w *town) press(state string) {
	w.home.t.Helper()
	w.cloud.pub("a", append([]string{"-t", "house7/lamps/kitchen", "-m", state, "-r"}, w.phone...)...)
}

// agree waits until the retained messages of both brokers are these.
func (w *town) agree(want string) {
	t := w.home.t
	t.Helper()
	retained := func(args ...string) string {
		out := w.home.runLine("mosquitto_sub " + strings.Join(args, " ") + " -v --retained-only -C 3 -W 5")
		_, out, _ = strings.Cut(strings.ReplaceAll(out, "house7/", ""), ": ")
		all := map[string]string{}
		for _, l := range strings.Split(out, " / ") {
			name, value, _ := strings.Cut(l, " ")
			all[name] = value
		}
		return all["sensors/temperature"] + " " + all["sensors/humidity"] + " " + all["lamps/kitchen"]
	}
	var here, there string
	await(t, "both brokers having "+want, func() (string, bool) {
		here = retained("-p", w.home.ports["a"], "-t", "sensors/#", "-t", "lamps/#")
		there = retained(append([]string{"-p", w.cloud.ports["a"], "-t", "house7/#"}, w.phone...)...)
		return "", here == want && there == want
	})
}

// A house with a broker in the cloud: what the device measures gets there and the lamp is switched from there, also when the
// cloud stops, when it is killed and when the broker of the house is killed. What happened meanwhile comes afterwards.
func TestCloud(t *testing.T) {
	for name, program := range map[string]func(t *testing.T) string{
		"nightjar":  func(t *testing.T) string { return "" },
		"mosquitto": func(t *testing.T) string { return mosquittotest.Program(t, "mosquitto") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, program(t))
			w.linked()
			lamp := start(t, "mosquitto_sub", "-p", w.home.ports["a"], "-t", "lamps/#", "-q", "1", "-i", "lamp", "-c")
			w.measure("20", "50")
			w.press("on")
			lamp.Until(t, "on")
			w.agree("20 50 on")
			for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
				temperature := map[syscall.Signal]string{syscall.SIGTERM: "21", syscall.SIGKILL: "22"}[s]
				w.cloud.end(s)
				w.home.p.stderr.Until(t, "a bridge has lost its connection")
				w.measure("19", "49")
				w.measure(temperature, "51")
				w.cloud.at(w.program)
				w.linked()
				w.press("off " + temperature)
				lamp.Until(t, "off "+temperature)
				w.agree(temperature + " 51 off " + temperature)
			}
			w.home.end(syscall.SIGKILL)
			w.press("on again")
			w.home.open()
			lamp.Until(t, "on again")
			w.measure("23", "52")
			w.agree("23 52 on again")
		})
	}
}

// A reload starts, changes and ends bridges; the others notice nothing. The metrics tell of each.
func TestBridgesReload(t *testing.T) {
	there, here := newHouse(t), newHouse(t)
	there.write("mosquitto.conf", "user root\nlistener <a> 127.0.0.1\nallow_anonymous true\n")
	there.open()
	got := there.sub("a", "#", "-v", "-q", "1")
	const base = "user root\nallow_anonymous true\nlistener <a> 127.0.0.1\nlistener <b> 127.0.0.1\nprotocol http_api\n"
	bridge := func(name, topic string) string {
		return "connection " + name + "\naddress 127.0.0.1:" + there.ports["a"] + "\nrestart_timeout 1\nnotifications false\ntopic " + topic + " out 1\n"
	}
	const connected = "nightjar_bridge_connected{bridge="
	metrics := func(ready func(text string) bool) {
		t.Helper()
		await(t, "the metrics", func() (string, bool) {
			_, text := here.get("b", "/metrics", "", "")
			return text, ready(text)
		})
	}
	reload := func(conf string) {
		t.Helper()
		here.write("mosquitto.conf", conf)
		here.p.signal(t, syscall.SIGHUP)
		here.p.stderr.Until(t, "was reloaded")
	}
	here.write("mosquitto.conf", base+bridge("stays", "stays/#")+bridge("changes", "before/#"))
	here.open()
	metrics(func(s string) bool {
		return strings.Contains(s, connected+`"stays"} 1`) && strings.Contains(s, connected+`"changes"} 1`)
	})
	here.pub("a", "-t", "before/x", "-m", "1", "-q", "1")
	got.Until(t, "before/x 1")

	reload(base + bridge("new", "new/#") + bridge("stays", "stays/#") + bridge("changes", "after/#"))
	for _, name := range []string{"new/x", "stays/x", "after/x"} {
		await(t, "the subscription for "+name, func() (int, bool) {
			_, text := here.get("b", "/metrics", "", "")
			return 0, strings.Contains(text, connected+`"new"} 1`) && strings.Contains(text, connected+`"stays"} 1`) &&
				strings.Contains(text, connected+`"changes"} 1`)
		})
		here.pub("a", "-t", name, "-m", "2", "-q", "1")
		got.Until(t, name+" 2")
	}
	if n := strings.Count(here.p.stderr.String(), "bridge stays,"); n != 1 {
		t.Errorf("the log has %d lines about the bridge that stays, want 1", n)
	}

	reload(base + bridge("stays", "stays/#"))
	metrics(func(s string) bool { return strings.Count(s, connected) == 1 })
	here.pub("a", "-t", "after/x", "-m", "3", "-q", "1")
	here.pub("a", "-t", "stays/x", "-m", "3", "-q", "1")
	got.Until(t, "stays/x 3")
	if strings.Contains(got.String(), "after/x 3") {
		t.Error("a bridge that was removed passes on")
	}
	metrics(func(s string) bool { return metric(t, s, `nightjar_bridge_sent_total{bridge="stays"}`) == 2 })
}

// The log says where the fault is and what to do about it.
func TestBridgeFaults(t *testing.T) {
	w := newTown(t, "")
	w.linked()
	for fault, says := range map[string][]string{
		"bridge_cafile <ca>/other.crt\nremote_username house\nremote_password secret\n": {"unknown authority", "bridge_cafile"},
		"bridge_cafile <ca>/ca.crt\nremote_username house\nremote_password wrong\n":     {"remote_password"},
		"remote_username house\n": {"a bridge cannot connect"},
	} {
		h := newHouse(t)
		h.write("mosquitto.conf", strings.NewReplacer("<cloud>", w.cloud.ports["a"], "<ca>", w.cloud.dir).Replace(
			"user root\nlistener <a> 127.0.0.1\nconnection cloud\naddress localhost:<cloud>\ntopic x/# out 1\n"+fault))
		h.open()
		h.p.stderr.Until(t, append(says, "mosquitto.conf:3")...)
	}
	for fault, says := range map[string]string{
		"topic x/# out 1\nbridge_cafile <dir>/none.crt\n": "bridge_cafile",
		"bridge_cafile <dir>/none.crt\n":                  "no topic",
		"topic x/# out 1 l+/\n":                           "write prefixes without wildcards",
	} {
		h := newHouse(t)
		h.write("mosquitto.conf", "user root\nlistener <a> 127.0.0.1\nconnection cloud\naddress localhost:8883\n"+fault)
		p := start(t, h.link(), "-c", h.path("mosquitto.conf"))
		if code := p.exit(t); code == 0 || !containsAll(p.stderr.String(), []string{says, "mosquitto.conf:"}) {
			t.Errorf("%q: exit status %d, %s", fault, code, p.stderr)
		}
	}
}

// What a bridge's own queue has no room for is counted, and the rest comes when the other broker is there.
func TestBridgeQueue(t *testing.T) {
	there, here := newHouse(t), newHouse(t)
	there.write("mosquitto.conf", "user root\nlistener <a> 127.0.0.1\nallow_anonymous true\n")
	here.write("mosquitto.conf", "user root\nallow_anonymous true\nlistener <a> 127.0.0.1\nlistener <b> 127.0.0.1\nprotocol http_api\n"+
		"connection far\naddress 127.0.0.1:"+there.ports["a"]+"\nrestart_timeout 1\nbridge_queue_messages 2\nnotifications false\ntopic x out 1\n")
	here.open()
	here.p.stderr.Until(t, "a bridge cannot connect", "refused") // so its session is there
	for _, m := range []string{"1", "2", "3", "4", "5"} {
		here.pub("a", "-t", "x", "-m", m, "-q", "1")
	}
	_, text := here.get("b", "/metrics", "", "")
	for name, want := range map[string]float64{
		`nightjar_bridge_connected{bridge="far"}`: 0, `nightjar_bridge_queue_messages{bridge="far"}`: 2,
		`nightjar_bridge_queue_dropped_total{bridge="far",cause="queue full"}`: 3,
		`nightjar_bridge_queue_dropped_total{bridge="far",cause="expired"}`:    0,
	} {
		if got := metric(t, text, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	there.open()
	await(t, "the end of the queue", func() (int, bool) {
		_, text := here.get("b", "/metrics", "", "")
		return 0, metric(t, text, `nightjar_bridge_queue_messages{bridge="far"}`) == 0 && metric(t, text, `nightjar_bridge_sent_total{bridge="far"}`) == 2
	})
}
