package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/internal/config"
)

func noon() time.Time { return time.Date(2026, 3, 4, 12, 5, 6, 0, time.UTC) }

func open(t *testing.T, o Options) (*Log, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	o.Stderr, o.Now = &b, noon
	o.Log.Stderr = true
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, &b
}

func TestLines(t *testing.T) {
	for _, tc := range []struct {
		name string
		c    config.Log
		say  func(*slog.Logger)
		want string
	}{
		{"a sentence", config.Log{Types: config.LogDefault}, func(l *slog.Logger) {
			l.Info("Client lamp disconnected.", "event", "disconnect", "client", "lamp")
		}, "1772625906: Client lamp disconnected.\n"},
		{"with what it is about", config.Log{Types: config.LogDefault}, func(l *slog.Logger) {
			l.With("listener", "a").Warn("not allowed", "err", os.ErrPermission, "n", 3)
		}, "1772625906: not allowed: listener a, permission denied, n 3\n"},
		{"joined errors", config.Log{Types: config.LogDefault}, func(l *slog.Logger) {
			l.Error("closed", "err", errors.Join(os.ErrPermission, os.ErrExist))
		}, "1772625906: closed: permission denied; file already exists\n"},
		{"format of the time", config.Log{Types: config.LogDefault, TimestampFormat: "%Y-%m-%dT%H:%M:%S"}, func(l *slog.Logger) {
			l.Error("x")
		}, "2026-03-04T12:05:06: x\n"},
		{"no time, and foreign bytes", config.Log{Types: config.LogAll, NoTimestamp: true}, func(l *slog.Logger) {
			l.Info("Client a\n\x1b[2J\x7f\u0085\xff\u202e\ufffd disconnected.", "event", "disconnect")
		}, `Client a\n\x1b[2J\x7f\x85\xff\u{202e}` + "\ufffd disconnected.\n"},
		{"long texts of others", config.Log{Types: config.LogAll, NoTimestamp: true}, func(l *slog.Logger) {
			l.Warn("dropped", "user", "", "client", strings.Repeat("c", 65535), "why", strings.Repeat("w", 65535))
			l.Warn(strings.Repeat("m", 65535))
		}, "dropped: client " + strings.Repeat("c", 253) + "..., " + strings.Repeat("w", 2045) + "...\n" + strings.Repeat("m", 2045) + "...\n"},
		{"kinds that are not wanted", config.Log{Types: config.LogWarning | config.LogSubscribe, NoTimestamp: true}, func(l *slog.Logger) {
			l.Info("no")
			l.Error("no")
			l.Debug("no")
			l.Debug("yes", "event", "subscribe")
			l.Debug("no", "event", "unsubscribe")
		}, "yes\n"},
		{"no connection messages", config.Log{Types: config.LogAll, NoTimestamp: true, NoConnections: true}, func(l *slog.Logger) {
			l.Info("no", "event", "connect")
			l.Info("yes")
		}, "yes\n"},
	} {
		l, b := open(t, Options{Log: tc.c})
		tc.say(l.Logger())
		if b.String() != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, b, tc.want)
		}
	}
}

func TestJSON(t *testing.T) {
	l, b := open(t, Options{Log: config.Log{Types: config.LogDefault, JSON: true}})
	l.Logger().WithGroup("g").Info("Client lamp disconnected.", "event", "disconnect", "client", "la\nmp")
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	if got["msg"] != "Client lamp disconnected." || got["g.client"] != "la\nmp" || got["level"] != "INFO" || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("%s", b)
	}
}

// A file that was moved away is made anew; one that cannot be opened leaves all as
// it was.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	c := config.Log{Types: config.LogDefault, NoTimestamp: true, File: filepath.Join(dir, "log")}
	l, _ := open(t, Options{Log: c})
	l.Logger().Info("one")
	if err := os.Rename(c.File, c.File+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reconfigure(c); err != nil {
		t.Fatal(err)
	}
	l.Logger().Info("two")
	if err := l.Reconfigure(config.Log{Types: config.LogDefault, File: filepath.Join(dir, "missing", "log")}); err == nil {
		t.Error("a log in a folder that is not there was opened")
	}
	l.Logger().Info("three")
	for name, want := range map[string]string{"log.1": "one\n", "log": "two\nthree\n"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
}

// What is published is not about its own publishing.
func TestTopics(t *testing.T) {
	l, _ := open(t, Options{Log: config.Log{Types: config.LogAll, NoTimestamp: true, Topic: true}})
	lines := l.Topics()
	log := l.Logger()
	log.Debug("details")
	log.Info("not allowed", "topic", "$SYS/broker/log/I")
	log.Warn("careful")
	log.Debug("lamp 0 a/b", "event", "subscribe")
	for _, want := range []Line{{"log/W", "careful"}, {"log/M/subscribe", "lamp 0 a/b"}} {
		select {
		case got := <-lines:
			if got != want {
				t.Errorf("%v, want %v", got, want)
			}
		default:
			t.Fatalf("%v is not there", want)
		}
	}
}

func TestStrftime(t *testing.T) {
	for format, want := range map[string]string{
		"%Y-%m-%dT%H:%M:%S%z": "2026-03-04T12:05:06+0000", "%s%%": "1772625906%", "%j %e %l%p %u %V": "063  4 12PM 3 10", "%q %": "%q %", "": "",
	} {
		if got := Strftime(format, noon()); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}
