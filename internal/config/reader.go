package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Options are what a reader needs of its surroundings; the zero value uses none.
type Options struct {
	// ReadFile and ReadDir serve include_dir; nil refuses it.
	ReadFile func(path string) ([]byte, error)
	ReadDir  func(path string) ([]os.DirEntry, error)
	// Getenv looks up environment variables for ${NAME} in nightjar.toml; nil has
	// none.
	Getenv func(name string) (string, bool)
	// Hostname is part of the identifier of bridges that are given none.
	Hostname string
}

const (
	maxErrors = 50
	maxSize   = 16 << 20 // bytes of a file
)

// Load reads a configuration file and what it includes. Relative paths in it are
// relative to the working directory. The report covers what was read, also when
// there is an error; lines that cannot be accepted are Errors.
func Load(path string) (*Config, *Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, &Report{}, fmt.Errorf("read configuration: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, &Report{}, fmt.Errorf("read the name of this host: %w", err)
	}
	return Parse(bytes.NewReader(b), path, Options{ReadFile: os.ReadFile, ReadDir: os.ReadDir, Getenv: os.LookupEnv, Hostname: host})
}

// Parse reads a mosquitto.conf or a nightjar.toml, told apart by the first line
// that says something; name stands for it in positions. The report covers the
// lines of a mosquitto.conf alone: a nightjar.toml is kept as it is.
func Parse(src io.Reader, name string, o Options) (*Config, *Report, error) {
	b, err := io.ReadAll(io.LimitReader(src, maxSize+1))
	if err != nil {
		return nil, &Report{}, fmt.Errorf("read %s: %w", name, err)
	}
	r := newReader(o)
	if isTOML(b) {
		r.toml(name, b)
	} else {
		r.file(name, b)
	}
	if len(r.errs) == 0 {
		r.finish()
	}
	if len(r.errs) > 0 {
		return nil, r.report, r.errs
	}
	return r.cfg, r.report, nil
}

// reader is a configuration being read.
type reader struct {
	opts   Options
	table  []Keyword
	cfg    *Config
	report *Report
	errs   Errors

	listeners []*listener
	standard  *listener // the default listener; nil until something is said of it
	bridges   []*Bridge
	global    security
	set       map[*string]Pos // texts that were given, and where

	secured bool // a setting that per_listener_settings applies to was seen
	logged  bool // log_dest was seen
	typed   bool // log_type was seen
	nested  bool // in a file of include_dir

	here  scope
	pos   Pos
	word  string // the keyword of the line
	entry Entry  // of the line
}

// scope is what the next line of a file applies to.
type scope struct {
	listener *listener
	bridge   *Bridge
	plugin   int // index + 1; 0: none
}

// security is Security with what was not said.
type security struct {
	Security
	anonymous *bool
}

// listener is a Listener being described.
type listener struct {
	Listener
	sec  security
	open bool // of the default listener: it is to be opened
}

func newReader(o Options) *reader {
	return &reader{
		opts: o, table: Keywords(), report: &Report{}, set: map[*string]Pos{},
		cfg: &Config{LocalOnly: true, Log: Log{Types: LogDefault, Facility: -1}},
	}
}

func newListener(at Pos) *listener {
	return &listener{Listener: Listener{Pos: at, Protocol: MQTT, MaxQoS: 2}}
}

// file reads a file. What the lines before it were about ends with it.
func (r *reader) file(name string, b []byte) {
	outer := r.here
	r.here = scope{}
	defer func() { r.here = outer }()
	if len(b) > maxSize {
		r.refuse(&Error{Pos: Pos{File: name}, Msg: "larger than 16 MiB", Fix: "is it a configuration file?"})
		return
	}
	n := 0
	for line := range bytes.Lines(b) {
		n++
		r.pos = Pos{name, n}
		if line[0] != '#' && len(r.errs) < maxErrors {
			r.line(string(bytes.TrimRight(line, "\r\n")))
		}
	}
}

// line reads one line that is no comment.
func (r *reader) line(text string) {
	w := &words{text}
	r.word = w.next()
	if r.word == "" {
		return
	}
	r.entry = Entry{Pos: r.pos, Keyword: r.word, Text: printable(strings.TrimSpace(text)), Fate: Kept}
	k := find(r.table, r.word)
	if k == nil {
		r.refuseLine(unknown(r.table, r.word))
		return
	}
	r.entry.Fate, r.entry.Why = k.Fate, k.Why
	if k.Secret {
		r.entry.Text = r.word + " ***"
	}
	if err := r.inScope(k); err != nil {
		r.refuseLine(err)
		return
	}
	at := len(r.report.Entries) // include_dir adds lines after its own
	r.report.Entries = append(r.report.Entries, Entry{})
	if err := k.set(r, w); err != nil {
		r.report.Entries = slices.Delete(r.report.Entries, at, at+1)
		r.refuseLine(err)
		return
	}
	r.report.Entries[at] = r.entry
}

// inScope says whether the keyword may stand here.
func (r *reader) inScope(k *Keyword) *Error {
	switch {
	case k.Scope == OfBridge && r.here.bridge == nil:
		return wrong("not within a bridge", "write connection NAME above it, in the same file")
	case k.Scope == OfPlugin && r.here.plugin == 0:
		return wrong("not after a plugin", "write plugin PATH above it, in the same file")
	case k.Scope == OfListener && r.here.listener == nil && k.Since != "":
		return wrong("not after a listener", "write listener PORT above it, in the same file")
	case k.Scope == OfListener && r.here.listener == nil:
		r.note(k.Fate, "no listener is above it in this file: it is about the default listener, port 1883")
	case k.Scope == Secure:
		r.secured = true
	}
	return nil
}

// refuseLine refuses the line being read.
func (r *reader) refuseLine(e *Error) {
	e.Pos = r.pos
	if e.Word == "" {
		e.Word = r.word
	}
	r.entry.Fate, r.entry.Why = Refused, e.Msg
	if e.Fix != "" {
		r.entry.Why += "; " + e.Fix
	}
	r.report.Entries = append(r.report.Entries, r.entry)
	r.refuse(e)
}

func (r *reader) refuse(e *Error) { r.errs = append(r.errs, e) }

// note decides the fate of the line being read. What a row of the table says of
// a keyword that is not kept stands before it.
func (r *reader) note(f Fate, why string) {
	if r.entry.Why != "" {
		why = r.entry.Why + "; " + why
	}
	r.entry.Fate, r.entry.Why = f, why
}

// listener returns the listener that the line is about.
func (r *reader) listener() *listener {
	if r.here.listener == nil {
		r.here.listener = r.ensureStandard()
	}
	if r.here.listener == r.standard {
		r.standard.open = true
	}
	return r.here.listener
}

func (r *reader) ensureStandard() *listener {
	if r.standard == nil {
		r.standard = newListener(r.pos)
		r.standard.Port = 1883
	}
	return r.standard
}

// openDefault makes the default listener one that the file asks for.
func (r *reader) openDefault() *listener {
	r.here.listener = r.ensureStandard()
	r.standard.open = true
	r.cfg.LocalOnly = false
	return r.standard
}

// security returns the settings that a line of scope Secure is about.
func (r *reader) security() *security {
	if !r.cfg.PerListener {
		return &r.global
	}
	if r.here.listener == nil {
		r.here.listener = r.ensureStandard()
	}
	return &r.here.listener.sec
}

// trigger opens the default listener if the line is about its security. Of the
// settings of scope Secure, those that add users do; allow_anonymous must not.
func (r *reader) trigger() {
	if r.cfg.PerListener && (r.here.listener == nil || r.here.listener == r.standard) {
		r.ensureStandard().open = true
	}
}

// include reads the files of a directory.
func include(r *reader, w *words) *Error {
	dir := w.tail()
	switch {
	case dir == "":
		return wrong("no value", "write the path of a directory")
	case r.nested:
		return wrong("include_dir within an included file", "include the directory from the main file")
	case r.opts.ReadDir == nil || r.opts.ReadFile == nil:
		return wrong("directories cannot be included here", "put the lines into this file")
	}
	entries, err := r.opts.ReadDir(dir)
	if err != nil {
		return wrong(fmt.Sprintf("read the directory: %v", cause(err)), "create it, or remove the line")
	}
	var names []string
	for _, e := range entries {
		if n := e.Name(); len(n) > len(".conf") && strings.HasSuffix(n, ".conf") {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, upperFirst)
	pos, word, entry := r.pos, r.word, r.entry
	r.nested = true
	for _, n := range names {
		path := filepath.Join(dir, n)
		b, err := r.opts.ReadFile(path)
		if err != nil {
			r.refuse(&Error{Pos: pos, Word: word, Msg: fmt.Sprintf("read %s: %v", path, cause(err)), Fix: "make it readable, or remove it"})
			continue
		}
		r.file(path, b)
	}
	r.nested = false
	r.pos, r.word, r.entry = pos, word, entry
	if len(names) == 0 {
		r.note(Kept, "it holds no file *.conf")
	}
	return nil
}

// upperFirst orders names letter by letter, upper case before lower case of the
// same letter.
func upperFirst(a, b string) int {
	for i := range min(len(a), len(b)) {
		if d := int(upper(a[i])) - int(upper(b[i])); d != 0 {
			return d
		}
		if d := int(a[i]) - int(b[i]); d != 0 {
			return d
		}
	}
	return len(a) - len(b)
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// cause is what went wrong with a file, without its path.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// printable replaces what is no text.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return s
	}
	return quote(s)
}
