package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"slices"
	"testing"
)

// What is larger than wished is printed, what is larger than the bound fails.
const (
	functionLines, functionBound = 50, 80
	fileLines, fileBound         = 500, 700
	packageFiles, packageBound   = 20, 30
)

// large are those that may pass the bound, and why: a table, or one line a case.
var large = map[string]string{
	"internal/config/keywords_global.go:limitKeywords": "the table of keywords of mosquitto.conf",
	"packet/code.go:String":                            "the names of the reason codes, a line for each",
}

func TestSizes(t *testing.T) {
	counts := make(map[string]int) // files by package
	var grown []string
	for _, f := range goFiles(t) {
		lines := bytes.Count(f.text, []byte("\n"))
		if f.isTest() && lines <= fileBound {
			continue
		}
		if lines > fileLines {
			grown = append(grown, fmt.Sprintf("%5d lines in %s", lines, f.path))
		}
		if lines > fileBound && large[f.path] == "" {
			t.Errorf("%s has %d lines; the bound is %d", f.path, lines, fileBound)
		}
		if !f.isTest() {
			counts[f.dir()]++
			grown = append(grown, functions(t, f)...)
		}
	}
	for dir, n := range counts {
		if n > packageFiles {
			grown = append(grown, fmt.Sprintf("%5d files in %s", n, dir))
		}
		if n > packageBound && large[dir] == "" {
			t.Errorf("%s has %d files; the bound is %d", dir, n, packageBound)
		}
	}
	slices.Sort(grown)
	slices.Reverse(grown)
	for _, g := range grown {
		t.Log(g)
	}
}

func functions(t *testing.T, f *file) (grown []string) {
	for _, d := range f.ast.Decls {
		d, ok := d.(*ast.FuncDecl)
		if !ok || d.Body == nil {
			continue
		}
		lines := f.fset.Position(d.End()).Line - f.line(d) + 1
		name := f.path + ":" + d.Name.Name
		if lines > functionLines {
			grown = append(grown, fmt.Sprintf("%5d lines in %s", lines, name))
		}
		if lines > functionBound && large[name] == "" {
			t.Errorf("%s has %d lines; the bound is %d", name, lines, functionBound)
		}
	}
	return grown
}
