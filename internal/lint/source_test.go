package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/nightjarmq/nightjar"
)

// file is a text of the project.
type file struct {
	path string // from the root of the module, with slashes
	text []byte
	fset *token.FileSet
	ast  *ast.File // nil if it is not Go
}

func (f *file) dir() string         { return path.Dir(f.path) }
func (f *file) isTest() bool        { return strings.HasSuffix(f.path, "_test.go") }
func (f *file) line(n ast.Node) int { return f.fset.Position(n.Pos()).Line }

// imports are the paths that a Go file imports.
func (f *file) imports(t *testing.T) []string {
	var paths []string
	for _, s := range f.ast.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			t.Fatalf("%s: %v", f.path, err)
		}
		paths = append(paths, p)
	}
	return paths
}

// ignored are folders that are made, not written, and what git keeps.
var ignored = []string{".git", "node_modules", "__pycache__", "bin", "dist"}

// source reads the project.
func source(t *testing.T) []*file {
	t.Helper()
	var files []*file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(ignored, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || slices.Contains(ignored, d.Name()) { // in a worktree .git is a file
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f := &file{path: filepath.ToSlash(rel)}
		if f.text, err = os.ReadFile(name); err != nil {
			return err
		}
		if strings.HasSuffix(name, ".go") {
			f.fset = token.NewFileSet()
			if f.ast, err = parser.ParseFile(f.fset, f.path, f.text, parser.ParseComments); err != nil {
				return err
			}
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files were found; this is not the whole project", len(files))
	}
	return files
}

// goFiles are those of the product's module.
func goFiles(t *testing.T) []*file {
	return slices.DeleteFunc(source(t), func(f *file) bool {
		return f.ast == nil || strings.HasPrefix(f.path, "realclients/gopeers/")
	})
}
