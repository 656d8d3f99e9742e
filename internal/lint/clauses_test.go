package lint

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// clause is how a normative statement is cited: by its id in 5.0, or in 3.1.1 if 5.0 has nothing like it.
var clause = regexp.MustCompile(`(3\.1\.1: ?)?\bMQTT-\d+(?:\.\d+)+-\d+\b`)

// statements are the ids that a version of the standard has.
func statements(t *testing.T, version string) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/mqtt-" + version + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// Every clause that is cited exists. Who is cited by nobody is printed.
func TestClauses(t *testing.T) {
	v5, v311 := statements(t, "5.0"), statements(t, "3.1.1")
	inCode, inTests := make(map[string]bool), make(map[string]bool)
	for _, f := range source(t) {
		test := f.isTest() || isTestSupport(f.dir()) || strings.Contains(f.path, "/testdata/") || strings.HasPrefix(f.path, "realclients/")
		if f.ast == nil && !test || f.dir() == "internal/lint" || f.dir() == "internal/lint/testdata" {
			continue
		}
		for _, c := range clause.FindAllSubmatch(f.text, -1) {
			cited, known := string(c[0]), v5
			if len(c[1]) > 0 {
				cited, known = strings.TrimPrefix(strings.TrimPrefix(cited, "3.1.1:"), " "), v311
			}
			if !slices.Contains(known, cited) {
				t.Errorf("%s cites %s, which does not exist", f.path, c[0])
				continue
			}
			if len(c[1]) > 0 {
				cited = "3.1.1: " + cited
			}
			if test {
				inTests[cited] = true
			} else {
				inCode[cited] = true
			}
		}
	}
	summary(t, "5.0", "", v5, inCode, inTests)
	summary(t, "3.1.1 (those that differ from 5.0)", "3.1.1: ", v311, inCode, inTests)
}

func summary(t *testing.T, version, prefix string, ids []string, inCode, inTests map[string]bool) {
	code, tests := 0, 0
	var uncited []string
	for _, id := range ids {
		c, s := inCode[prefix+id], inTests[prefix+id]
		if c {
			code++
		}
		if s {
			tests++
		}
		if !c && !s {
			uncited = append(uncited, id)
		}
	}
	t.Logf("%s: of %d statements %d are cited in code, %d in tests; %d nowhere", version, len(ids), code, tests, len(uncited))
	if prefix == "" {
		t.Logf("cited nowhere: %s", strings.Join(uncited, " "))
	}
}
