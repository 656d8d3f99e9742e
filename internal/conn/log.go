package conn

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/ration"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// What is logged about connections is in Mosquitto's words, because tools look
// for them. Where something went wrong, who it was and why follow the sentence.
// Of an address from which much goes wrong only some is logged.

func (c *Conn) logNew() {
	log := c.srv.log
	if !log.Enabled(c.srv.ctx, slog.LevelInfo) || c.srv.faults.Spent(ration.Place(c.Conn.RemoteAddr())) {
		return
	}
	where := "on " + c.Conn.Listener().Name()
	if _, port, err := net.SplitHostPort(c.Conn.Listener().Addr().String()); err == nil {
		where = "on port " + port
	}
	log.Info("New connection from "+c.Conn.RemoteAddr()+" "+where+".", "event", "connection", "addr", c.Conn.RemoteAddr(), "listener", c.Conn.Listener().Name())
}

func (c *Conn) logConnected(p *packet.Connect, id, user string) {
	log := c.srv.log
	if !log.Enabled(c.srv.ctx, slog.LevelInfo) {
		return
	}
	addr, id, user := c.Conn.RemoteAddr(), ration.Cut(id), ration.Cut(user)
	text := fmt.Sprintf("New client connected from %s as %s (p%d, c%d, k%d", addr, id, mosquittoVersion(p.Version), clean(p), p.KeepAlive)
	if name := cmp.Or(user, p.Username.Value); name != "" { // where nobody is asked, the name is only said
		text += ", u'" + ration.Cut(name) + "'"
	}
	log.Info(text+").", "event", "connect", "client", id, "addr", addr, "user", user,
		"listener", c.Conn.Listener().Name(), "version", p.Version.String(), "clean", p.CleanStart, "keepalive", p.KeepAlive)
	if p.Will != nil {
		log.Debug(fmt.Sprintf("Will message specified (%d bytes) (r%d, q%d).\n\t%s", len(p.Will.Payload), bit(p.Will.Retain), p.Will.QoS, ration.Cut(p.Will.Topic)),
			"event", "will", "client", id)
	}
}

// mosquittoVersion is how Mosquitto names a version of the protocol.
func mosquittoVersion(v packet.Version) int {
	switch v {
	case packet.V31:
		return 1
	case packet.V311:
		return 2
	}
	return int(v)
}

func clean(p *packet.Connect) int { return bit(p.CleanStart) }

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// logClosed says how the connection ended.
func (c *Conn) logClosed(err error) {
	log := c.srv.log
	if !log.Enabled(c.srv.ctx, slog.LevelWarn) {
		return
	}
	addr, id, user := c.Conn.RemoteAddr(), "<unknown>", ""
	if c.Client != nil {
		id, user = c.Client.ID, c.Client.User
	} else if c.asked != "" {
		id = c.asked
	}
	text, why := farewell(err, c.Client != nil)
	level := slog.LevelInfo
	id, user = ration.Cut(id), ration.Cut(user)
	var rest []any
	if why != "" {
		left, ok := c.srv.faults.Next(ration.Place(addr))
		if !ok {
			return
		}
		text += " From " + addr
		if user != "" {
			text += ", user '" + user + "'"
		}
		text += ": " + why
		if left > 0 {
			text += fmt.Sprintf(" (and %d times before that were not logged)", left)
			rest = append(rest, "unlogged", left)
		}
	}
	var pe *packet.Error
	if errors.As(err, &pe) && c.Client != nil {
		level = slog.LevelWarn
	}
	log.With(rest...).Log(c.srv.ctx, level, "Client "+id+" "+text, "event", "disconnect", "client", id, "addr", addr, "user", user,
		"listener", c.Conn.Listener().Name(), "reason", cmp.Or(why, fmt.Sprint(err)))
}

// farewell is the sentence about the end of a connection, and why it was not a
// good one.
func farewell(err error, connected bool) (text, why string) {
	var pe *packet.Error
	switch {
	case errors.Is(err, errDisconnected):
		return "disconnected.", ""
	case err == nil, errors.Is(err, io.EOF):
		return "closed its connection.", ""
	case errors.Is(err, errKeepAlive):
		return "has exceeded timeout, disconnecting.", ""
	case errors.Is(err, hub.ErrTakenOver):
		return "already connected, closing old connection.", ""
	case errors.Is(err, transport.ErrServerClosed):
		return "disconnected: the broker stops.", ""
	case errors.As(err, &pe) && !connected && refusal(pe.Code):
		return "disconnected, not authorised.", pe.Msg + " [" + pe.Clause + "]" // the sentence has said the code
	case errors.As(err, &pe):
		return "disconnected due to protocol error.", pe.Error()
	case errors.Is(err, errConnectTimeout):
		return "has exceeded timeout, disconnecting.", err.Error()
	}
	return "disconnected. Socket error.", fmt.Sprint(err)
}

func refusal(c packet.Code) bool {
	return c == packet.NotAuthorized || c == packet.BadUserNameOrPassword || c == packet.Banned
}
