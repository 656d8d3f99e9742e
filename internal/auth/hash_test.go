package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Lines that mosquitto_passwd 2.0.11 wrote, and one of the reference
// implementation of argon2.
const (
	bobLine   = "bob:$6$E/bvEz7LzikLW1t8$WMwN+wwEX95D5mCB80sApJK+Mxj1pT59DE5d1pfrwMjym92v05Ibv1MQHmChR6RQCraDMUKICHVlx625TqLZOQ=="
	aliceLine = "alice:$7$101$rblmcJ7MG4PA2D3S$akb+3gybRNP/snlahM+nM4YZbOEspEAYS2zEdXXeLq0ujZ/75HOPD9v06PhFv/EE78+eIT4B/CIu7sBBCX972A=="
	carolLine = "carol:$7$101$4sg5jXS2QUWzQG6L$ckaQA/BnZzaYBB6fsEhzExDl/wwZRhwy0P12RMBoXRaSLNlale0dfWPZCeJ5MvhQrHZQpuR4oqknLFVhhMMr2A=="
	daveLine  = "dave:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
)

func TestReadUsers(t *testing.T) {
	u, err := ReadUsers(strings.NewReader("# users\n\n"+bobLine+"\n"+aliceLine+"\r\n"+carolLine+"\n"+daveLine), "pw")
	if err != nil {
		t.Fatal(err)
	}
	for user, password := range map[string]string{"alice": "secret", "bob": "hunter2", "carol": "pass:word", "dave": "password"} {
		if !u.Has(user) || !u.Verify(user, []byte(password)) {
			t.Errorf("%s is refused", user)
		}
		for _, wrong := range []string{"", password + "x", password[1:], strings.ToUpper(password)} {
			if u.Verify(user, []byte(wrong)) {
				t.Errorf("%s is let in with %q", user, wrong)
			}
		}
	}
	if u.Has("eve") || u.Verify("eve", nil) || u.Verify("", nil) {
		t.Error("an unknown user is let in")
	}
	// An unknown user costs what most known ones do.
	if u.decoy.form != PBKDF2 || u.decoy.iterations != 101 {
		t.Errorf("decoy %+v", u.decoy.cost())
	}
}

func TestReadUsersErrors(t *testing.T) {
	for _, c := range []struct{ text, msg string }{
		{"alice", "no colon"},
		{":x", "no user name"},
		{"alice:secret", "not hashed"},
		{"alice:", "not a hashed password"},
		{"alice:$5$x$y", "not a hashed password"},
		{"alice:$6$$" + strings.Repeat("A", 86), "no salt"},
		{"alice:$6$AAAA$AAAA", "not 64 bytes"},
		{"alice:$6$A*AA$AAAA", "decode the salt"},
		{"alice:$7$0$AAAA$AAAA", "iterations"},
		{"alice:$7$999999999$AAAA$AAAA", "iterations"},
		{"alice:$7$x$AAAA$AAAA", "iterations"},
		{"alice:$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$AAAA", "version"},
		{"alice:$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$AAAA", "out of range"},
		{"alice:$argon2id$v=19$m=256,p=1$c29tZXNhbHQ$AAAA", "cost"},
		{"alice:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$AAAA", "16 to 1024"},
		{aliceLine + "\n" + aliceLine, "a second password"},
		{"a\x01b:$6$x$y", "control character"},
		{"\xff:x", "not UTF-8"},
	} {
		u, err := ReadUsers(strings.NewReader(c.text), "pw")
		var le *LineError
		if u != nil || !errors.As(err, &le) || !strings.Contains(le.Msg, c.msg) || le.Fix == "" {
			t.Errorf("%.40q: %v", c.text, err)
		}
	}
	u, err := ReadUsers(strings.NewReader("# nobody\n"), "pw")
	if err != nil || u.Len() != 0 || u.Verify("alice", nil) {
		t.Errorf("an empty file: %v, %v", u, err)
	}
	if _, err := LoadUsers("testdata/none"); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestNewHash(t *testing.T) {
	for _, o := range []HashOptions{{}, {Form: SHA512}, {Form: PBKDF2, Iterations: 1000}, {Form: Argon2id}} {
		h, err := NewHash([]byte("pass"), o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseHash(h.String())
		if err != nil || again.String() != h.String() || !again.Verify([]byte("pass")) || again.Verify([]byte("pas")) {
			t.Errorf("%v: %s, %v", o, h.String(), err)
		}
		d := again.Like()
		if d.cost() != h.cost() || d.String() == h.String() || d.Verify([]byte("pass")) {
			t.Errorf("decoy of %s is %s", h.String(), d.String())
		}
	}
	for _, o := range []HashOptions{{Form: "md5"}, {Form: PBKDF2, Iterations: -1}} {
		if _, err := NewHash(nil, o); err == nil {
			t.Errorf("%v is accepted", o)
		}
	}
}

// FuzzHash: what is read is written the same; every prefix of it is refused or
// is another hash.
func FuzzHash(f *testing.F) {
	for _, line := range []string{bobLine, aliceLine, carolLine, daveLine} {
		_, h, _ := strings.Cut(line, ":")
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHash(s)
		if err != nil {
			return
		}
		again, err := ParseHash(h.String())
		if err != nil || again.String() != h.String() {
			t.Errorf("%q is written as %q: %v", s, h.String(), err)
		}
		u, err := ReadUsers(strings.NewReader("u:"+s), "pw")
		if err == nil && !u.Has("u") {
			t.Errorf("%q: no user", s)
		}
	})
}

// FuzzUsers: a password file of any text is read or refused, line by line, and the order of its lines does not matter.
func FuzzUsers(f *testing.F) {
	f.Add("# users\n" + bobLine + "\n" + aliceLine + "\r\n\n" + daveLine)
	f.Add("a:b\n:\nc:$6$$")
	f.Add("a:\na:")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ReadUsers(strings.NewReader(text), "pw")
		lines := strings.Split(text, "\n")
		slices.Reverse(lines)
		back, backErr := ReadUsers(strings.NewReader(strings.Join(lines, "\n")), "pw")
		if (err == nil) != (backErr == nil) {
			t.Fatalf("%v, and backwards %v", err, backErr)
		}
		if err != nil {
			return
		}
		for _, line := range lines {
			name, _, ok := strings.Cut(line, ":")
			if name = strings.TrimSpace(name); ok && !strings.HasPrefix(line, "#") && (!u.Has(name) || !back.Has(name)) {
				t.Errorf("no user %q", name)
			}
		}
	})
}
