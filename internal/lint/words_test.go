package lint

import (
	"bytes"
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Each package says in doc.go what it is.
func TestEveryPackageHasDoc(t *testing.T) {
	comments := make(map[string]string) // by folder
	names := make(map[string]string)
	for _, f := range goFiles(t) {
		if f.isTest() {
			continue
		}
		name := f.ast.Name.Name
		names[f.dir()] = name
		if f.ast.Doc != nil && (strings.HasSuffix(f.path, "/doc.go") || name == "main" || strings.HasSuffix(name, "test")) {
			comments[f.dir()] += f.ast.Doc.Text()
		}
	}
	for dir, name := range names {
		want, where := "Package "+name+" ", dir+"/doc.go"
		if name == "main" {
			want, where = "Command ", dir
		}
		if !strings.HasPrefix(comments[dir], want) {
			t.Errorf("%s does not begin with %q", where, "// "+want)
		}
	}
}

// What a compiler accepts and we do not.
func TestForbiddenCode(t *testing.T) {
	for _, f := range goFiles(t) {
		bubble := slices.Contains(f.imports(t), "testing/synctest") // where time passes only when all wait
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s:%d: func init: let main or a constructor do it", f.path, f.line(n))
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && f.isTest() && !bubble && x.Name == "time" && n.Sel.Name == "Sleep" {
					t.Errorf("%s:%d: time.Sleep in a test: wait for what has to happen", f.path, f.line(n))
				}
			}
			return true
		})
	}
}

// forbidden are words that belong to an issue, or to one machine. They are put together here so that this file may contain
// them.
var forbidden = map[string]*regexp.Regexp{
	"a mark of unfinished work":   regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`),
	"a path of somebody's folder": regexp.MustCompile(`(^|[^\w.)}])/(wo` + `rk|ro` + `ot|ho` + `me)/`),
	"the temporary folder":        regexp.MustCompile(`(^|[^\w.)}])/tm` + `p/`),
	"a host of a registry": regexp.MustCompile(`(?i)(proxy|sum)\.gol` + `ang\.org|registry\.np` + `mjs\.org|py` + `pi\.org|` +
		`files\.pythonh` + `osted\.org|deb\.deb` + `ian\.org`),
}

// spoken are files where such a word is meant, and why.
var spoken = map[string]string{}

func TestForbiddenWords(t *testing.T) {
	for _, f := range source(t) {
		if !utf8.Valid(f.text) || spoken[f.path] != "" {
			continue
		}
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			for what, word := range forbidden {
				if word.Match(line) {
					t.Errorf("%s:%d: %s: %s", f.path, i+1, what, bytes.TrimSpace(line))
				}
			}
		}
	}
}

// A name that names nothing is no package.
func TestPackageNames(t *testing.T) {
	for _, f := range goFiles(t) {
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "manager", "base", "misc"}, f.ast.Name.Name) {
			t.Errorf("%s: package %s says nothing of what it knows", f.path, f.ast.Name.Name)
		}
	}
}
