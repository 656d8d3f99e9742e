package broker

import (
	"context"
	"slices"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/transport"
	"github.com/nightjarmq/nightjar/packet"
)

// Commands are topics below $CONTROL/ that the broker listens to itself. Access must
// allow a client to publish there.
type Commands interface {
	// Takes reports whether a topic is one of commands. It must not block.
	Takes(topic string) bool
	// Carry carries a command out and returns what follows. It is called by one
	// goroutine, for one command after the other, and may take its time.
	Carry(ctx context.Context, c Command) Outcome
	// Refresh is called when a configuration has been reloaded.
	Refresh() error
}

// Command is a message to a topic of [Commands].
type Command struct {
	ClientID, User string // who published it
	Topic          string
	Payload        []byte
}

// Outcome is what follows from a command.
type Outcome struct {
	// Answer is published with QoS 0, unless its Topic is "".
	Answer Message
	// Kick are users whose connections end.
	Kick []string
	// Recheck asks Access again about all subscriptions.
	Recheck bool
}

// maxCommands is how many commands may wait.
const maxCommands = 64

// takeCommand is called by the hub. The acknowledgement says that a command was
// taken, its answer what came of it.
func (b *Broker) takeCommand(from *hub.Client, topic, payload []byte) packet.Code {
	c := b.commander()
	if c == nil || !c.Takes(string(topic)) {
		return packet.NotAuthorized
	}
	select {
	case b.commands <- Command{from.ID, from.User, string(topic), slices.Clone(payload)}:
		return packet.Success
	default:
		return packet.QuotaExceeded
	}
}

func (b *Broker) commander() Commands {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live.Commands
}

// carry carries commands out until ctx ends.
func (b *Broker) carry(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-b.commands:
			if by := b.commander(); by != nil {
				b.conclude(ctx, by.Carry(ctx, c))
			}
		}
	}
}

// conclude does what follows from a command. The answer goes first: who asked may be
// among those who are disconnected.
func (b *Broker) conclude(ctx context.Context, o Outcome) {
	if o.Answer.Topic != "" {
		if err := b.Publish(ctx, o.Answer); err != nil {
			b.log.Warn("the answer to a command was not published", "topic", o.Answer.Topic, "err", err)
		}
	}
	batch := b.net.Batch()
	defer b.net.ReleaseBatch(batch)
	if len(o.Kick) > 0 {
		b.hub.Clients(func(c *hub.Client) bool {
			if l := c.Link(); l != nil && slices.Contains(o.Kick, c.User) {
				l.Kick(batch, packet.AdministrativeAction, "", transport.ErrKicked) // [MQTT-3.14.0-1]
			}
			return true
		})
	}
	if o.Recheck {
		b.hub.Recheck(batch)
	}
}
