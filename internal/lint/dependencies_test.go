package lint

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	requirement = regexp.MustCompile(`(?m)^(?:require)?\s*(\S+\.\S+/\S+) (v\S+)`)
	row         = regexp.MustCompile("(?m)^\\| `([^`]+\\.[^`]+/[^`]+)` \\| (\\S+) \\| [^|]{10,} \\| [^|]{10,} \\|$")
)

// requirements are the modules of a go.mod with their versions.
func requirements(t *testing.T, dir string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	versions := make(map[string]string)
	for _, m := range requirement.FindAllStringSubmatch(string(b), -1) {
		versions[m[1]] = m[2]
	}
	return versions
}

// Each module that we import, or run as a tool, has its row in docs/dependencies.md with its version, its reason and the
// way out; and no row is left of one that went.
func TestDependenciesAreExplained(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	product, peers := requirements(t, "."), requirements(t, "realclients/gopeers")
	maps.Copy(peers, requirements(t, "bench"))
	rows := make(map[string]string)
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		rows[m[1]] = m[2]
		if v := product[m[1]]; v != m[2] && peers[m[1]] != m[2] {
			t.Errorf("docs/dependencies.md has %s %s; go.mod has %q", m[1], m[2], v)
		}
	}
	for _, f := range source(t) {
		if f.ast == nil {
			continue
		}
		versions := product
		if strings.HasPrefix(f.path, "realclients/gopeers/") || strings.HasPrefix(f.path, "bench/") {
			versions = peers
		}
		for _, p := range f.imports(t) {
			m := moduleOf(p, versions)
			if m != "" && m != module && rows[m] == "" {
				t.Errorf("%s imports %s; docs/dependencies.md has no complete row for %s", f.path, p, m)
			}
		}
	}
}

// moduleOf is the module that has a package, "" for the standard library.
func moduleOf(pkg string, versions map[string]string) (found string) {
	for m := range versions {
		if (pkg == m || strings.HasPrefix(pkg, m+"/")) && len(m) > len(found) {
			found = m
		}
	}
	return found
}
