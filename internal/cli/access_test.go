package cli

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// The access list holds for whatever brings a message to somebody: subscriptions, of a client alone or shared, retained
// messages, wills and queues, also for those who were there before it changed. Each refusal is told with 0x87, counted and
// logged with the line that decided.
func TestAccessEverywhere(t *testing.T) {
	const head = "topic readwrite $SYS/#\nuser root\ntopic readwrite #\nuser ann\ntopic readwrite open/#\ntopic deny open/secret\n"
	conf := "listener <a> 127.0.0.1\nallow_anonymous true\nsys_interval 1\nacl_file <dir>/acl\n"
	h := furnish(t, conf, "acl", head+"topic read later\n")
	root := h.guest("a", client.Options{Username: "root"})
	ann := h.guest("a", client.Options{Username: "ann", ClientID: "ann", SessionExpiry: packet.Some[uint32](600)})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tell := func(topic string, retain bool) {
		t.Helper()
		if err := h.says(root, topic, "m", 1, retain); err != nil {
			t.Fatal(err)
		}
	}
	for _, filter := range []string{"closed/#", "open/secret", "$share/g/closed/+"} {
		if _, err := ann.Subscribe(ctx, client.To(filter, 1), nil); err == nil || !strings.Contains(err.Error(), packet.NotAuthorized.String()) {
			t.Errorf("subscribe to %s: %v", filter, err)
		}
	}
	for _, topic := range []string{"closed/a", "open/secret", "later"} {
		if err := h.says(ann, topic, "m", 1, false); err == nil || !strings.Contains(err.Error(), packet.NotAuthorized.String()) {
			t.Errorf("publish to %s: %v", topic, err)
		}
	}
	tell("open/secret", true)
	tell("open/kept", true)
	got := h.hears(ann, "#", 1) // something of it is granted; what is not does not come
	h.want(got, "open/kept m 1")
	shared := h.hears(ann, "$share/g/open/+", 1)
	var cable net.Conn
	h.guest("a", client.Options{Username: "ann", Will: &packet.Will{Topic: "open/secret", Payload: []byte("w"), QoS: 1},
		Dial: func(ctx context.Context, network, address string) (_ net.Conn, err error) {
			cable, err = new(net.Dialer).DialContext(ctx, network, address)
			return cable, err
		}})
	spy := h.hears(root, "open/secret", 1)
	h.want(spy, "open/secret m 1") // the retained one
	cable.Close()
	tell("open/secret", false)
	tell("open/x", false)
	h.want(got, "open/x m 1")
	h.want(shared, "open/x m 1")
	h.want(spy, "open/secret m 1") // and not the will
	ann.Close()
	tell("later", false)
	tell("open/y", false)
	h.write("acl", head)
	cfg, err := h.config(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	back := make(chan string, 10)
	again := h.guest("a", client.Options{Username: "ann", ClientID: "ann", Resume: true, SessionExpiry: packet.Some[uint32](600),
		Handler: func(_ context.Context, p *packet.Publish) { back <- string(p.Topic) }})
	for {
		select {
		case topic := <-back:
			if topic == "later" {
				t.Fatal("a message that waited came though it is no longer allowed")
			}
			if topic != "open/y" {
				continue
			}
		case <-time.After(patience):
			t.Fatal("what waited did not come")
		}
		break
	}
	again.Close()
	count := h.hears(h.guest("a", client.Options{}), "$SYS/broker/publish/messages/denied", 0)
	for counted := false; !counted; {
		select {
		case s := <-count:
			counted = !strings.HasSuffix(s, " 0 0")
		case <-ctx.Done():
			t.Fatal("refusals are not counted")
		}
	}
	if log := h.log.String(); !strings.Contains(log, "acl:6: topic deny open/secret") || !strings.Contains(log, "action=publish") {
		t.Error("refusals are not logged with their rule")
	}
}

// A live subscription that a changed list no longer allows is removed, and its client
// told 0x87 in a DISCONNECT; others stay, and so does what the client may still hear.
// The removal lasts: the session comes back without it. [MQTT-3.14.0-1]
func TestLostSubscription(t *testing.T) {
	const list = "topic readwrite $SYS/#\nuser root\ntopic readwrite #\nuser bob\ntopic read open/#\nuser ann\ntopic read open/#\n"
	conf := "listener <a> 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location <dir>\nacl_file <dir>/acl\n"
	h := furnish(t, conf, "acl", list+"topic read later/#\n")
	root := h.guest("a", client.Options{Username: "root"})
	ann := h.guest("a", client.Options{Username: "ann", ClientID: "ann", SessionExpiry: packet.Some[uint32](600)})
	bob := h.guest("a", client.Options{Username: "bob", ClientID: "bob"})
	h.hears(ann, "open/#", 1)
	h.hears(ann, "later/#", 1)
	heard := h.hears(bob, "open/#", 1)
	h.write("acl", list)
	cfg, err := h.config(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ann.Done():
		if err := ann.Err(); err == nil || !strings.Contains(err.Error(), packet.NotAuthorized.String()) {
			t.Errorf("ann was told %v", err)
		}
	case <-time.After(patience):
		t.Fatal("ann keeps what she may no longer hear")
	}
	var left []string
	for _, s := range h.b.Subscriptions() {
		left = append(left, s.ClientID+" "+s.Filter)
	}
	if got := strings.Join(left, ", "); got != "ann open/#, bob open/#" {
		t.Errorf("subscriptions that are left: %s", got)
	}
	for _, topic := range []string{"later/x", "open/x"} {
		if err := h.says(root, topic, "m", 1, false); err != nil {
			t.Fatal(err)
		}
	}
	h.want(heard, "open/x m 1")
	back := make(chan string, 10)
	h.guest("a", client.Options{Username: "ann", ClientID: "ann", Resume: true, SessionExpiry: packet.Some[uint32](600),
		Handler: func(_ context.Context, p *packet.Publish) { back <- string(p.Topic) }})
	select {
	case topic := <-back:
		if topic != "open/x" {
			t.Errorf("%s came", topic)
		}
	case <-time.After(patience):
		t.Fatal("what ann may hear did not come")
	}
	if log := h.log.String(); !strings.Contains(log, "action=subscribe topic=later/#") {
		t.Errorf("the loss is not logged:\n%s", log)
	}
}
