package auth

import (
	"errors"
	"math"

	"github.com/nightjarmq/nightjar/topic"
)

// Pattern is a topic filter that may hold %c, the client identifier, and %u, the
// user name. It does not change.
type Pattern struct{ rule Rule }

// NewPattern reads a pattern.
func NewPattern(filter string) (*Pattern, error) {
	if err := topic.ValidateFilter(filter); err != nil {
		return nil, err
	}
	if len(filter) > math.MaxUint16 {
		return nil, errors.New("longer than 65535 bytes")
	}
	p := &Pattern{Rule{filter: filter}}
	p.rule.shape()
	p.rule.compile()
	return p, nil
}

// Match reports whether the pattern matches a topic name, which is borrowed. unfit
// says that the client must not be put into the pattern, so that nobody can tell.
func (p *Pattern) Match(id, user string, name []byte) (match, unfit bool) {
	w, unfit := p.put(id, user)
	return !unfit && p.rule.match(w, name), unfit
}

// Covers reports whether the pattern matches whatever a filter matches.
func (p *Pattern) Covers(id, user, filter string) (covers, unfit bool) {
	w, unfit := p.put(id, user)
	if unfit {
		return false, true
	}
	f, ok := p.rule.expand(w)
	return ok && topic.Covers(f, filter), !ok
}

func (p *Pattern) put(id, user string) (w identity, isUnfit bool) {
	if p.rule.levels == nil {
		return identity{}, false
	}
	bad := func(s string) bool { return unfit(s) || wildcard(s) }
	return identity{id: id, user: user}, p.rule.id && bad(id) || p.rule.user && bad(user)
}
