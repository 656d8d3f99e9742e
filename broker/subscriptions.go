package broker

import (
	"cmp"
	"slices"

	"github.com/nightjarmq/nightjar/internal/hub"
)

// Subscription is one filter of a client.
type Subscription struct {
	ClientID string
	Filter   string
	QoS      byte
}

// Subscriptions returns all subscriptions, ordered by filter and client.
func (b *Broker) Subscriptions() (list []Subscription) {
	b.hub.Clients(func(c *hub.Client) bool {
		c.Subscriptions(func(filter string, qos byte) {
			list = append(list, Subscription{c.ID, filter, qos})
		})
		return true
	})
	slices.SortFunc(list, func(x, y Subscription) int {
		return cmp.Or(cmp.Compare(x.Filter, y.Filter), cmp.Compare(x.ClientID, y.ClientID))
	})
	return list
}
