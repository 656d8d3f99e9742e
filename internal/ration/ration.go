package ration

import (
	"net/netip"
	"sync"
	"time"
	"unicode/utf8"
)

// Lines bounds the lines about each source: some at once, then one a second with
// the number of those that were left out. The zero value is ready; it may be used
// by several goroutines.
type Lines struct {
	AtOnce int // 0: 5

	mu      sync.Mutex
	sources map[string]*told // guarded by mu; at most maxTold
}

type told struct {
	lines float64 // that may be written now
	at    time.Time
	left  int // not logged since the last line
}

const (
	maxTold   = 4096
	atOnce    = 5
	perSecond = 1
)

// Next reports whether a line about the source may be logged, and how many were
// left out before it.
func (l *Lines) Next(source string) (left int, ok bool) { return l.next(source, time.Now()) }

func (l *Lines) next(source string, now time.Time) (left int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	source = Cut(source)
	t := l.sources[source]
	if t == nil {
		if l.sources == nil || len(l.sources) >= maxTold {
			l.sources = make(map[string]*told) // all begin again: better a few lines too many
		}
		t = &told{lines: l.most(), at: now}
		l.sources[source] = t
	}
	if t.now(now, l.most()) < 1 {
		t.left++
		return 0, false
	}
	left, t.left = t.left, 0
	t.lines--
	return left, true
}

// Spent reports whether Next would say no. It counts nothing.
func (l *Lines) Spent(source string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	source = Cut(source)
	t := l.sources[source]
	return t != nil && t.now(time.Now(), l.most()) < 1
}

func (l *Lines) most() float64 {
	if l.AtOnce == 0 {
		return atOnce
	}
	return float64(l.AtOnce)
}

// now is how many lines may be written now.
func (t *told) now(now time.Time, most float64) float64 {
	t.lines = min(t.lines+perSecond*now.Sub(t.at).Seconds(), most)
	t.at = now
	return t.lines
}

// Place is the source of a connection: its address without the port; of IPv6 the
// network, of which a single customer has all addresses. "" is no address, as of a
// Unix socket.
func Place(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return ""
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// MaxText is how many bytes of a foreign text are logged.
const MaxText = 256

// Cut returns s, or the beginning of a longer one and dots.
func Cut(s string) string { return CutTo(s, MaxText) }

// CutTo is Cut for another length.
func CutTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most - len("...")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}
