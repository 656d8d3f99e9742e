package config

import (
	"strings"
	"unicode/utf8"
)

// Scope is where a keyword may stand.
type Scope string

// The scopes.
const (
	Global     Scope = "global"
	Secure     Scope = "global, or listener with per_listener_settings"
	OfListener Scope = "listener"
	OfBridge   Scope = "bridge"
	OfPlugin   Scope = "plugin"
)

// Keyword is a row of the table of mosquitto.conf's keywords.
type Keyword struct {
	Name    string
	Scope   Scope
	Type    string // as in the manual: "true|false", "number", "text", ...
	Default string
	Since   string // "" is 2.0 and earlier
	Help    string // one sentence
	Fate    Fate   // unless the value decides
	Why     string // for Changed and Ignored
	Secret  bool   // the value is not repeated in reports

	set func(r *reader, w *words) *Error
}

// Keywords returns the table: every keyword of mosquitto.conf in 2.0 and 2.1.
func Keywords() []Keyword {
	k := globalKeywords()
	k = append(k, limitKeywords()...)
	k = append(k, logKeywords()...)
	k = append(k, pluginKeywords()...)
	k = append(k, listenerKeywords()...)
	k = append(k, tlsKeywords()...)
	k = append(k, bridgeKeywords()...)
	return append(k, bridgeLinkKeywords()...)
}

// find returns the row of a word.
func find(table []Keyword, word string) *Keyword {
	for i := range table {
		name := table[i].Name
		if name == word || strings.HasSuffix(name, "*") && strings.HasPrefix(word, name[:len(name)-1]) {
			return &table[i]
		}
	}
	return nil
}

// unknown explains a word that is no keyword.
func unknown(table []Keyword, word string) *Error {
	e := &Error{Word: word, Msg: "unknown keyword"}
	switch {
	case strings.HasPrefix(word, "\ufeff"):
		e.Fix = "save the file without a byte order mark"
	case strings.Contains(word, "\t"):
		e.Fix = "separate keyword and value by a space, not a tab"
	case strings.HasPrefix(word, "#"):
		e.Fix = "a comment must begin at the very first column"
	case strings.ContainsAny(word, "=:"):
		e.Fix = "write KEYWORD VALUE, with a space between"
	default:
		if near := nearest(table, word); near != "" {
			e.Fix = "did you mean " + near + "?"
		}
	}
	return e
}

// nearest returns the keyword that differs least from word, "" if none is near.
func nearest(table []Keyword, word string) string {
	best, name := 1+utf8.RuneCountInString(word)/4, ""
	if len(word) > 64 {
		return ""
	}
	for i := range table {
		if len(table[i].Name)-len(word) > best || len(word)-len(table[i].Name) > best {
			continue
		}
		if d := distance(strings.ToLower(word), table[i].Name); d <= best {
			best, name = d-1, table[i].Name
		}
	}
	return name
}

// distance counts the characters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
