package config

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// words is a line being read. Words are separated by spaces alone; a tab is
// part of a word.
type words struct{ rest string }

func (w *words) next() string {
	w.rest = strings.TrimLeft(w.rest, " ")
	word, rest, _ := strings.Cut(w.rest, " ")
	w.rest = rest
	return word
}

// tail returns all that is left, without blanks around it.
func (w *words) tail() string {
	s := strings.Trim(w.rest, " \t\v\f")
	w.rest = ""
	return s
}

func wrong(msg, fix string) *Error { return &Error{Msg: msg, Fix: fix} }

func (w *words) bool() (bool, *Error) {
	switch s := w.next(); s {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	case "":
		return false, wrong("no value", "write true or false")
	default:
		return false, wrong(quote(s)+" is neither true nor false", "write true or false")
	}
}

func (w *words) int(least, most int) (int, *Error) {
	s := w.next()
	if s == "" {
		return 0, wrong("no value", "write a number")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, wrong(quote(s)+" is not a number", "write digits only")
	}
	if n < int64(least) || n > int64(most) {
		return 0, wrong(s+" is out of range", "write a number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
	}
	return int(n), nil
}

func (w *words) text() (string, *Error) {
	s := w.tail()
	switch {
	case s == "":
		return "", wrong("no value", "write one, or remove the line")
	case len(s) > math.MaxUint16:
		return "", wrong("the value is longer than 65535 bytes", "shorten it")
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return "", wrong("the value is not UTF-8", "save the file as UTF-8")
	}
	return s, nil
}

func (w *words) oneOf(values ...string) (string, *Error) {
	s := w.next()
	for _, v := range values {
		if s == v {
			return s, nil
		}
	}
	fix := "write one of " + strings.Join(values, ", ")
	if s == "" {
		return "", wrong("no value", fix)
	}
	return "", wrong(quote(s)+" is not known here", fix)
}

// flag stores a boolean.
func flag(at func(r *reader) *bool) func(*reader, *words) *Error {
	return func(r *reader, w *words) *Error {
		v, err := w.bool()
		if err == nil {
			*at(r) = v
		}
		return err
	}
}

// noFlag stores the opposite of a boolean.
func noFlag(at func(r *reader) *bool) func(*reader, *words) *Error {
	return func(r *reader, w *words) *Error {
		v, err := w.bool()
		if err == nil {
			*at(r) = !v
		}
		return err
	}
}

// limit stores a number; none and what is below it mean no limit.
func limit(none, most int, at func(r *reader) *int) func(*reader, *words) *Error {
	return func(r *reader, w *words) *Error {
		n, err := w.int(math.MinInt32, most)
		if err != nil {
			return err
		}
		if n <= none {
			n = -1
		}
		*at(r) = n
		return nil
	}
}

// once stores a text that may be given a single time.
func once(at func(r *reader) *string) func(*reader, *words) *Error {
	return func(r *reader, w *words) *Error {
		s, err := w.text()
		if err != nil {
			return err
		}
		p := at(r)
		if before, ok := r.set[p]; ok {
			return wrong("given twice, first at "+before.String(), "remove one")
		}
		*p, r.set[p] = s, r.pos
		return nil
	}
}

// last stores a text; a later line replaces an earlier one.
func last(at func(r *reader) *string) func(*reader, *words) *Error {
	return func(r *reader, w *words) *Error {
		s, err := w.text()
		if err != nil {
			return err
		}
		p := at(r)
		if before, ok := r.set[p]; ok {
			r.note(Changed, "replaces the value of "+before.String()+"; Mosquitto 2.0 refuses it")
		}
		*p, r.set[p] = s, r.pos
		return nil
	}
}

// skip accepts any value.
func skip(*reader, *words) *Error { return nil }

// lifetime reads a number followed by s, h, d, w, m or y.
func (w *words) lifetime() (time.Duration, *Error) {
	const day = 24 * time.Hour
	units := map[byte]time.Duration{'s': time.Second, 'h': time.Hour, 'd': day, 'w': 7 * day, 'm': 30 * day, 'y': 365 * day}
	s := w.next()
	fix := "write a number and h, d, w, m or y, for hours, days, weeks, months or years, as in 14d"
	if s == "" {
		return 0, wrong("no value", fix)
	}
	unit := units[s[len(s)-1]]
	n, err := strconv.ParseInt(s[:len(s)-1], 10, 32)
	if unit == 0 || err != nil || n <= 0 {
		return 0, wrong(quote(s)+" is not a time", fix)
	}
	return time.Duration(min(n, int64(math.MaxInt64/unit))) * unit, nil
}
