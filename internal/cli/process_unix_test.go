//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A broker that root starts takes a directory only when it holds a store, or
// nothing: data = "/etc" must not give /etc away.
func TestOwnDirectory(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"empty":       {nil, ""},
		"a store":     {[]string{"LOCK", "db/MANIFEST-000001", "passwords"}, ""},
		"restored":    {[]string{"db/MANIFEST-000001", "SHA256SUMS"}, ""},
		"set aside":   {[]string{"LOCK", "damaged-1/db/CURRENT"}, ""},
		"a partition": {[]string{"lost+found/x"}, ""},
		"another's":   {[]string{"passwd"}, "it holds other things, as passwd, and no store"},
		"another db":  {[]string{"db/sudo"}, "it holds other things, as db, and no store"},
	} {
		dir := t.TempDir()
		for _, f := range c.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := ownDirectory(filepath.Join(dir, f)); err != nil {
				t.Errorf("%s: the file %s: %v", name, f, err)
			}
		}
		if err := ownDirectory(dir); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
