package bridge

import (
	"strings"

	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// Topic is a set of topics that cross the bridge. A message with the local name LocalPrefix + x has the remote name
// RemotePrefix + x, where x matches Pattern. With an empty Pattern the prefixes are the names.
type Topic struct {
	Pattern      string
	Out, In      bool
	QoS          byte
	LocalPrefix  string
	RemotePrefix string
}

// Local and Remote are the filters to subscribe to.
func (t *Topic) Local() string  { return t.LocalPrefix + t.Pattern }
func (t *Topic) Remote() string { return t.RemotePrefix + t.Pattern }

// Outward gives the remote name of a local topic, of the first line that it matches. A message whose name is the prefix that
// comes off, and nothing else, does not cross: a name has at least one character [MQTT-4.7.3-1].
func Outward(topics []Topic, name string) (string, bool) {
	for i := range topics {
		if t := &topics[i]; t.Out && topic.Match(t.Local(), name) {
			return renamed(name, t.LocalPrefix, t.RemotePrefix)
		}
	}
	return "", false
}

// Inward gives the local name of a remote topic.
func Inward(topics []Topic, name string) (string, bool) {
	for i := range topics {
		if t := &topics[i]; t.In && topic.Match(t.Remote(), name) {
			return renamed(name, t.RemotePrefix, t.LocalPrefix)
		}
	}
	return "", false
}

// renamed puts one prefix in place of another. A name without it, such as "a" for "a/#", is what mosquitto takes it for: all of
// it goes behind the new one.
func renamed(name, from, to string) (string, bool) {
	name = to + strings.TrimPrefix(name, from)
	return name, name != ""
}

// growth is how many bytes longer a name can become on its way out.
func growth(topics []Topic) int {
	n := 0
	for i := range topics {
		n = max(n, len(topics[i].RemotePrefix)-len(topics[i].LocalPrefix))
	}
	return n
}

// filters are the subscriptions at one side, each filter once with its highest QoS; most bounds the QoS.
func filters(topics []Topic, wanted func(*Topic) bool, name func(*Topic) string, o packet.Options, most byte) (list []packet.SubscribeFilter) {
	at := map[string]int{}
	for i := range topics {
		t := &topics[i]
		if !wanted(t) {
			continue
		}
		o.QoS = min(t.QoS, most)
		if j, ok := at[name(t)]; ok {
			list[j].QoS = max(list[j].QoS, o.QoS)
			continue
		}
		at[name(t)] = len(list)
		list = append(list, packet.SubscribeFilter{Filter: name(t), Options: o})
	}
	return list
}

// surplus lists the filters that only the other direction has.
func surplus(topics []Topic, wanted func(*Topic) bool, name func(*Topic) string) (list []string) {
	for _, f := range filters(topics, func(t *Topic) bool { return !wanted(t) }, name, packet.Options{}, 0) {
		used := false
		for i := range topics {
			used = used || wanted(&topics[i]) && name(&topics[i]) == f.Filter
		}
		if !used {
			list = append(list, f.Filter)
		}
	}
	return list
}

func goesOut(t *Topic) bool { return t.Out }
func comesIn(t *Topic) bool { return t.In }
