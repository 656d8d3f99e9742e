package crash

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var mutateFlag = flag.Bool("mutate", false, "run TestMutations: make faults and see that tests catch them")

// mutation is a deliberate fault, as mutations.txt has it.
type mutation struct {
	name string
	test []string // arguments of go test
	file string
	old  string
	new  string
}

// readMutations reads the record of faults.
func readMutations(t *testing.T) (list []mutation) {
	t.Helper()
	b, err := os.ReadFile("testdata/mutations.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), "\n== ")
	for _, part := range strings.Split(text, "\n== ") {
		head, change, ok := strings.Cut(part, "\n<<<<\n")
		lines := strings.Split(head, "\n")
		m := mutation{name: lines[0]}
		for _, l := range lines[1:] {
			switch key, value, _ := strings.Cut(l, ": "); key {
			case "test":
				m.test = strings.Fields(value)
			case "file":
				m.file = value
			}
		}
		m.old, m.new, _ = strings.Cut(change, "====\n")
		m.new, _, _ = strings.Cut(m.new, ">>>>")
		if !ok || m.file == "" || len(m.test) == 0 || m.old == "" {
			t.Fatalf("the record of %q is not complete", m.name)
		}
		list = append(list, m)
	}
	return list
}

// apply makes the fault in the tree.
func (m *mutation) apply(root string) (undo func() error, err error) {
	name := filepath.Join(root, m.file)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(b, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s: what the fault replaces is in %s %d times", m.name, m.file, n)
	}
	changed := bytes.Replace(b, []byte(m.old), []byte(m.new), 1)
	return func() error { return os.WriteFile(name, b, 0o600) }, os.WriteFile(name, changed, 0o600)
}

// TestMutationsFit: the record is one of the code as it is.
func TestMutationsFit(t *testing.T) {
	list := readMutations(t)
	if len(list) < 10 {
		t.Errorf("%d faults are few", len(list))
	}
	for _, m := range list {
		b, err := os.ReadFile(filepath.Join("../..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte(m.old)); n != 1 {
			t.Errorf("%s: what the fault replaces is in %s %d times", m.name, m.file, n)
		}
	}
}

// TestMutations makes one fault after the other in a copy of the tree, and runs
// the test that must catch it.
func TestMutations(t *testing.T) {
	if !*mutateFlag {
		t.Skip("takes minutes; run it with -mutate")
	}
	root := t.TempDir()
	copyTree(t, root)
	for _, m := range readMutations(t) {
		t.Run(m.name, func(t *testing.T) {
			undo, err := m.apply(root)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			out, err := compile(root) // else the compiler would catch it
			compiles := err == nil
			if compiles {
				out, err = goTest(root, t.TempDir(), m.test)
			}
			if uerr := undo(); uerr != nil {
				t.Fatal(uerr)
			}
			if !compiles {
				t.Fatalf("the fault does not compile: %v\n%s", err, out)
			}
			switch {
			case err == nil:
				t.Errorf("nobody notices: go test %s", strings.Join(m.test, " "))
			case !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic: ")):
				t.Errorf("go test %s: %v\n%s", strings.Join(m.test, " "), err, out)
			default:
				t.Logf("caught after %v: %s", time.Since(began).Round(time.Second), complaint(out))
			}
		})
	}
}

func compile(root string) ([]byte, error) {
	cmd := exec.Command("go", "build", "-o", os.DevNull, "./cmd/nightjar")
	cmd.Dir = root
	return cmd.CombinedOutput()
}

// goTest runs a test in the tree; what it leaves goes to tmp.
func goTest(root, tmp string, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-vet=off"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	return cmd.CombinedOutput()
}

// complaint is the first line in which a test says what is wrong.
func complaint(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "_test.go:") || strings.HasPrefix(line, "panic: ") {
			return fmt.Sprintf("%.200s", strings.TrimSpace(line))
		}
	}
	return "by the exit code"
}

// copyTree copies what the module consists of.
func copyTree(t *testing.T, to string) {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(strings.Trim(string(out), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			continue // removed and not committed yet
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
