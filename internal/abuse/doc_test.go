package abuse

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTable: the table in doc.go has all rows, in order, and every test that it
// names exists.
func TestTable(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var rows []int
	columns := regexp.MustCompile(`\s{2,}`)
	for line := range strings.SplitSeq(f.Doc.Text(), "\n") {
		cells := columns.Split(strings.TrimSpace(line), -1)
		row, err := strconv.Atoi(cells[0])
		if err != nil {
			continue
		}
		if len(cells) != 4 {
			t.Errorf("row %d has %d columns", row, len(cells))
			continue
		}
		rows = append(rows, row)
		for name := range strings.SplitSeq(cells[3], ", ") {
			if !testExists(t, name) {
				t.Errorf("row %d: there is no %s", row, name)
			}
		}
	}
	for i, want := range append(upTo(27), 31, 34) {
		if i >= len(rows) || rows[i] != want {
			t.Fatalf("rows %v: row %d is missing", rows, want)
		}
	}
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i+1)
	}
	return list
}

// testExists looks for a test by the name that the table gives it.
func testExists(t *testing.T, name string) bool {
	root := filepath.Join("..", "..")
	if file, ok := strings.CutPrefix(name, "script "); ok {
		_, err := os.Stat(filepath.Join(root, "internal", "script", "testdata", file+".txt"))
		return err == nil
	}
	dir, fn := ".", name
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		dir, fn = filepath.Join(root, name[:i]), name[i+1:]
	}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+fn+"(t *testing.T)") {
			return true
		}
	}
	return false
}
