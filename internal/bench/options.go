package bench

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/nightjarmq/nightjar/packet"
)

// Options say what to run. A zero field takes the value that the scenario has for it (see Scenarios).
type Options struct {
	Scenario string
	URL      string         // of the broker: mqtt, mqtts, ws, wss or unix
	PID      int            // of the broker's process, if it runs on this machine; 0: its use is not measured
	Version  packet.Version // 0: 3.1.1
	QoS      byte
	Username string
	Password string
	Prefix   string      // of all topics and client identifiers; "" is made up
	TLS      *tls.Config // for mqtts and wss; nil: the system's trust
	Sources  []string    // local addresses to connect from, in turns: one address has some 28,000 ports

	Messages    int  // to publish, in all
	Connections int  // publishers, or connections of the scenario
	Subscribers int  // or subscriptions of the scenario
	Window      int  // messages of one publisher on their way
	Size        int  // bytes of a payload
	Rate        int  // messages a second, of paced
	Durable     bool // sessions of subscribers outlive their connections, so that a broker has to keep what they wait for
	Hold        time.Duration
	Quiet       time.Duration // give up when nothing has moved for so long; 0: 10 s

	// Progress, if set, is told several times a second how far the current step is.
	Progress func(step string, done, of int64)
}

// Scenario is a kind of load.
type Scenario struct {
	Name, About string
	Defaults    Options // what a zero field of Options means
}

// Scenarios returns all kinds of load.
func Scenarios() []Scenario {
	return []Scenario{
		{"pair", "as many publishers as subscribers, each pair with a topic of its own, as fast as the window allows",
			Options{Messages: 500_000, Connections: 10, Window: 100}},
		{"fanin", "many publishers, one subscriber to all of their topics",
			Options{Messages: 200_000, Connections: 500, Window: 4}},
		{"fanout", "one publisher, many subscribers to its topic",
			Options{Messages: 500, Subscribers: 1000, Window: 4}},
		{"paced", "pairs at a fixed rate; latency counts from the sending of a message to its arrival at the socket",
			Options{Messages: 25_000, Connections: 100, Rate: 5000}},
		{"connect", "connect, subscribe, disconnect, over and over",
			Options{Messages: 10_000, Connections: 50}},
		{"idle", "connections with a subscription each that are silent, and then get one message each",
			Options{Connections: 10_000, Hold: 5 * time.Second}},
		{"retained", "set retained messages, then read them all with one subscription; -s others are there before",
			Options{Messages: 100_000, Window: 200, QoS: 1}},
		{"wildcard", "messages through many wildcard subscriptions, of which two match each",
			Options{Messages: 100_000, Connections: 100, Subscribers: 100_000, Window: 12}},
		{"offline", "messages for a session that is away, which then comes for them",
			Options{Messages: 100_000, Window: 200, QoS: 1}},
		{"shared", "publishers to the members of one shared subscription",
			Options{Messages: 200_000, Connections: 4, Subscribers: 4, Window: 100, Version: packet.V5}},
	}
}

func (s *Scenario) complete(o Options) (Options, error) {
	d := s.Defaults
	positive := func(what string, p *int, def int) error {
		if *p == 0 {
			*p = def
		}
		if *p < 0 {
			return fmt.Errorf("%s must not be negative", what)
		}
		return nil
	}
	for _, f := range []struct {
		what string
		p    *int
		def  int
	}{
		{"the number of messages", &o.Messages, d.Messages}, {"the number of connections", &o.Connections, d.Connections},
		{"the number of subscribers", &o.Subscribers, d.Subscribers}, {"the window", &o.Window, d.Window},
		{"the size of a payload", &o.Size, DefaultSize}, {"the rate", &o.Rate, d.Rate},
	} {
		if err := positive(f.what, f.p, f.def); err != nil {
			return o, err
		}
	}
	if o.Size < smallestPayload {
		return o, fmt.Errorf("a payload of %d bytes cannot be checked: it takes at least %d", o.Size, smallestPayload)
	}
	if o.Version == 0 {
		o.Version = max(d.Version, packet.V311)
	}
	if s.Name == "shared" && o.Version < packet.V5 {
		return o, fmt.Errorf("shared subscriptions need MQTT 5")
	}
	if o.QoS > 2 {
		return o, fmt.Errorf("QoS %d does not exist", o.QoS)
	}
	o.QoS = max(o.QoS, d.QoS)
	if o.Hold == 0 {
		o.Hold = d.Hold
	}
	if o.Quiet == 0 {
		o.Quiet = DefaultQuiet
	}
	return o, nil
}

// What Options mean by zero in every scenario.
const (
	DefaultSize  = 64 // bytes of a payload
	DefaultQuiet = 10 * time.Second
)

// smallestPayload is how many bytes it takes to check a message.
const smallestPayload = 24
