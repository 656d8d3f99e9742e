package bridges

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/config"
)

// load reads a file of that name.
func load(t *testing.T, name, text string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The rate is the bridge's own, unless it is for what has waited.
func TestRate(t *testing.T) {
	for says, want := range map[string]int{"": 9, "bridge_live_first true\n": 0} {
		c := load(t, "mosquitto.conf", "connection far\naddress 127.0.0.1\ntopic #\nbridge_outgoing_rate 9\n"+says)
		if bc, err := convert(&c.Bridges[0], ""); err != nil || bc.Rate != want {
			t.Errorf("%q: rate %d, %v, want %d", says, bc.Rate, err, want)
		}
	}
}

// What keeps a bridge from starting is found before it is to start, for each of them.
func TestCheck(t *testing.T) {
	const block = "connection %s\naddress 127.0.0.1\ntopic #\n"
	c := load(t, "mosquitto.conf", fmt.Sprintf(block, "good")+fmt.Sprintf(block, "one")+"bridge_cafile none.pem\n"+fmt.Sprintf(block, "two")+"bridge_bind_address [::1\n")
	err := Check(c)
	if err == nil || !strings.Contains(err.Error(), "mosquitto.conf:4: bridge_cafile none.pem") || !strings.Contains(err.Error(), "mosquitto.conf:8: bridge_bind_address") {
		t.Errorf("%v", err)
	}
	c.Bridges = c.Bridges[:1]
	if err := Check(c); err != nil {
		t.Error(err)
	}
}

// A bridge has the limits that its block says, in both kinds of file, and those of every client where it says nothing.
func TestQueues(t *testing.T) {
	const head = "connection far\naddress 127.0.0.1\ntopic #\nlocal_clientid here\n"
	const table = "[[bridge]]\nname = \"far\"\naddresses = [\"127.0.0.1\"]\ntopic = [{pattern = \"#\"}]\nlocal = {client_id = \"here\"}\n"
	for _, c := range []struct {
		file, text string
		want       map[string]broker.Queue
	}{
		{"mosquitto.conf", head, nil},
		{"mosquitto.conf", head + "bridge_queue_messages 7\n", map[string]broker.Queue{"here": {Messages: 7}}},
		{"mosquitto.conf", head + "bridge_queue_bytes 0\nbridge_queue_expiry 90s\n", map[string]broker.Queue{"here": {Bytes: -1, Age: 90 * time.Second}}},
		{"mosquitto.conf", head + "bridge_outgoing_rate 9\n", nil},
		{"mosquitto.conf", head + "bridge_outgoing_rate 9\nbridge_live_first true\n", map[string]broker.Queue{"here": {LiveFirst: true, PastRate: 9}}},
		{"nightjar.toml", table, nil},
		{"nightjar.toml", table + "live_first = true\n", map[string]broker.Queue{"here": {LiveFirst: true}}},
		{"nightjar.toml", table + "queue_messages = 1000\nqueue_bytes = \"2MiB\"\nqueue_expiry = \"2d\"\n",
			map[string]broker.Queue{"here": {Messages: 1000, Bytes: 2 << 20, Age: 48 * time.Hour}}},
	} {
		if got := Queues(load(t, c.file, c.text)); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.text, got, c.want)
		}
	}
}
