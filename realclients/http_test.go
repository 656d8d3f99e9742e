//go:build unix

package realclients

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// get asks the HTTP API of a listener, and returns status and body.
func (h *house) get(letter, path, user, password string) (int, string) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), "GET", "http://127.0.0.1:"+h.ports[letter]+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	return answered(h.t, r)
}

func answered(t testing.TB, r *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// metric returns a value of the text format of Prometheus.
func metric(t testing.TB, text, name string) float64 {
	t.Helper()
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(text)
	if line == nil {
		t.Fatalf("no metric %s in\n%s", name, text)
	}
	v, err := strconv.ParseFloat(line[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A listener with protocol http_api tells what $SYS tells, to users only where the file names users; health is told to
// everybody, and MQTT is not spoken there.
func TestHTTPAPI(t *testing.T) {
	h := newHouse(t)
	h.write("users", "ann:$7$101$Kh5AeSn7OJKFTSgs$dXYR4HvDAlTFZyTuNVKjECTpW3B6FRz0oT3jTqxPrMoxsRCyJS28ZaDpFGVfAt2wDLpuIYVWEyn6CWpTJ1QSVw==\n")
	run(t, "", program(t), "passwd", "-b", h.path("users"), "ann", "secret")
	h.write("mosquitto.conf", "user root\npersistence true\npersistence_location <dir>/\npassword_file <dir>/users\n"+
		"listener <a> 127.0.0.1\nlistener <b> 127.0.0.1\nprotocol http_api\nlistener <c> 127.0.0.1\nprotocol websockets\n")
	h.open()
	ann := []string{"-u", "ann", "-P", "secret"}
	h.pub("a", append(ann, "-t", "kept", "-m", "value", "-r", "-q", "1")...)

	for _, path := range []string{"/metrics", "/api/v1/systree", "/api/v1/listeners", "/api/v1/version"} {
		for _, password := range []string{"", "wrong"} {
			if status, body := h.get("b", path, strings.Repeat("ann", len(password)/5), password); status != http.StatusUnauthorized {
				t.Errorf("%s with password %q: %d %s", path, password, status, body)
			}
		}
	}
	if status, body := h.get("b", "/healthz", "", ""); status != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
	if status, body := h.get("b", "/readyz", "", ""); status != 200 || body != "ready\n" {
		t.Errorf("/readyz: %d %q", status, body)
	}
	_, text := h.get("b", "/metrics", "ann", "secret")
	for name, want := range map[string]float64{
		"nightjar_clients_connected": 0, "nightjar_publish_received_total": 1,
		`nightjar_publish_dropped_total{cause="queue full"}`: 0, "nightjar_store_failed": 0, "nightjar_store_full": 0,
	} {
		if got := metric(t, text, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if records, fsyncs := metric(t, text, "nightjar_store_records_total"), metric(t, text, "nightjar_store_fsyncs_total"); records < 1 || fsyncs < 1 {
		t.Errorf("%v records in %v fsyncs after a retained message", records, fsyncs)
	} else if all := metric(t, text, `nightjar_store_fsync_seconds_bucket{le="+Inf"}`); all != fsyncs || metric(t, text, "nightjar_store_fsync_seconds_sum") <= 0 {
		t.Errorf("the histogram has %v of %v fsyncs", all, fsyncs)
	}
	if metric(t, text, "process_resident_memory_bytes") < 1<<20 {
		t.Error("the process is too small")
	}

	var tree map[string]float64
	_, text = h.get("b", "/api/v1/systree", "ann", "secret")
	if err := json.Unmarshal([]byte(text), &tree); err != nil || tree["$SYS/broker/publish/messages/received"] != 1 {
		t.Errorf("systree: %v, %v", tree, err)
	}
	for _, topic := range []string{"clients/disconnected", "clients/maximum", "messages/stored", "uptime", "store/messages/bytes"} {
		if _, ok := tree["$SYS/broker/"+topic]; !ok {
			t.Errorf("systree lacks %s", topic)
		}
	}
	_, text = h.get("b", "/api/v1/listeners", "ann", "secret")
	want := h.fill(`{"listeners":[{"port":<a>,"protocol":"mqtt","tls":false,"mtls":false,"allow_anonymous":false},` +
		`{"port":<b>,"protocol":"httpapi","tls":false,"mtls":false,"allow_anonymous":false},` +
		`{"port":<c>,"protocol":"websockets","tls":false,"mtls":false,"allow_anonymous":false}]}` + "\n")
	if text != want {
		t.Errorf("listeners: %s, want %s", text, want)
	}

	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1:"+h.ports["b"]+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := answered(t, r); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
	p := start(t, program(t), "pub", "-L", "ws://ann:secret@127.0.0.1:"+h.ports["b"]+"/t", "-m", "x")
	if code := p.exit(t); code == 0 {
		t.Error("MQTT was spoken at the listener for http_api")
	}
	if status, _ := h.get("c", "/metrics", "ann", "secret"); status != http.StatusUpgradeRequired {
		t.Errorf("metrics at a listener for WebSocket alone: %d", status)
	}
}

// Without a file, the metrics are where the greeting says.
func TestMetricsOfTheDefault(t *testing.T) {
	p := start(t, program(t), "serve", "--listen", "ws://127.0.0.1:0", "--durability", "none")
	p.stderr.Until(t, "keeping everything")
	at := regexp.MustCompile(`http://\S+/metrics`).FindString(p.stderr.String())
	r, err := http.NewRequestWithContext(t.Context(), "GET", at, nil)
	if err != nil {
		t.Fatal(err)
	}
	status, text := answered(t, r)
	if status != 200 || metric(t, text, "nightjar_uptime_seconds") < 0 || strings.Contains(text, "nightjar_store_fsyncs") {
		t.Errorf("%s: %d\n%s", at, status, text)
	}
}
