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
	shares shares
}

// Next reports whether a line about the source may be logged, and how many were
// left out before it.
func (l *Lines) Next(source string) (left int, ok bool) { return l.next(source, time.Now()) }

func (l *Lines) next(source string, now time.Time) (left int, ok bool) {
	return l.shares.take(source, now, l.most(), 1)
}

// Spent reports whether Next would say no. It counts nothing.
func (l *Lines) Spent(source string) bool {
	l.shares.mu.Lock()
	defer l.shares.mu.Unlock()
	t := l.shares.sources[Cut(source)]
	return t != nil && t.now(time.Now(), l.most(), 1) < 1
}

func (l *Lines) most() float64 {
	if l.AtOnce == 0 {
		return 5
	}
	return float64(l.AtOnce)
}

// Rate bounds how often a source does something. The zero value is ready; it may be
// used by several goroutines.
type Rate struct{ shares shares }

// Allow reports whether the source may do it once more, when so many times a second
// are allowed, and ten times as many at once.
func (r *Rate) Allow(source string, perSecond int) bool {
	return r.allow(source, time.Now(), perSecond)
}

func (r *Rate) allow(source string, now time.Time, perSecond int) bool {
	_, ok := r.shares.take(source, now, 10*float64(perSecond), float64(perSecond))
	return ok
}

// shares are what each source may still have.
type shares struct {
	mu      sync.Mutex
	sources map[string]*share // guarded by mu; at most maxSources
}

type share struct {
	rest float64
	at   time.Time
	left int // refused since the last
}

const maxSources = 4096

// take takes one from the share of a source, which has at most so many and gets so
// many a second. left is how often that was refused before.
func (s *shares) take(source string, now time.Time, most, perSecond float64) (left int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	source = Cut(source)
	t := s.sources[source]
	if t == nil {
		if s.sources == nil || len(s.sources) >= maxSources {
			s.sources = make(map[string]*share) // all begin again: better a few too many
		}
		t = &share{rest: most, at: now}
		s.sources[source] = t
	}
	if t.now(now, most, perSecond) < 1 {
		t.left++
		return 0, false
	}
	left, t.left = t.left, 0
	t.rest--
	return left, true
}

// now is what is there now.
func (t *share) now(now time.Time, most, perSecond float64) float64 {
	t.rest = min(t.rest+perSecond*now.Sub(t.at).Seconds(), most)
	t.at = now
	return t.rest
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
