package auth

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/nightjarmq/nightjar/topic"
)

// LineError is a line of a file that cannot be accepted.
type LineError struct {
	File string
	Line int
	Msg  string // what is wrong
	Fix  string // what to write instead
}

func (e *LineError) Error() string {
	s := fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

const maxFile = 256 << 20 // bytes

// LoadACL reads an access control list from a file.
func LoadACL(path string) (*ACL, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read access control list: %w", err)
	}
	defer f.Close()
	return ReadACL(f, path)
}

// ReadACL reads an access control list in Mosquitto's form; name stands for it
// in errors and rules. A single bad line refuses all of it.
func ReadACL(src io.Reader, name string) (*ACL, error) {
	a := &ACL{File: name, users: map[string]rules{}}
	user := ""
	err := eachLine(src, name, func(n int, line string) (msg, fix string) {
		if line == "" || line[0] == '#' {
			return "", ""
		}
		keyword, rest, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
		rest = strings.TrimSpace(rest)
		switch keyword {
		case "":
			return "", ""
		case "user":
			if rest == "" {
				return "user without a name", "write user NAME"
			}
			user = rest
			return "", ""
		case "topic", "pattern":
			r := &Rule{File: name, Line: n, Text: strings.TrimSpace(line)}
			if msg, fix = r.parse(keyword, rest); msg == "" {
				a.add(r, keyword == "pattern", user)
			}
			return msg, fix
		}
		return "unknown keyword " + quote(keyword), "write user, topic or pattern, and a space behind it"
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// add puts a rule into its group.
func (a *ACL) add(r *Rule, pattern bool, user string) {
	group := a.anonymous
	switch {
	case pattern:
		group = a.patterns
	case user != "":
		group = a.users[user]
	}
	if r.access == deny {
		group.deny = append(group.deny, r)
	} else {
		group.grant = append(group.grant, r)
	}
	switch {
	case pattern:
		a.patterns = group
	case user != "":
		a.users[user] = group
	default:
		a.anonymous = group
	}
}

// parse reads "[read|write|readwrite|deny] FILTER".
func (r *Rule) parse(keyword, rest string) (msg, fix string) {
	words := map[string]access{"read": read, "write": write, "readwrite": read | write, "deny": deny}
	word, filter, two := strings.Cut(rest, " ")
	a, ok := words[word]
	switch {
	case rest == "":
		return keyword + " without a topic", "write " + keyword + " readwrite TOPIC"
	case ok && !two:
		return keyword + " " + word + " without a topic", "write " + keyword + " " + word + " TOPIC; for a topic of this name write " + keyword + " readwrite " + word
	case ok:
		r.access, r.filter = a, strings.TrimSpace(filter)
	case two:
		return quote(word) + " is not an access", "write read, write, readwrite or deny"
	default:
		r.access, r.filter = read|write, word
	}
	if err := topic.ValidateFilter(r.filter); err != nil || len(r.filter) > math.MaxUint16 {
		return quote(r.filter) + " is not a topic filter", "+ and # must be whole levels, # the last"
	}
	r.shape()
	if keyword == "pattern" {
		r.compile()
	}
	return "", ""
}

// compile takes a pattern apart at %c and %u.
func (r *Rule) compile() {
	r.id, r.user = strings.Contains(r.filter, "%c"), strings.Contains(r.filter, "%u")
	if !r.id && !r.user {
		return
	}
	for s := range strings.SplitSeq(r.filter, "/") {
		var l level
		for s != "" {
			i := strings.IndexByte(s, '%')
			for i >= 0 && !(i+1 < len(s) && (s[i+1] == 'c' || s[i+1] == 'u')) {
				next := strings.IndexByte(s[i+1:], '%')
				if next < 0 {
					i = -1
					break
				}
				i += 1 + next
			}
			if i < 0 {
				l = append(l, part{text: s})
				break
			}
			if i > 0 {
				l = append(l, part{text: s[:i]})
			}
			l = append(l, part{variable: s[i+1]})
			s = s[i+2:]
		}
		r.levels = append(r.levels, l)
	}
}

// eachLine calls f with every line, without what ends it, until f finds one
// wrong.
func eachLine(src io.Reader, name string, f func(n int, line string) (msg, fix string)) error {
	b, err := io.ReadAll(io.LimitReader(src, maxFile+1))
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", name, err)
	case len(b) > maxFile:
		return fmt.Errorf("read %s: larger than %d MiB", name, maxFile>>20)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimRight(line, " \t\r\n\v\f")
		var msg, fix string
		if !utf8.ValidString(line) || strings.IndexByte(line, 0) >= 0 {
			msg, fix = "the line is not UTF-8 text", "save the file as UTF-8"
		} else {
			msg, fix = f(n, line)
		}
		if msg != "" {
			return &LineError{File: name, Line: n, Msg: msg, Fix: fix}
		}
	}
	return nil
}

func quote(s string) string { return fmt.Sprintf("%+q", s) }
