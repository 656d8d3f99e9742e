package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bridgeKeywords say what a bridge carries.
func bridgeKeywords() []Keyword {
	text := func(f func(b *Bridge) *string) func(r *reader, w *words) *Error {
		return once(func(r *reader) *string { return f(r.here.bridge) })
	}
	yes := func(f func(b *Bridge) *bool) func(r *reader, w *words) *Error {
		return flag(func(r *reader) *bool { return f(r.here.bridge) })
	}
	remoteID := text(func(b *Bridge) *string { return &b.RemoteClientID })
	remoteUser := text(func(b *Bridge) *string { return &b.RemoteUsername })
	remotePassword := text(func(b *Bridge) *string { return &b.RemotePassword })
	return []Keyword{
		{Name: "connection", Scope: Global, Type: "name", Help: "Begins a bridge to another broker.", Fate: Kept, set: addBridge},
		{Name: "address", Scope: OfBridge, Type: "host[:port] ...", Help: "Where the other broker listens.", Fate: Kept, set: bridgeAddresses},
		{Name: "addresses", Scope: OfBridge, Type: "host[:port] ...", Help: "The same as address.", Fate: Kept, set: bridgeAddresses},
		{Name: "topic", Scope: OfBridge, Type: "pattern [out|in|both [qos [local-prefix [remote-prefix]]]]", Help: "Topics to exchange; may be repeated.", Fate: Kept, set: bridgeTopic},
		{Name: "remote_clientid", Scope: OfBridge, Type: "text", Default: "HOST.NAME", Help: "Client identifier at the other broker.", Fate: Kept, set: remoteID},
		{Name: "clientid", Scope: OfBridge, Type: "text", Default: "HOST.NAME", Help: "An older name of remote_clientid.", Fate: Kept, set: remoteID},
		{Name: "remote_username", Scope: OfBridge, Type: "text", Help: "User name at the other broker.", Fate: Kept, set: remoteUser},
		{Name: "username", Scope: OfBridge, Type: "text", Help: "An older name of remote_username.", Fate: Kept, set: remoteUser},
		{Name: "remote_password", Scope: OfBridge, Type: "text", Help: "Password at the other broker.", Fate: Kept, Secret: true, set: remotePassword},
		{Name: "password", Scope: OfBridge, Type: "text", Help: "An older name of remote_password.", Fate: Kept, Secret: true, set: remotePassword},
		{Name: "local_clientid", Scope: OfBridge, Type: "text", Default: "local.REMOTE_CLIENTID", Help: "Client identifier at this broker.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.LocalClientID })},
		{Name: "local_username", Scope: OfBridge, Type: "text", Help: "User name at this broker.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.LocalUsername })},
		{Name: "local_password", Scope: OfBridge, Type: "text", Help: "Password at this broker.", Fate: Kept, Secret: true,
			set: text(func(b *Bridge) *string { return &b.LocalPassword })},
		{Name: "cleansession", Scope: OfBridge, Type: bools, Default: "false", Help: "Begin each connection without a session.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.CleanStart })},
		{Name: "local_cleansession", Scope: OfBridge, Type: bools, Default: "cleansession", Help: "The same for this broker's side.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { b.localCleanStated = true; return &b.LocalCleanStart })},
		{Name: "notifications", Scope: OfBridge, Type: bools, Default: "true", Help: "Publish whether the bridge is connected.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.Notifications })},
		{Name: "notifications_local_only", Scope: OfBridge, Type: bools, Default: "false", Help: "Publish it at this broker only.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.LocalNotify })},
		{Name: "notification_topic", Scope: OfBridge, Type: "topic", Default: "$SYS/broker/connection/REMOTE_CLIENTID/state", Help: "Where it is published.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.NotifyTopic })},
		{Name: "try_private", Scope: OfBridge, Type: bools, Default: "true", Help: "Tell the other broker that this is a bridge.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.TryPrivate })},
		{Name: "bridge_attempt_unsubscribe", Scope: OfBridge, Type: bools, Default: "true", Help: "Unsubscribe from topics that only go out.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.Unsubscribe })},
		{Name: "bridge_outgoing_retain", Scope: OfBridge, Type: bools, Default: "true", Help: "Send retained messages as retained.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.OutgoingRetain })},
		{Name: "bridge_max_hops", Scope: OfBridge, Type: "number", Default: "0", Help: "Bridges that a message may cross, this one included; 0 is any number. Nightjar only.", Fate: Kept,
			set: bridgeNumber(0, math.MaxInt32, func(b *Bridge, n int) { b.MaxHops = n })},
		{Name: "bridge_outgoing_rate", Scope: OfBridge, Type: "number", Default: "0", Help: "Messages per second to the other broker, with bridge_live_first of those that waited; 0 is no limit. Nightjar only.", Fate: Kept,
			set: bridgeNumber(0, math.MaxInt32, func(b *Bridge, n int) { b.Rate = n })},
		{Name: "bridge_live_first", Scope: OfBridge, Type: bools, Default: "false", Help: "After an outage new messages overtake those that waited. Nightjar only.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.LiveFirst })},
		{Name: "bridge_queue_messages", Scope: OfBridge, Type: "number", Default: "max_queued_messages", Help: "Messages that wait for the other broker; 0 is no limit. Nightjar only.", Fate: Kept,
			set: limit(0, math.MaxInt32, func(r *reader) *int { return &r.here.bridge.QueueMessages })},
		{Name: "bridge_queue_bytes", Scope: OfBridge, Type: "bytes", Default: "max_queued_bytes", Help: "Bytes that wait for the other broker; 0 is no limit. Nightjar only.", Fate: Kept,
			set: limit(0, math.MaxInt, func(r *reader) *int { return &r.here.bridge.QueueBytes })},
		{Name: "bridge_queue_expiry", Scope: OfBridge, Type: "number and s, h, d, w, m or y", Help: "What waits for the other broker longer is dropped. Nightjar only.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				d, err := w.lifetime()
				r.here.bridge.QueueExpiry = d
				return err
			}},
		{Name: "round_robin", Scope: OfBridge, Type: bools, Default: "false", Help: "Treat all addresses alike.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.RoundRobin })},
	}
}

func addBridge(r *reader, w *words) *Error {
	name := w.next()
	if name == "" {
		return wrong("no name", "write connection NAME")
	}
	for _, b := range r.bridges {
		if b.Name == name {
			return wrong("a second bridge "+quote(name)+", first at "+b.Pos.String(), "give it another name")
		}
	}
	b := newBridge(name, r.pos)
	r.bridges = append(r.bridges, &b)
	r.here.bridge = &b
	return nil
}

func bridgeAddresses(r *reader, w *words) *Error {
	b := r.here.bridge
	if b.Addresses != nil {
		return wrong("given twice for bridge "+b.Name, "write all addresses on one line")
	}
	for s := w.next(); s != "" && s[0] != '#'; s = w.next() {
		a := BridgeAddress{Host: s, Port: 1883}
		if i := strings.LastIndexByte(s, ':'); i >= 0 {
			port, err := strconv.Atoi(s[i+1:])
			if err != nil || port < 1 || port > math.MaxUint16 {
				return wrong(quote(s)+" has no valid port", "write HOST:PORT, for an IPv6 address too")
			}
			a.Host, a.Port = s[:i], port
		}
		a.Host = strings.TrimSuffix(strings.TrimPrefix(a.Host, "["), "]")
		b.Addresses = append(b.Addresses, a)
	}
	if len(b.Addresses) == 0 {
		return wrong("no value", "write HOST or HOST:PORT")
	}
	return nil
}

// bridgeTopic reads "topic PATTERN DIRECTION QOS LOCAL REMOTE". A pattern with
// spaces may stand in quotes; "" is empty.
func bridgeTopic(r *reader, w *words) *Error {
	var t BridgeTopic
	var err *Error
	if t.Pattern, err = w.pattern(); err != nil {
		return err
	}
	t.Direction = Out
	rest := w.optional(4)
	if rest[0] != "" {
		t.Direction = Direction(strings.ToLower(rest[0]))
		if !slices.Contains([]Direction{Out, In, Both}, t.Direction) {
			return wrong(quote(rest[0])+" is not a direction", "write out, in or both")
		}
	}
	if qos := unquoteEmpty(rest[1]); qos != "" { // without one it is 0, as in: topic PATTERN out "" ""
		n, err := strconv.Atoi(qos)
		if err != nil || n < 0 || n > 2 {
			return wrong(quote(qos)+" is not a QoS", "write 0, 1 or 2")
		}
		t.QoS = byte(n)
	}
	t.LocalPrefix, t.RemotePrefix = unquoteEmpty(rest[2]), unquoteEmpty(rest[3])
	if msg, fix := t.check(); msg != "" {
		return wrong(msg, fix)
	}
	r.here.bridge.Topics = append(r.here.bridge.Topics, t)
	return nil
}

// pattern reads a word, or words in quotes.
func (w *words) pattern() (string, *Error) {
	s := w.next()
	switch {
	case s == "":
		return "", wrong("no value", "write topic PATTERN")
	case s == `""`:
		return "", nil
	case s[0] != '"':
		return s, nil
	}
	inside, rest, ok := strings.Cut(strings.TrimPrefix(s+" "+w.rest, `"`), `"`)
	if !ok {
		return "", wrong("the quote is not closed", `end the pattern with "`)
	}
	w.rest = rest
	return inside, nil
}

// optional reads up to n words; a word that begins with # ends the line.
func (w *words) optional(n int) []string {
	list := make([]string, n)
	for i := range list {
		s := w.next()
		if strings.HasPrefix(s, "#") {
			break
		}
		list[i] = s
	}
	return list
}

func unquoteEmpty(s string) string {
	if s == `""` {
		return ""
	}
	return s
}

func addSeconds(n int) time.Duration { return time.Duration(n) * time.Second }
