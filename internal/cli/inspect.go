package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/internal/control"
)

// inspectCommand lists what a store holds, of a broker that runs or one that does
// not.
type inspectCommand struct {
	dataFlag
	JSON bool `name:"json" help:"A JSON object on each line: session, retained, or total at the end."`
}

func (c *inspectCommand) run(ctx context.Context, s Streams) int {
	out := bufio.NewWriter(s.Out)
	err := c.inspect(ctx, s, out)
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	if err != nil {
		fmt.Fprintf(s.Err, "nightjar: inspect: %v\n", err)
		return exitFailed
	}
	return exitOK
}

func (c *inspectCommand) inspect(ctx context.Context, s Streams, out io.Writer) error {
	data, err := c.dir(s)
	if err != nil {
		return err
	}
	show := func(l *control.Line) error { return describeLine(out, l) }
	if c.JSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		show = func(l *control.Line) error { return enc.Encode(l) }
	}
	err = control.InspectRunning(ctx, data, show)
	if !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	v, err := openView(data)
	if err != nil {
		return err
	}
	past := func(l *control.Line) error {
		if s := l.Session; s != nil {
			s.Connected, s.WasConnected = false, s.Connected
		}
		return show(l)
	}
	return errors.Join(control.Inspect(v, past), v.Close())
}

// describeLine writes a line for a person. What clients chose is quoted.
func describeLine(w io.Writer, l *control.Line) (err error) {
	switch {
	case l.Session != nil:
		err = describeSession(w, l.Session)
	case l.Retained != nil:
		r := l.Retained
		_, err = fmt.Fprintf(w, "retained %q: %d bytes, QoS %d%s\n", r.Topic, r.Bytes, r.QoS, until(r.Expires))
	case l.Done != nil:
		t := l.Done
		_, err = fmt.Fprintf(w, "total: %d sessions, %d subscriptions, %d queued of %d bytes, %d retained of %d bytes\n",
			t.Sessions, t.Subscriptions, t.Queued, t.QueuedBytes, t.Retained, t.RetainedBytes)
	}
	return err
}

func describeSession(w io.Writer, s *control.Session) error {
	var b strings.Builder
	fmt.Fprintf(&b, "session %q", s.ClientID)
	if s.User != "" {
		fmt.Fprintf(&b, " of user %q", s.User)
	}
	switch {
	case s.Connected:
		b.WriteString(": connected")
	case s.WasConnected:
		b.WriteString(": connected when the store was last written")
	case s.Closed != nil:
		fmt.Fprintf(&b, ": away since %s", s.Closed.Format(time.RFC3339))
	}
	if s.Expiry == nil {
		b.WriteString(", kept for ever")
	} else {
		fmt.Fprintf(&b, ", kept for %s", time.Duration(*s.Expiry)*time.Second)
	}
	if s.Will != "" {
		fmt.Fprintf(&b, ", will on %q", s.Will)
	}
	b.WriteByte('\n')
	for _, sub := range s.Subscriptions {
		fmt.Fprintf(&b, "  subscription %q, QoS %d\n", sub.Filter, sub.QoS)
	}
	if s.Queued > 0 {
		fmt.Fprintf(&b, "  queued: %d of %d bytes\n", s.Queued, s.QueuedBytes)
		describeQueued(&b, "first", s.First)
		if s.Queued > 1 {
			describeQueued(&b, "last", s.Last)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func describeQueued(b *strings.Builder, which string, q *control.Queued) {
	switch {
	case q == nil: // it has ended meanwhile
	case q.Released:
		fmt.Fprintf(b, "    %s: number %d, received by the client, packet identifier %d not released\n", which, q.Number, q.PacketID)
	default:
		fmt.Fprintf(b, "    %s: number %d, %q, %d bytes, QoS %d", which, q.Number, q.Topic, q.Bytes, q.QoS)
		if q.PacketID != 0 {
			fmt.Fprintf(b, ", sent with packet identifier %d", q.PacketID)
		}
		fmt.Fprintf(b, "%s\n", until(q.Expires))
	}
}

func until(t *time.Time) string {
	if t == nil {
		return ""
	}
	return ", until " + t.Format(time.RFC3339)
}
