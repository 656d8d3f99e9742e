package lint

import (
	"slices"
	"strings"
	"testing"
)

// mayImport says which packages of ours, and whose modules, a package imports outside of its tests. A package that is not
// here is bound by the other rules only.
var mayImport = map[string][]string{
	"packet": {},
	"topic":  {},
	"client": {"packet", "topic", "client/internal/journal", "github.com/gobwas/ws"},

	"client/internal/journal": {"packet"},
	"internal/heap":           {},
	"internal/timer":          {},
	"internal/message":        {"packet", "topic"},
	"internal/budget":         {},
	"internal/ration":         {},
	"internal/session":        {"packet", "topic", "internal/budget", "internal/message"},
	"internal/router":         {"packet", "topic"},
	"internal/store":          {"packet", "topic", "internal/message"},
	"internal/store/disk":     {"packet", "topic", "internal/failpoint", "internal/message", "internal/store", "github.com/cockroachdb/pebble/v2"},
	"internal/transport":      {"internal/budget", "internal/ration", "internal/timer", "github.com/gobwas/ws", "github.com/pires/go-proxyproto"},
	"internal/hub": {"packet", "topic", "internal/budget", "internal/failpoint", "internal/message", "internal/ration", "internal/router", "internal/session", "internal/store",
		"internal/timer", "internal/transport"},
	"internal/conn": {"packet", "topic", "internal/hub", "internal/message", "internal/ration", "internal/session", "internal/store",
		"internal/timer", "internal/transport"},
	"internal/admin":   {"packet", "broker", "github.com/VictoriaMetrics/metrics"},
	"internal/bridge":  {"packet", "topic", "internal/ration"},
	"internal/bridges": {"packet", "topic", "broker", "internal/bridge", "internal/config", "github.com/VictoriaMetrics/metrics"},
	"internal/bench":   {"packet", "github.com/gobwas/ws"},
	"cmd/nightjar":     {"internal/cli"},
}

// importedBy says who may import a package outside of tests.
var importedBy = map[string][]string{
	"broker":       {"internal/cli", "internal/admin", "internal/bridges", "cmd/nightjar", "realclients"},
	"internal/cli": {"cmd/nightjar"},
}

func TestImports(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.isTest() || isTestSupport(f.dir()) && f.dir() != "realclients" {
			continue
		}
		for _, p := range f.imports(t) {
			name, ours := strings.CutPrefix(p, module+"/")
			if !ours && !strings.Contains(strings.Split(p, "/")[0], ".") {
				continue // the standard library
			}
			if allowed, known := mayImport[f.dir()]; known && !slices.ContainsFunc(allowed, func(a string) bool {
				return name == a || !ours && strings.HasPrefix(p, a+"/")
			}) {
				t.Errorf("%s imports %s; package %s may import only %q", f.path, name, f.dir(), allowed)
			}
			if by, known := importedBy[name]; known && !slices.Contains(by, f.dir()) {
				t.Errorf("%s imports %s, which only %q may", f.path, name, by)
			}
			if ours && isTestSupport(name) && f.dir() != "realclients" {
				t.Errorf("%s imports %s, which is for tests", f.path, name)
			}
		}
	}
}

// isTestSupport says that a package is for tests only.
func isTestSupport(dir string) bool {
	return strings.HasSuffix(dir, "test") || dir == "realclients" || strings.HasPrefix(dir, "realclients/") || dir == "conformance" || dir == "internal/script" || dir == "internal/model" || dir == "internal/crash"
}
