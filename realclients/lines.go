package realclients

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Lines collects what a program writes, for one reader who waits for it line by line.
type Lines struct {
	mu      sync.Mutex
	all     []string      // complete lines
	rest    []byte        // the line that has not ended
	read    int           // how many of all were taken by Next
	ended   bool          // nothing more will come
	changed chan struct{} // closed and replaced when something above changes
}

// NewLines returns an empty collection.
func NewLines() *Lines { return &Lines{changed: make(chan struct{})} }

// Write adds to the collection; it keeps nothing of p.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			break
		}
		l.all, l.rest = append(l.all, string(line)), rest
	}
	l.wake()
	return len(p), nil
}

// End says that nothing more will be written.
func (l *Lines) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rest) > 0 {
		l.all, l.rest = append(l.all, string(l.rest)), nil
	}
	l.ended = true
	l.wake()
}

func (l *Lines) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Next takes the next line. It fails the test when none comes.
func (l *Lines) Next(t testing.TB) string {
	t.Helper()
	return l.Until(t, "")
}

// Until takes lines up to one that contains every one of words, and returns that line. It fails the test when none comes.
func (l *Lines) Until(t testing.TB, words ...string) string {
	t.Helper()
	late := time.After(Patience)
	for {
		line, ok, ended, changed := l.take()
		switch {
		case ok && containsAll(line, words):
			return line
		case ok:
			continue
		case ended:
			t.Fatalf("no line with %q before the end of\n%s", words, l)
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no line with %q for %v in\n%s", words, Patience, l)
		}
	}
}

func (l *Lines) take() (line string, ok, ended bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.read < len(l.all) {
		l.read++
		return l.all[l.read-1], true, false, nil
	}
	return "", false, l.ended, l.changed
}

// String is everything so far.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n") + string(l.rest)
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
