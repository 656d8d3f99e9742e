package control

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/nightjarmq/nightjar/internal/message"
	"github.com/nightjarmq/nightjar/internal/store"
	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// FuzzRequest: whatever is said on the socket, the answer is lines of JSON, or
// nothing, and no copy of the store is left.
func FuzzRequest(f *testing.F) {
	dir := f.TempDir()
	s, err := disk.Open(filepath.Join(dir, "store"), disk.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	if _, err := s.Submit(&store.SessionOpened{Session: s.NewSession(), Epoch: 1, ClientID: "c\x1b\xff", Expiry: 10, Time: 1},
		&store.Published{Message: &message.Message{Topic: "t\n", Payload: []byte("x"), Retain: true}, Retain: true}); err != nil {
		f.Fatal(err)
	}
	for _, request := range []string{"inspect\n", "backup\n", "backup\nmore", "explain {\"client\":\"c\"}\n", "explain {\n", "", "\n", "inspect", "inspect\r\n", "\x00\xff\n", "a line of more than sixty-four bytes, which nobody asks for in earnest\n"} {
		f.Add([]byte(request))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		v := &Server{dir: dir, store: s, log: slog.New(slog.DiscardHandler), Explain: func(*Question) (*Answer, error) { return new(Answer), nil }}
		near, far := net.Pipe()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			defer far.Close()
			_ = v.answer(far) // what is wrong with a request is logged
		}()
		go func() {
			near.Write(request)
			if !bytes.Contains(request, []byte{'\n'}) { // or the broker waits for more
				near.Close()
			}
		}()
		first, err := io.ReadAll(oneLine{near})
		near.Close()
		<-answered
		if err == nil && len(first) > 0 && !json.Valid(first) {
			t.Errorf("%q was answered with %q", request, first)
		}
		left, err := filepath.Glob(filepath.Join(dir, copies+"*"))
		if err != nil || len(left) > 0 {
			t.Errorf("%q left %q, %v", request, left, err)
		}
	})
}

// oneLine ends behind the first line.
type oneLine struct{ r io.Reader }

func (l oneLine) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:1])
	if n == 1 && p[0] == '\n' {
		return n, io.EOF
	}
	return n, err
}

// FuzzLines: what is read of an answer can be written and read again, and comes to
// an end with the bytes.
func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"session":{"client_id":"c","connected":true,"subscriptions":[{"filter":"#","qos":2}],"queued":1,"queued_bytes":9,"first":{"number":7,"bytes":3}}}` +
		"\n" + `{"retained":{"topic":"t","qos":1,"bytes":2,"expires":"2026-01-02T03:04:05Z"}}` + "\n" + `{"total":{"sessions":1}}`))
	f.Add([]byte(`{"error":"the disk failed"}`))
	f.Add([]byte(`{}{}null{"copy":"x"}`))
	f.Add([]byte(`[[[[{"session":1}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var again bytes.Buffer
		var had []*Line
		err := lines(bytes.NewReader(answer), func(l *Line) error {
			had = append(had, l)
			return write(&again, l)
		})
		if len(had) > len(answer) || err == nil && (len(had) == 0 || had[len(had)-1].Done == nil) {
			t.Fatalf("%d lines of %d bytes: %v", len(had), len(answer), err)
		}
		text := again.String()
		var twice bytes.Buffer
		_ = lines(&again, func(l *Line) error { return write(&twice, l) }) // it may end before its last line
		if twice.String() != text {
			t.Errorf("%q became %q", text, twice.String())
		}
	})
}
