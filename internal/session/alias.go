package session

import (
	"strings"

	"github.com/nightjarmq/nightjar/packet"
)

// aliases are the Topic Aliases of one connection. They are given out first come,
// first served: a topic that comes when all are taken is sent in full.
type aliases struct {
	ids   map[string]uint16 // those given out
	last  uint16
	bytes int      // of their topics
	names []string // those of the client; index is alias-1
}

// mostAliasBytes bounds the topics that are remembered for a client, whatever
// its Topic Alias Maximum and however long they are.
const mostAliasBytes = 16 << 10

// SendsAliases reports whether the client takes Topic Aliases. If so every
// message on the connection goes through [Session.Alias].
func (s *Session) SendsAliases() bool { return s.p.SendAliases > 0 }

// Alias returns the alias for a message about to be sent, 0 for none, and
// whether the client knows it already, so that the topic stays empty.
// [MQTT-3.1.2-26] [MQTT-3.1.2-27]
func (s *Session) Alias(topic string) (alias uint16, known bool) {
	if s.p.SendAliases == 0 {
		return 0, false
	}
	if s.aliases == nil {
		s.aliases = new(aliases)
	}
	a := s.aliases
	if a.ids == nil {
		a.ids = make(map[string]uint16)
	}
	if id, ok := a.ids[topic]; ok {
		return id, true
	}
	if a.last == s.p.SendAliases || a.bytes+len(topic) > mostAliasBytes { // [MQTT-3.3.2-11]
		return 0, false
	}
	a.last++
	a.bytes += len(topic)
	a.ids[strings.Clone(topic)] = a.last
	return a.last, false
}

// Unalias takes back the alias that the last call of Alias gave out for the
// topic, because the packet that would have told the client was not sent.
func (s *Session) Unalias(topic string) {
	a := s.aliases
	if a == nil || a.ids[topic] != a.last {
		return
	}
	delete(a.ids, topic)
	a.last--
	a.bytes -= len(topic)
}

// resolve replaces an inbound Topic Alias by its topic, or learns it.
func (s *Session) resolve(p *packet.Publish) error {
	if !p.TopicAlias.Set {
		return nil
	}
	alias := p.TopicAlias.Value
	if alias == 0 || alias > s.p.ReceiveAliases { // [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-12]
		return &packet.Error{Code: packet.TopicAliasInvalid, Clause: "MQTT-3.3.2-9", Msg: "Topic Alias is above the maximum"}
	}
	if s.aliases == nil {
		s.aliases = new(aliases)
	}
	a := s.aliases
	if len(p.Topic) > 0 { // [MQTT-3.3.2-7]
		for len(a.names) < int(alias) {
			a.names = append(a.names, "")
		}
		a.names[alias-1] = string(p.Topic)
		return nil
	}
	if int(alias) > len(a.names) || a.names[alias-1] == "" {
		return &packet.Error{Code: packet.ProtocolError, Clause: "MQTT-3.3.2-7", Msg: "Topic Alias was not set on this connection"}
	}
	p.Topic = []byte(a.names[alias-1])
	return nil
}
