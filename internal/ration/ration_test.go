package ration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLines(t *testing.T) {
	var l Lines
	now := time.Now()
	say := func(source string, n int) (lines, left int) {
		for range n {
			if missed, ok := l.next(source, now); ok {
				lines++
				left += missed
			}
		}
		return lines, left
	}
	if lines, left := say("a", 100); lines != 5 || left != 0 {
		t.Errorf("at once %d lines, %d left out", lines, left)
	}
	if lines, _ := say("b", 1); lines != 1 {
		t.Error("one source takes the lines of another")
	}
	now = now.Add(2 * time.Second)
	if lines, left := say("a", 3); lines != 2 || left != 95 {
		t.Errorf("after two seconds %d lines, %d left out", lines, left)
	}
	if now = now.Add(time.Hour); l.Spent("nobody") || l.Spent("b") {
		t.Error("who said nothing has no line left")
	}
	if lines, left := say("a", 100); lines != 5 || left != 1 {
		t.Errorf("after an hour %d lines, %d left out", lines, left)
	}
	if !l.Spent("a") {
		t.Error("a line is left of none")
	}
	for i := range 3 * maxSources {
		say(fmt.Sprint(i), 1)
	}
	if n := len(l.shares.sources); n > maxSources {
		t.Errorf("%d sources are remembered", n)
	}
}

func TestRate(t *testing.T) {
	var r Rate
	now := time.Now()
	try := func(source string, n int) (allowed int) {
		for range n {
			if r.allow(source, now, 3) {
				allowed++
			}
		}
		return allowed
	}
	if n := try("a", 100); n != 30 {
		t.Errorf("%d at once", n)
	}
	if n := try("b", 100); n != 30 {
		t.Errorf("%d of another source", n)
	}
	if now = now.Add(2 * time.Second); try("a", 100) != 6 {
		t.Error("not three a second")
	}
}

func TestPlace(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:1883": "192.0.2.1", "[::ffff:192.0.2.1]:1": "192.0.2.1", "[2001:db8::1]:1": "2001:db8::/64",
		"[2001:db8::ffff:1%eth0]:1": "2001:db8::/64", "unix": "", "": "",
	} {
		if got := Place(addr); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"short", "short"},
		{strings.Repeat("x", 256), strings.Repeat("x", 256)},
		{strings.Repeat("x", 257), strings.Repeat("x", 253) + "..."},
		{strings.Repeat("€", 1000), strings.Repeat("€", 84) + "..."},
		{strings.Repeat("\x80", 1000), "..."},
	} {
		if got := Cut(tc.in); got != tc.want {
			t.Errorf("%.20q: %q, want %q", tc.in, got, tc.want)
		}
	}
}
