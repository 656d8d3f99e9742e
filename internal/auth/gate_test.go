package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nightjarmq/nightjar/internal/conn"
	"github.com/nightjarmq/nightjar/packet"
)

func someUsers(t *testing.T) *Users {
	t.Helper()
	u, err := ReadUsers(strings.NewReader(aliceLine+"\n"+bobLine), "pw")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func attempt(user, password string, anonymous bool) *conn.Attempt {
	a := &conn.Attempt{ClientID: "id", Addr: "192.0.2.1:5000", Listener: "one", Anonymous: anonymous}
	if user != "-" {
		a.Username, a.Password = packet.Some(user), packet.Some([]byte(password))
	}
	return a
}

func TestGate(t *testing.T) {
	users := Entrance{Users: someUsers(t)}
	for _, c := range []struct {
		name           string
		e              Entrance
		user, password string
		anonymous      bool
		as             string
		ok             bool
	}{
		{"right", users, "alice", "secret", false, "alice", true},
		{"right, where nobody needs a name", users, "alice", "secret", true, "alice", true},
		{"wrong", users, "alice", "x", false, "", false},
		{"wrong, where nobody needs a name", users, "alice", "x", true, "", false},
		{"unknown", users, "eve", "x", true, "", false},
		{"the empty name is not the anonymous", users, "", "", true, "", false},
		{"anonymous", users, "-", "", true, "", true},
		{"anonymous, not wanted", users, "-", "", false, "", false},
		{"no file", Entrance{}, "alice", "secret", false, "", false},
		{"no file, anybody", Entrance{}, "alice", "x", true, "alice", true},
		{"prefix", Entrance{Users: users.Users, IDPrefix: "i"}, "alice", "secret", false, "alice", true},
		{"other prefix", Entrance{Users: users.Users, IDPrefix: "x"}, "alice", "secret", false, "", false},
		{"name is id", Entrance{UserIsClientID: true}, "-", "", true, "", false},
	} {
		g := NewGate(Entrances{Default: c.e}, 1)
		user, err := g.Authenticate(t.Context(), attempt(c.user, c.password, c.anonymous))
		if user != c.as || (err == nil) != c.ok {
			t.Errorf("%s: %q, %v", c.name, user, err)
		}
		if err != nil && err.Error() != "not authorized" {
			t.Errorf("%s: the client is told %q", c.name, err)
		}
	}
}

func TestGateByListener(t *testing.T) {
	g := NewGate(Entrances{ByListener: map[string]Entrance{"one": {Users: someUsers(t)}}}, 1)
	if _, err := g.Authenticate(t.Context(), attempt("alice", "secret", false)); err != nil {
		t.Error(err)
	}
	other := attempt("alice", "secret", false)
	other.Listener = "two"
	var why string
	g.Refused = func(_ *conn.Attempt, w string) { why = w }
	if _, err := g.Authenticate(t.Context(), other); err == nil || why != "there is no password file" {
		t.Errorf("%v: %s", err, why)
	}
	g.Replace(Entrances{})
	if _, err := g.Authenticate(t.Context(), attempt("alice", "secret", false)); err == nil {
		t.Error("let in after Replace")
	}
}

func TestCertificateNames(t *testing.T) {
	cert := func(n pkix.Name) *tls.ConnectionState {
		raw, err := asn1.Marshal(n.ToRDNSequence())
		if err != nil {
			t.Fatal(err)
		}
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: n, RawSubject: raw}}}
	}
	full := pkix.Name{CommonName: "test client", OrganizationalUnit: []string{"Production"}, Country: []string{"GB"}}
	for _, c := range []struct {
		state *tls.ConnectionState
		which Identity
		user  string
	}{
		{cert(full), CommonName, "test client"},
		{cert(full), Subject, "CN=test client,OU=Production,C=GB"},
		{cert(pkix.Name{}), CommonName, ""},
		{cert(pkix.Name{CommonName: "a#"}), CommonName, ""},
		{cert(pkix.Name{CommonName: "a\x00b"}), CommonName, ""},
		{&tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "a\xff"}}}}, CommonName, ""},
		{&tls.ConnectionState{}, CommonName, ""},
		{nil, CommonName, ""},
	} {
		g := NewGate(Entrances{Default: Entrance{Identity: c.which}}, 1)
		a := attempt("alice", "secret", true)
		a.TLS = c.state
		user, err := g.Authenticate(t.Context(), a)
		if user != c.user || (err == nil) != (c.user != "") {
			t.Errorf("%q, %v, want %q", user, err, c.user)
		}
	}
}

// Failures cost time, by user and by address, up to a bound; other users from
// other places do not pay for them.
func TestFailuresAreSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(Entrances{Default: Entrance{Users: someUsers(t)}}, 1)
		took := func(user, password, addr string) time.Duration {
			a := attempt(user, password, false)
			a.Addr = addr
			before := time.Now()
			g.Authenticate(t.Context(), a)
			return time.Since(before)
		}
		for range freeByUser {
			if d := took("alice", "x", "192.0.2.1:1"); d != 0 {
				t.Errorf("a free failure took %v", d)
			}
		}
		last := time.Duration(0)
		for range 10 {
			d := took("alice", "x", "192.0.2.2:1")
			if d < last || d < firstWait || d > mostWait {
				t.Errorf("waited %v after %v", d, last)
			}
			last = d
		}
		if last != mostWait {
			t.Errorf("waits %v at last", last)
		}
		if d := took("bob", "hunter2", "192.0.2.3:1"); d != 0 {
			t.Errorf("bob waited %v", d)
		}
		took("alice", "secret", "192.0.2.4:1")
		if d := took("alice", "secret", "192.0.2.4:1"); d != 0 {
			t.Errorf("alice waited %v after she was let in", d)
		}
		for i := range freeByAddr + 3 {
			took(fmt.Sprint("user", i), "x", "[2001:db8::1]:1")
		}
		if took("bob", "hunter2", "[2001:db8::2]:9") == 0 {
			t.Error("another address of the network is not slowed")
		}
		time.Sleep(10 * halfLife) // of synctest: no time passes
		if d := took("bob", "hunter2", "[2001:db8::1]:1"); d != 0 {
			t.Errorf("waited %v long after", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range freeByUser {
			took("carol", "x", "")
		}
		if _, err := g.Authenticate(ctx, attempt("carol", "x", false)); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// Another Gate, after a reload, remembers who failed and shares the workers.
func TestGateFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := Entrances{Default: Entrance{Users: someUsers(t)}}
		g := NewGate(all, 1)
		for range freeByUser + 3 {
			g.Authenticate(t.Context(), attempt("alice", "x", false))
		}
		next := NewGate(all, 4)
		next.Follow(g)
		before := time.Now()
		if _, err := next.Authenticate(t.Context(), attempt("alice", "secret", false)); err != nil || time.Since(before) < firstWait {
			t.Errorf("%v after %v: the failures are forgotten", err, time.Since(before))
		}
		if cap(next.hashing) != 1 || next.waiting != g.waiting {
			t.Error("the workers are not shared")
		}
	})
}

// As many passwords as there are workers are hashed at a time; who waits for
// longer than it wants gives up.
func TestHashingIsBounded(t *testing.T) {
	g := NewGate(Entrances{Default: Entrance{Users: someUsers(t)}}, 2)
	g.hashing <- struct{}{}
	if _, err := g.Authenticate(t.Context(), attempt("alice", "secret", false)); err != nil {
		t.Error(err)
	}
	g.hashing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Authenticate(ctx, attempt("alice", "secret", false)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	g.waiting.Store(maxWaiting)
	var pe *packet.Error
	if _, err := g.Authenticate(t.Context(), attempt("alice", "secret", false)); !errors.As(err, &pe) || pe.Code != packet.ServerBusy {
		t.Errorf("%v", err)
	}
}

// The memory of failures is bounded, and one who failed often is not pushed out
// by one who failed once.
func TestFailuresKeepTheWorst(t *testing.T) {
	var f failures
	now := time.Now()
	a := f.key('u', "a")
	for range 8 {
		f.add(a, 100, now)
	}
	f.add(a+slots, 100, now)
	if f.count(a, now) != 7 || f.count(a+slots, now) != 0 {
		t.Errorf("%v, %v", f.count(a, now), f.count(a+slots, now))
	}
	for range 8 {
		f.add(a+slots, 100, now)
	}
	if f.count(a, now) != 0 || f.count(a+slots, now) == 0 {
		t.Errorf("%v, %v", f.count(a, now), f.count(a+slots, now))
	}
}
