package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// gap is a stretch of keys that could not be read. There may be keys in it, or
// none.
type gap struct {
	lo, hi []byte // the last key before it and the first behind it, or where a table begins and ends
	err    error
}

// mayHold reports whether the key, which is not among those saved, may be lost.
func (v *salvager) mayHold(key []byte) bool {
	return slices.ContainsFunc(v.gaps, func(g gap) bool {
		return bytes.Compare(g.lo, key) <= 0 && bytes.Compare(key, g.hi) < 0
	})
}

func (v *salvager) report() string {
	lost := "nothing"
	if len(v.lost) > 0 {
		lost = strings.Join(v.lost, "; ")
	}
	return fmt.Sprintf("%d keys were saved, %d of them dropped for want of others (%d of those are messages that may have been sent); lost: %s",
		v.keys, v.mended, v.unsure, lost)
}

// describe says in words what may be lost.
func (v *salvager) describe(g *gap) string {
	return fmt.Sprintf("whatever was between %s and %s (%s)", v.name(g.lo), v.name(g.hi), reason(g.err))
}

// name says what is stored under the key.
func (v *salvager) name(key []byte) string {
	switch key[0] {
	case spaceMeta:
		return "the store's own numbers"
	case spaceShared:
		if len(key) >= 9 {
			return fmt.Sprintf("message %d for several sessions", binary.BigEndian.Uint64(key[1:]))
		}
	case spaceRetained:
		return fmt.Sprintf("the retained message of %q", bytes.TrimSuffix(key[1:], []byte{0}))
	case spaceSession:
		k, ok := parseSessionKey(key)
		if !ok { // what is next to a key
			k, ok = parseSessionKey(key[:len(key)-1])
		}
		if ok {
			return v.sessionName(&k)
		}
	}
	if key[0] < spaceShared {
		return "the beginning"
	}
	return "the end"
}

func (v *salvager) sessionName(k *sessionKey) string {
	what := [kinds]string{
		kindIdentity: "the name", kindState: "the state", kindWill: "the will", kindSubscription: "a subscription",
		kindIncoming: "an open QoS 2 identifier", kindOldProgress: "the queue",
	}
	name := fmt.Sprintf("session %d", k.id)
	if b, closer, err := v.to.Get(appendKey(nil, k.id, kindIdentity)); err == nil {
		if client, _, err := decodeIdentity(b); err == nil {
			name = fmt.Sprintf("%s (client %q)", name, client)
		}
		_ = closer.Close()
	}
	if k.kind == kindDelivery || k.kind == kindProgress {
		return fmt.Sprintf("message %d of %s", k.seq(), name)
	}
	return fmt.Sprintf("%s of %s", what[k.kind], name)
}

// reason is an error without what Pebble adds for programs.
func reason(err error) string {
	return strings.ReplaceAll(err.Error(), "\n<corruption detail carrier>", "")
}
