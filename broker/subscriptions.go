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

// Client returns the user name of a client that has a session, and the name of the
// listener where it is connected, "" if it is not.
func (b *Broker) Client(id string) (user, listener string, ok bool) {
	c := b.hub.Find(id)
	if c == nil {
		return "", "", false
	}
	if l := c.Link(); l != nil && l.Conn != nil {
		listener = l.Conn.Listener().Name()
	}
	return c.User, listener, true
}
