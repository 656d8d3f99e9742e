package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/internal/cli"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// inspect runs nightjar inspect.
func inspect(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	s := cli.Streams{In: strings.NewReader(""), Out: &o, Err: &e, Env: func(string) string { return "" }}
	code = cli.Main(t.Context(), "1.0", append([]string{"nightjar", "inspect"}, args...), s)
	return code, o.String(), e.String()
}

// TestInspectWithoutBroker: where no broker runs nobody is connected, and of a store that has lost a file it is said what
// is missing, not that there is none.
func TestInspectWithoutBroker(t *testing.T) {
	dir := t.TempDir()
	s, err := disk.Open(dir, disk.Options{})
	if err == nil {
		_, err = s.Submit(&store.SessionOpened{Session: s.NewSession(), Epoch: 1, ClientID: "plc", Expiry: 10, Time: 1})
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, out, errs := inspect(t, "--data", dir); code != 0 || !strings.Contains(out, `session "plc": connected when the store was last written, kept`) {
		t.Errorf("exit status %d: %s%s", code, out, errs)
	}
	if code, out, errs := inspect(t, "--json", "--data", dir); code != 0 || !strings.Contains(out, `"connected":false,"was_connected":true`) {
		t.Errorf("exit status %d: %s%s", code, out, errs)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "db", "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("the tables are %q, %v", tables, err)
	}
	if err := os.Remove(tables[0]); err != nil {
		t.Fatal(err)
	}
	want := filepath.Base(tables[0]) + " is gone (start the broker there"
	if code, _, errs := inspect(t, "--data", dir); code != 1 || !strings.Contains(errs, want) || strings.Contains(errs, "holds no store") {
		t.Errorf("exit status %d: %s, want %q", code, errs, want)
	}
}
