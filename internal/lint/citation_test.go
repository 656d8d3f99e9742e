package lint

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// clause is how a normative statement is cited: by its id in 5.0, or in 3.1.1 if 5.0 has nothing like it.
var clause = regexp.MustCompile(`(3\.1\.1: ?)?\bMQTT-\d+(?:\.\d+)+-\d+\b`)

// place is where a clause is cited.
type place struct {
	file string // from the root of the module
	name string // the function, type, variable or constant around it, or "" if there is none
	test bool
}

func (p place) String() string {
	if p.name == "" {
		return p.file
	}
	return p.file + ":" + p.name
}

// rank puts what a reader looks for before what serves it: conversations and tests, and functions that do something.
func (p place) rank() int {
	switch {
	case strings.HasSuffix(p.file, ".txt"), strings.HasPrefix(p.name, "Test"):
		return 0
	case p.name == "" || strings.HasSuffix(p.file, "/doc.go"):
		return 2
	}
	return 1
}

// binds says whether what is cited here is a part of a side, "server" or "client". The codec and the rules of topics
// belong to both.
func (p place) binds(side string) bool {
	client := strings.HasPrefix(p.file, "client/")
	if strings.HasPrefix(p.file, "packet/") || strings.HasPrefix(p.file, "topic/") {
		return true
	}
	return client == (side == "client")
}

// citations are the places that cite a clause, those of the code before those of tests. A clause that only 3.1.1 has is
// "3.1.1: MQTT-...".
func citations(t *testing.T) map[string][]place {
	t.Helper()
	cited := make(map[string][]place)
	for _, f := range source(t) {
		test := f.isTest() || isTestSupport(f.dir()) || strings.Contains(f.path, "/testdata/")
		if f.ast == nil && !test || strings.HasPrefix(f.path, "internal/lint/") {
			continue
		}
		for _, at := range clause.FindAllSubmatchIndex(f.text, -1) {
			id := string(f.text[at[0]:at[1]])
			if at[2] >= 0 {
				id = "3.1.1: MQTT" + id[strings.Index(id, "-"):]
			}
			p := place{f.path, f.declarationAt(at[0]), test}
			if !slices.Contains(cited[id], p) {
				cited[id] = append(cited[id], p)
			}
		}
	}
	for _, places := range cited {
		slices.SortFunc(places, func(a, b place) int { return strings.Compare(a.String(), b.String()) })
	}
	return cited
}

// declarationAt is the name of the declaration that a byte of a Go file belongs to, its comment included.
func (f *file) declarationAt(offset int) string {
	if f.ast == nil {
		return ""
	}
	for _, d := range f.ast.Decls {
		from, to := d.Pos(), d.End()
		var doc *ast.CommentGroup
		name := ""
		switch d := d.(type) {
		case *ast.FuncDecl:
			doc, name = d.Doc, d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
		case *ast.GenDecl:
			doc, name = d.Doc, specName(d, f, offset)
		}
		if doc != nil {
			from = doc.Pos()
		}
		// A comment at the end of a declaration's last line belongs to it too.
		if f.fset.Position(from).Offset <= offset && f.fset.Position(to).Line >= f.lineAt(offset) {
			return name
		}
	}
	return ""
}

func (f *file) lineAt(offset int) int {
	return 1 + strings.Count(string(f.text[:offset]), "\n")
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// specName is the name of the spec of a var, const or type declaration that has an offset, or the first one.
func specName(d *ast.GenDecl, f *file, offset int) string {
	name := ""
	for _, s := range d.Specs {
		if name != "" && f.fset.Position(s.Pos()).Line > f.lineAt(offset) {
			break
		}
		switch s := s.(type) {
		case *ast.ValueSpec:
			name = s.Names[0].Name
		case *ast.TypeSpec:
			name = s.Name.Name
		}
	}
	return name
}
