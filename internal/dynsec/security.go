package dynsec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/nightjarmq/nightjar/internal/auth"
)

// Topic is where commands are published to, Response where they are answered.
const (
	Topic    = "$CONTROL/dynamic-security/v1"
	Response = Topic + "/response"
)

// Security is dynamic security in a file. It serves many goroutines.
type Security struct {
	path string
	now  atomic.Pointer[snapshot]
	mu   sync.Mutex  // held by who changes
	seen os.FileInfo // of the file that was read or written last; guarded by mu
}

// maxFile is the most bytes of a file that is read.
const maxFile = 256 << 20

// Open reads the file, which must be there. An empty one lets nobody in.
func Open(path string) (*Security, error) {
	s := &Security{path: path}
	if err := s.Refresh(); err != nil {
		return nil, err
	}
	return s, nil
}

// Path returns the name of the file.
func (s *Security) Path() string { return s.path }

// Refresh reads the file again if somebody else has changed it. With an error
// nothing has changed.
func (s *Security) Refresh() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refresh(); err != nil {
		return fmt.Errorf("read dynamic security: %w", err)
	}
	return nil
}

func (s *Security) refresh() error {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; make it with mosquitto_ctrl dynsec init %s ADMIN", err, s.path)
	case err != nil:
		return err
	case s.seen != nil && os.SameFile(s.seen, info) && s.seen.ModTime().Equal(info.ModTime()) && s.seen.Size() == info.Size():
		return nil
	case info.Size() > maxFile:
		return fmt.Errorf("%s is larger than %d MiB", s.path, maxFile>>20)
	}
	b, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	d, err := parse(b)
	if err == nil {
		err = s.hold(d)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	s.seen = info
	return nil
}

// hold makes a document decide from now on.
func (s *Security) hold(d *document) error {
	snap, err := compile(d, s.path)
	if err != nil {
		return err
	}
	s.now.Store(snap)
	return nil
}

// Check decides about publishing to a topic or being sent a message with it.
func (s *Security) Check(id, user string, action auth.Action, name []byte) auth.Decision {
	k := receive
	if action == auth.Publish {
		k = send
	}
	return s.now.Load().check(k, id, user, name)
}

// Subscribe decides about a filter.
func (s *Security) Subscribe(id, user, filter string) auth.Decision {
	return s.now.Load().filter(subLiteral, subPattern, id, user, filter)
}

// Unsubscribe decides who may give up a filter.
func (s *Security) Unsubscribe(id, user, filter string) auth.Decision {
	return s.now.Load().filter(unsubLiteral, unsubPattern, id, user, filter)
}

// Has reports whether there is a client of the user name.
func (s *Security) Has(user string) bool { return s.now.Load().clients[user] != nil }

// Verify reports whether a client may connect, and why not.
func (s *Security) Verify(id, user string, password []byte) (ok bool, why string) {
	snap := s.now.Load()
	who := snap.clients[user]
	if who == nil || !who.hashed {
		snap.decoy.Verify(password) // costs as much as a password that there is
		if who == nil {
			return false, "unknown user"
		}
		return false, "the user has no password"
	}
	if right := who.hash.Verify(password); !right {
		return false, "wrong password"
	}
	return who.admit(id)
}

// Admit decides about a user whom a certificate names.
func (s *Security) Admit(id, user string) (ok bool, why string) {
	who := s.now.Load().clients[user]
	if who == nil {
		return false, "unknown user"
	}
	return who.admit(id)
}

func (s *subject) admit(id string) (ok bool, why string) {
	switch {
	case s.disabled:
		return false, "the user is disabled"
	case s.clientID != "" && s.clientID != id:
		return false, "the user may connect with another client identifier only"
	}
	return true, ""
}

var (
	_ auth.List         = (*Security)(nil)
	_ auth.Unsubscriber = (*Security)(nil)
	_ auth.Directory    = (*Security)(nil)
)
