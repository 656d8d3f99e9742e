package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
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

// report puts in words what is lost besides files.
func (v *salvager) report() {
	for i := range v.gaps {
		v.lost = append(v.lost, v.describe(&v.gaps[i]))
	}
	v.lost = slices.Compact(v.lost)
	if v.mended > 0 {
		v.lost = append(v.lost, fmt.Sprintf("what is nothing without that: %d entries, %d of them messages that may have been sent", v.mended, v.unsure))
	}
}

// describe says what may have been in the gap, by what is kept before it and behind it.
func (v *salvager) describe(g *gap) string {
	var list []string
	for _, s := range []struct {
		space byte
		what  string
	}{
		{spaceShared, "messages for several sessions"},
		{spaceRetained, "retained messages"},
		{spaceSession, "sessions and their queues"},
	} {
		if s.space < g.lo[0] || s.space > g.hi[0] {
			continue
		}
		if s.space == g.lo[0] {
			s.what += " from " + v.name(g.lo) + " on"
		}
		if s.space == g.hi[0] {
			s.what += " up to " + v.name(g.hi)
		}
		list = append(list, s.what)
	}
	if len(list) == 0 {
		return "the store's own numbers, which are made anew"
	}
	return "whatever there was of " + strings.Join(list, "; ")
}

// name says what is stored under the key, which is of a session or a message.
func (v *salvager) name(key []byte) string {
	switch key[0] {
	case spaceShared:
		if len(key) >= 9 {
			return fmt.Sprintf("number %d", binary.BigEndian.Uint64(key[1:]))
		}
	case spaceRetained:
		return fmt.Sprintf("that of %q", bytes.TrimSuffix(key[1:], []byte{0}))
	case spaceSession:
		k, ok := parseSessionKey(key)
		if !ok { // what is next to a key
			k, ok = parseSessionKey(key[:len(key)-1])
		}
		if ok {
			return v.sessionName(&k)
		}
	}
	return "what cannot be read"
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

// The words in which Pebble names a table, and a directory.
var (
	tableGone = regexp.MustCompile(`(?:L\d+: \d+: )?(?:backing file \d+ error: )?file (\d+) \(type sstable\) unknown to the objstorage provider: file does not exist`)
	dirname   = regexp.MustCompile(`dirname="[^"]*": `)
	tableBad  = regexp.MustCompile(`file (\d+): block \S+: `)
)

// reason is an error with names of files in it, and without what Pebble adds for programs.
func reason(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n<corruption detail carrier>", "")
	text = tableGone.ReplaceAllString(text, live+"/$1.sst is gone")
	text = dirname.ReplaceAllString(text, "")
	text = tableBad.ReplaceAllString(text, live+"/$1.sst: ")
	text = strings.Replace(text, pebble.ErrDBNotPristine.Error(), "a marker of its files ("+live+"/marker.*) is gone", 1)
	text = strings.Replace(text, pebble.ErrDBDoesNotExist.Error(), "the marker of the list of its tables ("+live+"/marker.manifest.*) is gone", 1)
	text = strings.ReplaceAll(text, "pebble: ", "")
	return strings.ReplaceAll(text, "\n", "; ")
}
