package script

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Script is a conversation.
type Script struct {
	Head   []string // the lines of the comment that it begins with
	Broker []string // key=value: how the broker is configured
	Steps  []Step
}

// Step is one line.
type Step struct {
	Line   int
	Text   string // as written
	Client string // who sends or receives
	Do     Action
	Packet string        // of Send and Receive
	Time   time.Duration // of Advance
}

// Action is what a step does.
type Action int

// The actions.
const (
	Send Action = iota + 1
	Receive
	Nothing // the client has received all there is
	Closed  // the broker has closed the connection
	Drop    // the connection fails
	Advance
	Stop
)

var clientLine = regexp.MustCompile(`^(\w+)([<>!])\s*(.*)$`)

// Parse reads a script.
func Parse(text string) (*Script, error) {
	s := new(Script)
	head := true
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(line, "#"); ok && head {
			s.Head = append(s.Head, strings.TrimSpace(comment))
			continue
		}
		head = false
		line = cutComment(line)
		if line == "" {
			continue
		}
		if err := s.line(i+1, line); err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", i+1, line, err)
		}
	}
	return s, nil
}

// cutComment takes away what follows " # "; a filter "#" is not followed by a
// space and more than one word, so two spaces stand before a comment.
func cutComment(line string) string {
	if strings.HasPrefix(line, "#") {
		return ""
	}
	line, _, _ = strings.Cut(line, "  # ")
	return strings.TrimSpace(line)
}

func (s *Script) line(n int, line string) error {
	st := Step{Line: n, Text: line}
	words := strings.Fields(line)
	m := clientLine.FindStringSubmatch(line)
	switch {
	case m != nil:
		st.Client, st.Packet = m[1], m[3]
		st.Do = map[string]Action{">": Send, "<": Receive, "!": Closed}[m[2]]
		if st.Do == Receive && st.Packet == "" {
			st.Do = Nothing
		}
	case len(words) == 2 && words[1] == "drops":
		st.Client, st.Do = words[0], Drop
	case len(words) == 2 && words[0] == "advance":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return err
		}
		st.Do, st.Time = Advance, d
	case line == "broker stops":
		st.Do = Stop
	case words[0] == "broker" && len(s.Steps) == 0:
		s.Broker = append(s.Broker, words[1:]...)
		return nil
	default:
		return errors.New(`this is no step: write "NAME> PACKET", "NAME< PACKET", "NAME!", "NAME drops", "advance 5s", "broker stops", or # before a comment`)
	}
	s.Steps = append(s.Steps, st)
	return nil
}

// Advances reports whether time passes in the script.
func (s *Script) Advances() bool {
	for i := range s.Steps {
		if s.Steps[i].Do == Advance {
			return true
		}
	}
	return false
}
