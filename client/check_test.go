package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

var long = strings.Repeat("x", packet.MaxString+1)

// refused reports an error that is not one of ours with this code.
func refused(t *testing.T, name string, err error, code packet.Code) {
	t.Helper()
	var e *client.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%s: %v", name, err)
	}
}

// What a server must end the connection for, or what no packet can hold, is refused before it is sent, and the connection
// goes on.
func TestNothingMalformedLeaves(t *testing.T) {
	c, p := connect(t, client.Options{}, ok())
	k, err := client.NewKeeper(client.KeeperOptions{Servers: []string{"mqtt://nobody"}})
	if err != nil {
		t.Fatal(err)
	}
	pair := func(k, v string) []packet.UserPair { return []packet.UserPair{{Key: []byte(k), Value: []byte(v)}} }
	for name, m := range map[string]packet.PublishProperties{
		"long user property":  {User: pair("k", long)},
		"long content type":   {ContentType: []byte(long)},
		"long correlation":    {CorrelationData: []byte(long)},
		"bad UTF-8":           {User: pair("k", "\xff")},
		"bad content type":    {ContentType: []byte("\xff")},
		"payload format":      {PayloadFormat: packet.Some[byte](2)},
		"wildcard":            {ResponseTopic: []byte("a/#")},
		"empty":               {ResponseTopic: []byte{}},
		"long response topic": {ResponseTopic: []byte(long)},
	} {
		code := packet.MalformedPacket
		switch name {
		case "payload format":
			code = packet.ProtocolError
		case "wildcard", "empty":
			code = packet.TopicNameInvalid
		}
		q := &packet.Publish{Topic: []byte("t"), PublishProperties: m}
		refused(t, name, c.Publish(deadline(t), q), code)
		refused(t, name, k.PublishAsync(deadline(t), q, nil), code)
	}
	subscribes := map[string]*packet.Subscribe{
		"none": {}, "QoS 3": client.To("a", 3), "QoS 4": client.To("a", 4), "QoS 16": client.To("a", 16),
		"id 0": client.To("a", 0), "long": client.To("a", 0), "UTF-8": client.To("a", 0), "filter": client.To("\xff", 0),
		"handling": client.To("a", 0), "id": client.To("a", 0),
	}
	subscribes["id 0"].SubscriptionID.Set = true
	subscribes["id"].SubscriptionID = packet.Some[uint32](packet.MaxVarint + 1)
	subscribes["long"].User = []packet.UserProperty{{Key: long}}
	subscribes["UTF-8"].User = []packet.UserProperty{{Key: "\xff"}}
	subscribes["handling"].Filters[0].RetainHandling = 16
	for name, s := range subscribes {
		for _, x := range []client.Publisher{c, k} {
			var e *client.Error
			if _, err := x.Subscribe(deadline(t), s, nil); !errors.As(err, &e) {
				t.Errorf("subscribe %s: %v", name, err)
			}
		}
	}
	for _, x := range []client.Publisher{c, k} {
		for _, u := range []*packet.Unsubscribe{{}, {Filters: []string{"a"}, User: []packet.UserProperty{{Value: long}}}} {
			var e *client.Error
			if _, err := x.Unsubscribe(deadline(t), u); !errors.As(err, &e) {
				t.Error("unsubscribe:", err)
			}
		}
	}
	if err := c.Publish(deadline(t), message(0, 0, "fine")); err != nil {
		t.Error(err)
	}
	p.expect("PUBLISH 0 q0 fine p")
}

// So are options that make no CONNECT, by Dial and by NewKeeper.
func TestOptionsRefused(t *testing.T) {
	for name, o := range map[string]client.Options{
		"client identifier": {ClientID: long}, "identifier with a zero": {ClientID: "a\x00"}, "user name": {Username: "\xff"},
		"password":   {Password: []byte(long)},
		"will":       {Will: &packet.Will{Topic: "a/#"}},
		"will QoS":   {Will: &packet.Will{Topic: "a", QoS: 4}},
		"will text":  {Will: &packet.Will{Topic: "a", Payload: []byte(long)}},
		"properties": {User: []packet.UserProperty{{Key: "k", Value: long}}},
		"problem":    {RequestProblemInfo: packet.Some[byte](2)},
	} {
		var e *client.Error
		if _, err := client.Dial(deadline(t), "mqtt://127.0.0.1:1", o); !errors.As(err, &e) {
			t.Errorf("Dial, %s: %v", name, err)
		}
		if _, err := client.NewKeeper(client.KeeperOptions{Options: o, Servers: []string{"mqtt://127.0.0.1:1"}}); !errors.As(err, &e) {
			t.Errorf("NewKeeper, %s: %v", name, err)
		}
	}
}

// longAuth has more to say than fits.
type longAuth struct{ countingAuth }

func (a *longAuth) Continue(context.Context, []byte) ([]byte, error) { return []byte(long), nil }

// Authentication data and a DISCONNECT that no packet can hold end in an error as well.
func TestLongAuthentication(t *testing.T) {
	_, _, err := tryConnect(t, client.Options{Auth: new(longAuth)}, func(p *peer) {
		p.send(&packet.Auth{Code: packet.ContinueAuthentication, AuthMethod: packet.Some("count"), AuthData: []byte("1")})
		p.conn.Close()
	})
	if err == nil || !strings.Contains(err.Error(), "a string of") {
		t.Error(err)
	}
	c, p := connect(t, client.Options{}, ok())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Disconnect(deadline(t), &packet.Disconnect{Code: packet.DisconnectWithWill, ReasonString: packet.Some(long)})
	}()
	p.expect("DISCONNECT 04", "end")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What the server does not offer is not asked of it, because it would end the connection.
func TestNotOffered(t *testing.T) {
	no := packet.Some[byte](0)
	c, p := connect(t, client.Options{}, &packet.Connack{WildcardAvailable: no, SharedAvailable: no, SubscriptionIDAvailable: no})
	numbered := client.To("a", 0)
	numbered.SubscriptionID = packet.Some[uint32](1)
	for code, s := range map[packet.Code]*packet.Subscribe{
		packet.WildcardSubscriptionsNotSupported:   client.To("a/+", 0),
		packet.SharedSubscriptionsNotSupported:     client.To("$share/g/a", 0),
		packet.SubscriptionIdentifiersNotSupported: numbered,
	} {
		_, err := c.Subscribe(deadline(t), s, nil)
		refused(t, s.Filters[0].Filter, err, code)
	}
	if err := c.Publish(deadline(t), message(0, 0, "fine")); err != nil {
		t.Error(err)
	}
	p.expect("PUBLISH 0 q0 fine p")
}
