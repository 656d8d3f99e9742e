package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/internal/cli"
)

// A backup or a restore that fails leaves the directory as it was: none that it has made, and an empty one that was there.
func TestFailureLeavesNothing(t *testing.T) {
	broken := t.TempDir()
	if err := os.Mkdir(filepath.Join(broken, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"db/000001.log": "x", "SHA256SUMS": "00  db/000001.log\n"} {
		if err := os.WriteFile(filepath.Join(broken, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what, want string
		args       func(to string) []string
	}{
		{"backup of nothing", "holds no store", func(to string) []string { return []string{"backup", to, "--data", t.TempDir()} }},
		{"restore of damage", "is not what was backed up", func(to string) []string { return []string{"restore", broken, "--data", to} }},
	} {
		for _, below := range []string{"", "a", "a/b/c"} {
			above := t.TempDir()
			var errs bytes.Buffer
			s := cli.Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &errs, Env: func(string) string { return "" }}
			args := append([]string{"nightjar"}, c.args(filepath.Join(above, below))...)
			if code := cli.Main(t.Context(), "1.0", args, s); code != 1 || !strings.Contains(errs.String(), c.want) {
				t.Errorf("%s: exit status %d, says %s", c.what, code, errs.String())
			}
			if left, err := os.ReadDir(above); err != nil || len(left) > 0 {
				t.Errorf("%s in %q leaves %v, %v", c.what, below, left, err)
			}
		}
	}
}
