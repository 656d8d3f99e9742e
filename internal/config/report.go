package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Fate is what becomes of a line.
type Fate string

// The fates. A kept line acts as in Mosquitto, a changed one acts otherwise, an
// ignored one has no effect, a refused one is an error.
const (
	Kept    Fate = "kept"
	Changed Fate = "changed"
	Ignored Fate = "ignored"
	Refused Fate = "refused"
)

// Report says of every line that is neither empty nor a comment what became of
// it, in the order of reading.
type Report struct {
	Entries []Entry
}

// Entry is one line.
type Entry struct {
	Pos     Pos
	Keyword string
	Text    string // the line, with secrets replaced by stars
	Fate    Fate
	Why     string // for Kept it may be empty
}

func (e Entry) String() string {
	s := fmt.Sprintf("%s: %s: %s", e.Pos, e.Fate, e.Text)
	if e.Why != "" {
		s += " (" + e.Why + ")"
	}
	return s
}

// Count returns how many lines met a fate.
func (r *Report) Count(f Fate) int {
	n := 0
	for i := range r.Entries {
		if r.Entries[i].Fate == f {
			n++
		}
	}
	return n
}

// Amend changes the fate of all lines of a keyword that were not refused. Who
// turns the Config into a broker uses it for what that broker does otherwise.
func (r *Report) Amend(keyword string, f Fate, why string) {
	for i := range r.Entries {
		if e := &r.Entries[i]; e.Keyword == keyword && e.Fate != Refused {
			e.Fate, e.Why = f, why
		}
	}
}

// Errors are the lines that cannot be accepted, all of them.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.As find the single errors.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i := range e {
		list[i] = e[i]
	}
	return list
}

func quote(s string) string { return strconv.QuoteToGraphic(s) }
