package auth

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// Users are the users of a password file. They do not change and serve many
// goroutines.
type Users struct {
	File   string
	hashes map[string]Hash
	decoy  Hash // costs what most of the hashes cost; fits no password
}

// LoadUsers reads a password file. ReadUsers says of what form.
func LoadUsers(path string) (*Users, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read password file: %w", err)
	}
	defer f.Close()
	return ReadUsers(f, path)
}

// ReadUsers reads lines of the form USER:HASH; name stands for the file in
// errors. A single bad line refuses all of it: of a user whose line cannot be
// read, nobody could tell whether she may connect. An empty file has no users.
func ReadUsers(src io.Reader, name string) (*Users, error) {
	u := &Users{File: name, hashes: map[string]Hash{}}
	costs := map[[4]int]int{}
	most := 0
	err := eachLine(src, name, func(_ int, line string) (msg, fix string) {
		if line == "" || line[0] == '#' {
			return "", ""
		}
		user, word, ok := strings.Cut(line, ":")
		user, word = strings.TrimSpace(user), strings.TrimSpace(word)
		msg, fix = wrongUser(user)
		switch {
		case !ok:
			return "no colon between user and password", "write it with nightjar passwd"
		case msg != "":
			return msg, fix
		case word != "" && word[0] != '$':
			return "the password of " + quote(user) + " is not hashed", "run nightjar passwd -U " + name
		}
		h, err := ParseHash(word)
		if err != nil {
			return fmt.Sprintf("the password of %s: %v", quote(user), err), "set it again with nightjar passwd " + name + " " + user
		}
		if _, twice := u.hashes[user]; twice {
			return "a second password of " + quote(user), "remove one of the lines"
		}
		u.hashes[user] = h
		c := h.cost()
		if costs[c]++; costs[c] > most {
			most, u.decoy = costs[c], h.Like()
		}
		return "", ""
	})
	if err != nil {
		return nil, err
	}
	if most == 0 {
		u.decoy = Hash{form: SHA512}
		u.decoy = u.decoy.Like()
	}
	return u, nil
}

// wrongUser says what is wrong with a user name, "" if nothing is.
func wrongUser(user string) (msg, fix string) {
	switch {
	case user == "":
		return "no user name", "write it before the colon"
	case len(user) > math.MaxUint16:
		return "the user name is longer than 65535 bytes", "shorten it"
	case strings.ContainsFunc(user, func(c rune) bool { return c < ' ' || c == 0x7f || c == ':' }):
		return "the user name holds a colon or a control character", "choose another"
	}
	return "", ""
}

// Len returns how many users there are.
func (u *Users) Len() int { return len(u.hashes) }

// Has reports whether there is a user of the name.
func (u *Users) Has(user string) bool {
	_, ok := u.hashes[user]
	return ok
}

// Verify reports whether the user has the password. An unknown user takes as
// long as a known one whose hash costs what most of the file's do.
func (u *Users) Verify(user string, password []byte) bool {
	h, ok := u.hashes[user]
	if !ok {
		h = u.decoy
	}
	return h.Verify(password) && ok
}

// Exposed reports whether everybody on this machine may read a file, which is
// wrong for one of passwords or private keys.
func Exposed(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", path, err)
	}
	return info.Mode().Perm()&0o004 != 0, nil
}
