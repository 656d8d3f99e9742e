package broker

import (
	"cmp"
	"math"
	"time"

	"github.com/nightjarmq/nightjar/internal/conn"
	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/transport"
)

// hubLimits are the limits that hold for all clients.
func (c *Config) hubLimits() hub.Limits {
	return hub.Limits{
		QueueMessages: limit(c.MaxQueuedMessages, 100_000), QueueBytes: limit(c.MaxQueuedBytes, 64<<20),
		Queues: c.queues(), DropOldest: c.DropOldest, QueueQoS0: c.QueueQoS0,
		MaxClients: c.MaxSessions, MaxUserClients: c.MaxUserSessions, MaxSubscriptions: c.MaxSubscriptions,
		MaxRetained: c.MaxRetained, MaxRetainedBytes: c.MaxRetainedBytes, MaxPayload: c.MaxPayload, RetainedOff: c.NoRetain,
		RetainExpiry: c.RetainExpiry.Milliseconds(), UpgradeQoS: c.UpgradeOutgoingQoS,
	}
}

// Queue says how messages wait for one client, and how many.
type Queue struct {
	Messages int // 0: MaxQueuedMessages, negative: no limit
	Bytes    int // 0: MaxQueuedBytes, negative: no limit

	// Age is how long a message waits at most; 0: as long as it takes, or its Message Expiry Interval says. What is older is
	// dropped when it would be sent, or some seconds after its time while the client is away, and counted as expired. A full
	// queue with an Age drops what has waited longest. Subscription Identifiers do not come with what has waited in such a queue.
	Age time.Duration

	// LiveFirst: what comes while the client is connected overtakes what had waited when it connected. Without it, all goes
	// in order. PastRate is how many of those that waited are sent in a second; 0: as fast as the client takes them.
	LiveFirst bool
	PastRate  int
}

func (c *Config) queues() map[string]hub.Queue {
	if len(c.Queues) == 0 {
		return nil
	}
	all := make(map[string]hub.Queue, len(c.Queues))
	for id, q := range c.Queues {
		all[id] = hub.Queue{
			Messages: limit(cmp.Or(q.Messages, c.MaxQueuedMessages), 100_000), Bytes: limit(cmp.Or(q.Bytes, c.MaxQueuedBytes), 64<<20),
			Age: q.Age.Milliseconds(), LiveFirst: q.LiveFirst, PastRate: q.PastRate,
		}
	}
	return all
}

// limits are those of a listener's clients.
func (c *Config) limits(l *Listener) *conn.Limits {
	lim := &conn.Limits{
		Anonymous: l.Anonymous, MountPoint: l.MountPoint, UserIsClientID: l.UserIsClientID,
		MaxPacket:      limit(c.MaxPacketSize, 16<<20),
		MaxKeepAlive:   uint16(seconds(c.MaxKeepAlive, math.MaxUint16)),
		MaxExpiry:      uint32(seconds(c.MaxSessionExpiry, math.MaxUint32)),
		MaxQoS:         2,
		MaxGranted:     2,
		ReceiveMaximum: c.ReceiveMaximum,
		Lenient:        c.LenientReceive,
		ConnectRate:    c.MaxConnectRate,
		TopicAliases:   aliases(cmp.Or(l.MaxTopicAlias, c.MaxTopicAlias), 10),
		SendAliases:    aliases(l.MaxTopicAliasOut, math.MaxUint16),
		MaxInflight:    c.MaxInflight,
		InflightBytes:  c.MaxInflightBytes,
		RetainOff:      c.NoRetain,
		EmptyClientID:  !c.RefuseEmptyClientID && !l.RefuseEmptyClientID,
		ClientIDPrefix: cmp.Or(l.ClientIDPrefix, c.ClientIDPrefix, "auto-"),
	}
	for _, most := range []*byte{c.MaxQoS, l.MaxQoS} {
		if most != nil {
			lim.MaxQoS = min(lim.MaxQoS, *most)
		}
	}
	if l.MaxQoS != nil {
		lim.MaxGranted = min(lim.MaxGranted, *l.MaxQoS)
	}
	for _, v := range l.RefuseVersions {
		if int(v) < len(lim.Versions) {
			lim.Versions[v] = true
		}
	}
	return lim
}

// aliases resolves a number of Topic Aliases: 0 means def, negative none.
func aliases(n, def int) uint16 { return uint16(min(max(cmp.Or(n, def), 0), math.MaxUint16)) }

func (c *Config) transportListener(l Listener) transport.ListenerConfig {
	t := transport.ListenerConfig{
		Name: l.Name, Network: l.Network, Address: l.Address, Listener: l.Socket, Device: l.Device, TLS: l.TLS,
		WebSocket: l.WebSocket, WebSocketPath: l.WebSocketPath, AllowedOrigins: l.AllowedOrigins, HTTP: l.HTTP, MaxHeader: l.MaxHeader,
		Proxy: l.Proxy, UnixMode: l.UnixMode, MaxConnections: l.MaxConnections, Data: c.limits(&l),
	}
	if t.NoUpgrade = l.HTTPOnly && l.HTTP != nil; t.NoUpgrade {
		t.WebSocket = true
	}
	if l.WebSocket {
		t.Subprotocols = []string{"mqtt", "mqttv3.1"} // [MQTT-6.0.0-3]
	}
	return t
}
