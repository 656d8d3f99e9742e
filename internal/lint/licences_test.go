package lint

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateLicences = flag.Bool("licences", false, "write docs/third-party.txt anew")

// thirdParty is where the licences of what is in the program stand: they oblige
// us to hand their texts on with every binary.
const thirdParty = "docs/third-party.txt"

// TestLicences: each module of others that the program is linked with has its
// licence text in the file that goes with the binary.
func TestLicences(t *testing.T) {
	modules := linked(t, "")
	if *updateLicences {
		for _, system := range []string{"linux", "darwin", "windows"} {
			modules = append(modules, linked(t, system)...)
		}
		slices.Sort(modules)
		modules = slices.Compact(modules)
		writeLicences(t, modules)
	}
	text, err := os.ReadFile(filepath.Join(root, thirdParty))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		if name, _, _ := strings.Cut(m, "\t"); !strings.Contains(string(text), "\n== "+name+"\n") {
			t.Errorf("%s lacks the licence of %s; write it anew: go test ./internal/lint -run Licences -licences", thirdParty, name)
		}
	}
}

// linked lists the modules of others in the program, each as name, version and,
// behind a tab, its folder.
func linked(t *testing.T, system string) []string {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Version}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", "./cmd/nightjar")
	list.Dir = root
	list.Env = append(os.Environ(), "GOOS="+system)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list what the program is made of: %v", err)
	}
	modules := slices.Sorted(strings.Lines(string(out)))
	modules = slices.DeleteFunc(modules, func(m string) bool { return m == "\n" }) // the standard library, and ours
	return slices.Compact(modules)
}

func writeLicences(t *testing.T, modules []string) {
	t.Helper()
	out := []byte("Nightjar contains these modules of others, each under the terms that follow it.\n")
	for _, m := range modules {
		name, dir, _ := strings.Cut(strings.TrimSpace(m), "\t")
		out = append(out, "\n== "+name+"\n"...)
		found := false
		for _, pattern := range []string{"LICEN[SC]E*", "Licen[sc]e*", "COPYING*", "NOTICE*", "PATENTS*"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				text, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				found = true
				out = append(out, "\n-- "+filepath.Base(f)+"\n\n"...)
				out = append(append(out, strings.TrimSpace(string(text))...), '\n')
			}
		}
		if !found {
			t.Errorf("%s has no licence text in %s", name, dir)
		}
	}
	if err := os.WriteFile(filepath.Join(root, thirdParty), out, 0o644); err != nil {
		t.Fatal(err)
	}
}
