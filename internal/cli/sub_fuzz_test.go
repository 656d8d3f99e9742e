package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// A format that was accepted can be printed, whatever the message, and does not lose its text.
func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%t %p", "%-010.3t|%x", `@Y\n@@`, "%j%J", "%5", "@", `\`, "%%"} {
		f.Add(s, "payload")
	}
	f.Fuzz(func(t *testing.T, format, payload string) {
		if checkFormat(format) != nil || len(format) > 50 {
			return
		}
		s := subscriber{o: new(options), format: parseFormat(format)}
		s.formatMessage(&packet.Publish{Topic: []byte("t"), Payload: []byte(payload)}, time.Unix(0, 0))
		if !strings.ContainsAny(format, `%@\`) && s.line.String() != format {
			t.Errorf("%q printed as %q", format, s.line.String())
		}
	})
}

// What %J prints is JSON if and only if the payload is.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2e3,{"b":null}],"a":"\u0001"}`, `"x"`, `-0.0`, `[}`, `1e999`} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, payload string, pretty bool) {
		m := &packet.Publish{Topic: []byte("t"), Payload: []byte(payload)}
		text, err := messageJSON(m, time.Unix(0, 0), true, pretty)
		if valid := payload == "" || json.Valid([]byte(payload)); valid != (err == nil) {
			t.Fatalf("%q: %v", payload, err)
		}
		if err == nil && !json.Valid([]byte(text)) {
			t.Errorf("%q printed as %q", payload, text)
		}
	})
}
