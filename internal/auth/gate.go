package auth

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/nightjarmq/nightjar/internal/conn"
	"github.com/nightjarmq/nightjar/packet"
)

// Identity says which part of a client's certificate is its user name.
type Identity uint8

// The identities. With NoIdentity the client names its user itself.
const (
	NoIdentity Identity = iota
	CommonName
	Subject
)

// Entrance says who may connect at a listener. The listener itself says whether
// clients without a user name may.
type Entrance struct {
	// Users are who may connect; nil means that there is no password file: then
	// nobody is asked for a password where clients without a user name may
	// connect, and elsewhere nobody may.
	Users *Users
	// Directory, when set, is asked before Users, which then matter for those that
	// it does not know.
	Directory Directory
	Identity  Identity
	// UserIsClientID refuses clients without a user name.
	UserIsClientID bool
	// IDPrefix, when set, must begin the client identifier.
	IDPrefix string
}

// Directory is who may connect, where that is more than a list of passwords.
type Directory interface {
	// Has reports whether there is a user of the name.
	Has(user string) bool
	// Verify reports whether a client may connect with a user name and password. An
	// unknown user takes as long as one who is known. why is said in the log.
	Verify(id, user string, password []byte) (ok bool, why string)
	// Admit decides likewise about a user whom a certificate has named.
	Admit(id, user string) (ok bool, why string)
}

// Entrances are those of all listeners.
type Entrances struct {
	Default    Entrance
	ByListener map[string]Entrance // by name; replaces Default
}

// Gate is the broker's Authenticator. Passwords are hashed by few goroutines at
// a time, and who fails is slowed.
type Gate struct {
	entrances atomic.Pointer[Entrances]
	hashing   chan struct{} // a token for each password being hashed
	waiting   *atomic.Int64
	failures  *failures

	// Refused, when set, is told why a client was refused, which the client is
	// not. It must not keep the attempt. Set it before use.
	Refused func(a *conn.Attempt, why string)
}

// maxWaiting is how many clients may wait for their password to be hashed.
const maxWaiting = 10_000

// NewGate returns a Gate. workers is how many passwords are hashed at a time; 0
// means half of the processors, at least one.
func NewGate(e Entrances, workers int) *Gate {
	if workers <= 0 {
		workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	g := &Gate{hashing: make(chan struct{}, workers), waiting: new(atomic.Int64), failures: new(failures)}
	g.Replace(e)
	return g
}

// Follow shares with a Gate that came before who failed lately and how many
// passwords are hashed at a time. Call it before use.
func (g *Gate) Follow(was *Gate) {
	g.hashing, g.waiting, g.failures = was.hashing, was.waiting, was.failures
}

// Replace lets others in from now on. Who is connected stays.
func (g *Gate) Replace(e Entrances) { g.entrances.Store(&e) }

var (
	// errRefused is all that a client is told.
	errRefused = errors.New("not authorized")
	errBusy    = &packet.Error{Code: packet.ServerBusy, Clause: "MQTT-3.1.4-2", Msg: "too many clients connect at once"}
)

// Authenticate returns the user of a client, or refuses it.
func (g *Gate) Authenticate(ctx context.Context, a *conn.Attempt) (string, error) {
	e := g.entrance(a.Listener)
	if e.IDPrefix != "" && !strings.HasPrefix(a.ClientID, e.IDPrefix) {
		return "", g.refuse(a, "the client identifier does not begin with "+quote(e.IDPrefix))
	}
	if e.Identity != NoIdentity {
		user, err := certified(a, e.Identity)
		if err != nil {
			return "", g.refuse(a, err.Error())
		}
		if e.Directory != nil && e.Directory.Has(user) {
			if ok, why := e.Directory.Admit(a.ClientID, user); !ok {
				return "", g.refuse(a, why)
			}
		}
		return user, nil
	}
	name := a.Username.Value
	switch {
	case !a.Username.Set && e.UserIsClientID:
		return "", g.refuse(a, "no user name, which is to be the client identifier")
	case !a.Username.Set && a.Anonymous:
		return "", nil
	case !a.Username.Set:
		return "", g.refuse(a, "no user name")
	case e.Users == nil && e.Directory == nil && a.Anonymous:
		return name, nil
	case e.Users == nil && e.Directory == nil:
		return "", g.refuse(a, "there is no password file")
	}
	return g.password(ctx, a, e)
}

// verify asks who knows the user. Exactly one hash is computed, whoever asks.
func (e *Entrance) verify(a *conn.Attempt) (ok bool, why string) {
	name := a.Username.Value
	if e.Directory != nil && (e.Users == nil || e.Directory.Has(name)) {
		return e.Directory.Verify(a.ClientID, name, a.Password.Value)
	}
	switch {
	case e.Users.Verify(name, a.Password.Value):
		return true, ""
	case e.Users.Has(name):
		return false, "wrong password"
	}
	return false, "unknown user"
}

func (g *Gate) entrance(listener string) Entrance {
	all := g.entrances.Load()
	if e, ok := all.ByListener[listener]; ok {
		return e
	}
	return all.Default
}

// password checks user name and password, later the more often that failed.
func (g *Gate) password(ctx context.Context, a *conn.Attempt, e Entrance) (string, error) {
	if g.waiting.Add(1) > maxWaiting {
		g.waiting.Add(-1)
		return "", errBusy
	}
	defer g.waiting.Add(-1)
	name := a.Username.Value
	if err := g.failures.wait(ctx, a.Addr, name); err != nil {
		return "", err
	}
	select {
	case g.hashing <- struct{}{}:
	case <-ctx.Done():
		return "", fmt.Errorf("wait to check a password: %w", ctx.Err())
	}
	ok, why := e.verify(a)
	<-g.hashing
	if ok && name != "" {
		g.failures.passed(name)
		return name, nil
	}
	g.failures.failed(a.Addr, name)
	if ok {
		why = "no user name"
	}
	return "", g.refuse(a, why)
}

func (g *Gate) refuse(a *conn.Attempt, why string) error {
	if g.Refused != nil {
		g.Refused(a, why)
	}
	return errRefused
}

// certified returns the user that a client's certificate names.
func certified(a *conn.Attempt, which Identity) (string, error) {
	if a.Certified != "" && which == CommonName {
		return certifiedName(a.Certified)
	}
	if a.TLS == nil || len(a.TLS.PeerCertificates) == 0 {
		return "", errors.New("no client certificate")
	}
	cert := a.TLS.PeerCertificates[0]
	user := cert.Subject.CommonName
	if which == Subject {
		var rdn pkix.RDNSequence // as in the certificate; Subject is in an order of its own
		if rest, err := asn1.Unmarshal(cert.RawSubject, &rdn); err != nil || len(rest) > 0 {
			return "", errors.New("the subject of the client certificate cannot be read")
		}
		user = rdn.String()
	}
	return certifiedName(user)
}

// certifiedName refuses names that cannot be a user's.
func certifiedName(user string) (string, error) {
	switch {
	case user == "":
		return "", errors.New("the client certificate names nobody")
	case !utf8.ValidString(user) || strings.ContainsFunc(user, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "", errors.New("the name in the client certificate is not text")
	case strings.ContainsAny(user, "+#"):
		return "", errors.New("the name in the client certificate holds + or #")
	}
	return user, nil
}

var _ conn.Authenticator = (*Gate)(nil)
