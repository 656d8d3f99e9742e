package logging

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nightjarmq/nightjar/internal/config"
	"github.com/nightjarmq/nightjar/internal/ration"
)

// handler is a slog.Handler in front of a Log.
type handler struct {
	log   *Log
	attrs []slog.Attr
	group string // prefix of the keys, with its dots
}

// Enabled reports whether messages of the level, or of a kind that has the level
// of details, are logged.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	types := h.log.conf.Load().Types
	if level < slog.LevelInfo {
		return types&(config.LogDebug|config.LogSubscribe|config.LogUnsubscribe) != 0
	}
	return types&ofLevel(level) != 0
}

// ofLevel is the kind of a message. What is below a warning is a notice to
// Mosquitto when it is about clients and else information; here they are one.
func ofLevel(level slog.Level) config.LogType {
	switch {
	case level >= slog.LevelError:
		return config.LogError
	case level >= slog.LevelWarn:
		return config.LogWarning
	case level >= slog.LevelInfo:
		return config.LogNotice | config.LogInformation
	}
	return config.LogDebug
}

// connectionEvents are what connection_messages is about.
var connectionEvents = []string{"connection", "connect", "disconnect"}

// Handle writes the record, if its kind is wanted.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	c := h.log.conf.Load()
	event, about := "", ""
	attrs := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "event":
			event = a.Value.String()
		case "topic":
			about = a.Value.String()
		}
		attrs = append(attrs, slog.Attr{Key: h.group + a.Key, Value: short(a.Key, plain(a.Value))})
		return true
	})
	r.Message = ration.CutTo(r.Message, maxMessage)
	kind := ofLevel(r.Level)
	switch event {
	case "subscribe":
		kind = config.LogSubscribe
	case "unsubscribe":
		kind = config.LogUnsubscribe
	}
	if c.Types&kind == 0 || c.NoConnections && slices.Contains(connectionEvents, event) {
		return nil
	}
	if kind == config.LogNotice|config.LogInformation {
		if kind = config.LogNotice; event == "" {
			kind = config.LogInformation
		}
	}
	stamp, line := "", ""
	if c.JSON {
		line = jsonLine(r, attrs)
	} else {
		stamp, line = h.log.stamp(c), textLine(r.Message, event, attrs)
	}
	// A message about who may not read the log would beget another one.
	h.log.write(c, kind, stamp, line, !strings.HasPrefix(about, "$SYS/broker/log"))
	return nil
}

// plain keeps the stack traces out of the log that some errors print.
func plain(v slog.Value) slog.Value {
	if err, ok := v.Any().(error); ok {
		return slog.StringValue(OneLine(err))
	}
	return v.Resolve()
}

// OneLine is what the error says. Errors that were joined stand on a line each, which a log does not have.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// maxMessage is how many bytes of a message, or of an explanation, are logged.
const maxMessage = 2 << 10

// foreign are the keys of texts that others choose.
var foreign = []string{"client", "user", "topic", "filter"}

// short cuts what others may have made long.
func short(key string, v slog.Value) slog.Value {
	if v.Kind() != slog.KindString {
		return v
	}
	if slices.Contains(foreign, key) {
		return slog.StringValue(ration.Cut(v.String()))
	}
	return slog.StringValue(ration.CutTo(v.String(), maxMessage))
}

// WithAttrs is that of slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		next.attrs = append(next.attrs, slog.Attr{Key: h.group + a.Key, Value: plain(a.Value)})
	}
	return &next
}

// WithGroup is that of slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	next := *h
	next.group += name + "."
	return &next
}

// stamp is the time before a line.
func (l *Log) stamp(c *config.Log) string {
	now := l.o.Now()
	switch {
	case c.NoTimestamp:
		return ""
	case c.TimestampFormat != "":
		return Strftime(c.TimestampFormat, now) + ": "
	}
	return strconv.FormatInt(now.Unix(), 10) + ": "
}

// sentences are the keys of what reads well without them.
var sentences = []string{"err", "why", "cause"}

func textLine(msg, event string, attrs []slog.Attr) string {
	var b strings.Builder
	escape(&b, msg)
	if event != "" {
		return b.String()
	}
	sep := ": "
	for _, a := range attrs {
		value := a.Value.String()
		if value == "" {
			continue
		}
		b.WriteString(sep)
		sep = ", "
		if !slices.Contains(sentences, a.Key) {
			escape(&b, a.Key)
			b.WriteByte(' ')
		}
		escape(&b, value)
	}
	return b.String()
}

func jsonLine(r slog.Record, attrs []slog.Attr) string {
	var b bytes.Buffer
	next := slog.NewRecord(r.Time, r.Level, r.Message, 0)
	next.AddAttrs(attrs...)
	if err := slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug - 100}).Handle(context.Background(), next); err != nil {
		return strconv.Quote(r.Message)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// escape writes s so that a terminal and a reader of lines see nothing but text:
// client identifiers and topics are foreign.
func escape(b *strings.Builder, s string) {
	for i, c := range s {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(b, `\x%02x`, s[i])
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case unicode.IsControl(c) && c < 0x100:
			fmt.Fprintf(b, `\x%02x`, c)
		case unicode.IsControl(c) || !unicode.IsPrint(c):
			fmt.Fprintf(b, `\u{%x}`, c)
		default:
			b.WriteRune(c)
		}
	}
}
