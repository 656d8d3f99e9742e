package lint

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/conformance.md")

// statement is a normative statement of the standard.
type statement struct {
	id      string   // "3.1.1: MQTT-..." in that version
	side    string   // whom it binds: "server", "client" or "both"
	summary string   // what it is about
	same    []string // the statements of 5.0 that say as much, and are proven for both versions
}

func (s statement) sides() []string {
	if s.side == "both" {
		return []string{"server", "client"}
	}
	return []string{s.side}
}

// statements reads those of 5.0 and those of 3.1.1.
func statements(t *testing.T) (v5, v311 []statement) {
	t.Helper()
	known := make(map[string]statement)
	for _, fields := range table(t, "mqtt-5.0.txt") {
		s := statement{id: fields[0], side: fields[1], summary: fields[2]}
		v5, known[s.id] = append(v5, s), s
	}
	for _, fields := range table(t, "mqtt-3.1.1.txt") {
		fields = append(fields, "", "", "")
		s := statement{id: "3.1.1: " + fields[0], side: fields[1], summary: fields[2], same: strings.Fields(fields[3])}
		for _, id := range s.same {
			first, ok := known[id]
			if !ok {
				t.Fatalf("%s is the same as %s, which does not exist", s.id, id)
			}
			if s.side == "" {
				s.side, s.summary = first.side, first.summary
			}
		}
		v311 = append(v311, s)
	}
	for _, s := range slices.Concat(v5, v311) {
		if s.side != "server" && s.side != "client" && s.side != "both" || s.summary == "" {
			t.Fatalf("testdata: %s binds %q and is about %q", s.id, s.side, s.summary)
		}
	}
	return v5, v311
}

// table reads lines of fields with tabs between them.
func table(t *testing.T, name string) (lines [][]string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		lines = append(lines, strings.Split(strings.TrimSpace(line), "\t"))
	}
	return lines
}

// exceptions are the statements that need no code, or no test, of ours, and why: "client code" in the second field is what
// there is none of.
func exceptions(t *testing.T) map[string]string {
	reasons := make(map[string]string)
	for _, fields := range table(t, "exceptions.txt") {
		if len(fields) != 3 || len(fields[2]) < 20 {
			t.Fatalf("testdata/exceptions.txt: %q has no reason", fields)
		}
		reasons[fields[0]+" "+fields[1]] = fields[2]
	}
	return reasons
}

// Each statement that binds the server or our client is cited by the code of that side and by a test of it, or has its
// written reason.
func TestClauses(t *testing.T) {
	v5, v311 := statements(t)
	cited, reasons := citations(t), exceptions(t)
	unknown := maps.Clone(cited)
	for _, s := range slices.Concat(v5, v311) {
		delete(unknown, s.id)
		for _, side := range s.sides() {
			for what, test := range map[string]bool{"code": false, "test": true} {
				key := s.id + " " + side + " " + what
				found := slices.ContainsFunc(places(s, cited), func(p place) bool { return p.test == test && p.binds(side) })
				if !found && reasons[key] == "" {
					t.Errorf("%s (%s) is cited by no %s of the %s, and testdata/exceptions.txt has no reason", s.id, s.summary, what, side)
				}
				if found && reasons[key] != "" {
					t.Errorf("testdata/exceptions.txt: %s is cited", key)
				}
				delete(reasons, key)
			}
		}
	}
	for key := range reasons {
		t.Errorf("testdata/exceptions.txt: %q is for nothing", key)
	}
	for id, where := range unknown {
		t.Errorf("%s cites %s, which does not exist", where[0], id)
	}
}

// places are where a statement is cited, or the statements of 5.0 that say the same.
func places(s statement, cited map[string][]place) (found []place) {
	for _, id := range append([]string{s.id}, s.same...) {
		for _, p := range cited[id] {
			if !slices.Contains(found, p) {
				found = append(found, p)
			}
		}
	}
	return found
}

const begin, end = "<!-- begin of what internal/lint writes -->\n", "<!-- end of what internal/lint writes -->\n"

// The tables of docs/conformance.md are those that the citations make.
func TestConformance(t *testing.T) {
	name := filepath.Join(root, "docs/conformance.md")
	doc, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(doc, []byte(begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatalf("docs/conformance.md has not the lines %q and %q", begin, end)
	}
	v5, v311 := statements(t)
	var b bytes.Buffer
	b.Write(head)
	b.WriteString(begin)
	cited, reasons := citations(t), exceptions(t)
	writeTable(&b, "MQTT 5.0", v5, cited, reasons)
	writeTable(&b, "MQTT 3.1.1", v311, cited, reasons)
	b.WriteString(end)
	b.Write(tail)
	switch {
	case bytes.Equal(b.Bytes(), doc):
	case *update:
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("docs/conformance.md is stale; write it again: go test ./internal/lint -run Conformance -update")
	}
}

// shown is how many places a cell names: enough to find the others.
const shown = 3

func writeTable(b *bytes.Buffer, version string, list []statement, cited map[string][]place, reasons map[string]string) {
	fmt.Fprintf(b, "\n## %s, %d statements\n\n", version, len(list))
	fmt.Fprintf(b, "| statement | binds | what it is about | code | test |\n|---|---|---|---|---|\n")
	for _, s := range list {
		fmt.Fprintf(b, "| %s | %s | %s", strings.TrimPrefix(strings.TrimPrefix(s.id, "3.1.1: "), "MQTT-"), s.side, s.summary)
		if len(s.same) > 0 {
			fmt.Fprintf(b, " (5.0: %s)", strings.ReplaceAll(strings.Join(s.same, ", "), "MQTT-", ""))
		}
		found := places(s, cited)
		for what, test := range []bool{false, true} {
			fmt.Fprintf(b, " | %s", cell(s, found, test, reasons, []string{"code", "test"}[what]))
		}
		b.WriteString(" |\n")
	}
}

// cell names some of the places of code, or of tests: at least one of each side.
func cell(s statement, found []place, test bool, reasons map[string]string, what string) string {
	var chosen, others []place
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(a, b place) int { return cmp.Compare(a.rank(), b.rank()) })
	for _, side := range s.sides() {
		if slices.ContainsFunc(chosen, func(p place) bool { return p.binds(side) }) {
			continue
		}
		for _, p := range found {
			if p.test == test && p.binds(side) {
				chosen = append(chosen, p)
				break
			}
		}
	}
	for _, p := range found {
		if p.test == test && !slices.Contains(chosen, p) {
			others = append(others, p)
		}
	}
	chosen = append(chosen, others[:min(len(others), max(0, shown-len(chosen)))]...)
	var lines []string
	for _, p := range chosen {
		lines = append(lines, "`"+p.String()+"`")
	}
	for _, side := range s.sides() {
		if reason := reasons[s.id+" "+side+" "+what]; reason != "" {
			lines = append(lines, side+": "+reason)
		}
	}
	return strings.Join(lines, "<br>")
}
