package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// PasswordFile is a password file that is changed. It keeps comments and the
// order of the lines.
type PasswordFile struct {
	path  string
	lines []string
}

// NewPasswordFile returns an empty file for a path; Save creates or replaces it.
func NewPasswordFile(path string) *PasswordFile { return &PasswordFile{path: path} }

// OpenPasswordFile reads a file to change it. Passwords need not be hashed.
func OpenPasswordFile(path string) (*PasswordFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read password file: %w", err)
	}
	defer f.Close()
	p := &PasswordFile{path: path}
	return p, eachLine(f, path, func(_ int, line string) (msg, fix string) {
		if line != "" && line[0] != '#' && !strings.Contains(line, ":") {
			return "no colon between user and password", "correct or remove the line"
		}
		p.lines = append(p.lines, line)
		return "", ""
	})
}

// find returns the line of a user, -1 if there is none.
func (p *PasswordFile) find(user string) int {
	for i, line := range p.lines {
		if u, _, ok := strings.Cut(line, ":"); ok && line[0] != '#' && strings.TrimSpace(u) == user {
			return i
		}
	}
	return -1
}

// Set gives a user a password; added says that she had none.
func (p *PasswordFile) Set(user string, password []byte, o HashOptions) (added bool, err error) {
	if msg, fix := wrongUser(user); msg != "" {
		return false, fmt.Errorf("user %s: %s; %s", quote(user), msg, fix)
	}
	if user != strings.TrimSpace(user) || user[0] == '#' {
		return false, fmt.Errorf("user %s: the name begins with # or has blanks around it; choose another", quote(user))
	}
	if len(password) > math.MaxUint16 {
		return false, errors.New("the password is longer than 65535 bytes; shorten it")
	}
	h, err := NewHash(password, o)
	if err != nil {
		return false, fmt.Errorf("hash the password of %s: %w", quote(user), err)
	}
	line := user + ":" + h.String()
	if i := p.find(user); i >= 0 {
		p.lines[i] = line
		return false, nil
	}
	p.lines = append(p.lines, line)
	return true, nil
}

// Delete removes a user and reports whether she was there.
func (p *PasswordFile) Delete(user string) bool {
	i := p.find(user)
	if i < 0 {
		return false
	}
	p.lines = append(p.lines[:i], p.lines[i+1:]...)
	return true
}

// HashPlain hashes the passwords that are not and returns how many they were.
// A password that begins with $ is taken for a hash, and must be one.
func (p *PasswordFile) HashPlain(o HashOptions) (int, error) {
	n := 0
	for i, line := range p.lines {
		user, password, ok := strings.Cut(line, ":")
		if !ok || line[0] == '#' {
			continue
		}
		user, password = strings.TrimSpace(user), strings.TrimSpace(password)
		at := &LineError{File: p.path, Line: i + 1}
		switch {
		case password == "":
			at.Msg, at.Fix = "no password of "+quote(user), "write it behind the colon, or remove the line"
			return 0, at
		case password[0] == '$':
			if _, err := ParseHash(password); err != nil {
				at.Msg, at.Fix = fmt.Sprintf("the password of %s: %v", quote(user), err), "set it with nightjar passwd"
				return 0, at
			}
		default:
			if _, err := p.Set(user, []byte(password), o); err != nil {
				return 0, err
			}
			n++
		}
	}
	return n, nil
}

// String is what Save writes.
func (p *PasswordFile) String() string {
	if len(p.lines) == 0 {
		return ""
	}
	return strings.Join(p.lines, "\n") + "\n"
}

// Save writes the file so that at every moment the old or the new one is there,
// on the disk too. Only its owner may read it; an existing file keeps its owner.
func (p *PasswordFile) Save() error {
	if err := ReplaceFile(p.path, []byte(p.String())); err != nil {
		return fmt.Errorf("write password file %s: %w", p.path, err)
	}
	return nil
}

// ReplaceFile makes b the content of a file of secrets, so that at every moment the
// old or the new is there, on the disk too. Only its owner may read it; an existing
// file keeps its owner, and a link stays one.
func ReplaceFile(path string, b []byte) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".passwd-*") // with mode 0600
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return fmt.Errorf("make a file in %s: %w", dir, at.Err) // nobody knows the name of the new one
	} else if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return errors.New("it is a directory: name a file in it")
	} else if statErr == nil {
		keepOwner(f, info)
	} else if !errors.Is(statErr, fs.ErrNotExist) {
		return statErr
	}
	if _, err = f.Write(b); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	return f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
