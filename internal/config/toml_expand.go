package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// expandTOML replaces ${NAME} in every text of a nightjar.toml by an environment
// variable. It does so before the file is decoded, so that amounts and times can
// come from there as well, and leaves every line where it is. A variable becomes
// part of a text, whatever is in it, and never a key or another text.
func (r *reader) expandTOML(name string, b []byte) []byte {
	var out bytes.Buffer
	done := 0 // so much of b is in out
	var p unstable.Parser
	p.Reset(b)
	text := func(n *unstable.Node) {
		if bytes.IndexByte(n.Data, '$') < 0 {
			return
		}
		at := int(n.Raw.Offset)
		pos := Pos{name, 1 + bytes.Count(b[:at], []byte("\n"))}
		s, unset := expandText(string(n.Data), r.opts.Getenv)
		switch {
		case unset != "":
			r.refuse(&Error{Pos: pos, Word: "${" + unset + "}", Msg: "the environment has no such variable", Fix: "set it, or write $$ for a dollar sign"})
			return
		case !utf8.ValidString(s):
			r.refuse(&Error{Pos: pos, Word: string(n.Data), Msg: "the variable of the environment is not UTF-8", Fix: "set it to UTF-8"})
			return
		}
		out.Write(b[done:at])
		done = at + int(n.Raw.Length)
		out.WriteString(tomlText(s, bytes.Count(b[at:done], []byte("\n"))))
	}
	for p.NextExpression() {
		if e := p.Expression(); e.Kind == unstable.KeyValue {
			eachText(e, text)
		}
	}
	if p.Error() != nil {
		return b // the decoder finds it too, and words it
	}
	out.Write(b[done:])
	return out.Bytes()
}

// eachText calls f with all texts in the value of a key, in their order.
func eachText(n *unstable.Node, f func(*unstable.Node)) {
	switch n.Kind {
	case unstable.String:
		f(n)
	case unstable.KeyValue:
		eachText(n.Value(), f)
	case unstable.Array, unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			eachText(it.Node(), f)
		}
	}
}

// tomlText writes s as a text of so many lines.
func tomlText(s string, newlines int) string {
	var b strings.Builder
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ' || c == 0x7F:
			fmt.Fprintf(&b, "\\u%04X", c)
		default:
			b.WriteRune(c)
		}
	}
	if newlines == 0 {
		return `"` + b.String() + `"`
	}
	return `"""` + b.String() + "\\" + strings.Repeat("\n", newlines) + `"""`
}

// expandText replaces ${NAME}, and $$ by a dollar sign; unset is the first NAME
// that is not set.
func expandText(s string, env func(string) (string, bool)) (text, unset string) {
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(s, "$")
		out.WriteString(before)
		if !ok {
			return out.String(), ""
		}
		s = after
		switch name, rest, closed := strings.Cut(strings.TrimPrefix(after, "{"), "}"); {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			s = after[1:]
		case strings.HasPrefix(after, "{") && closed:
			value, set := "", false
			if env != nil {
				value, set = env(name)
			}
			if !set {
				return "", name
			}
			out.WriteString(value)
			s = rest
		default:
			out.WriteByte('$')
		}
	}
}
