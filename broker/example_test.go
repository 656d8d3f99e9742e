package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
	"github.com/nightjarmq/nightjar/topic"
)

// A broker without any listener, used inside one process.
func Example() {
	b, err := broker.New(broker.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()

	got := make(chan string)
	sub, err := b.Subscribe(ctx, "plant/+/temperature", 1, func(_ context.Context, m *packet.Publish) {
		got <- fmt.Sprintf("%s: %s", m.Topic, m.Payload)
	})
	if err != nil {
		log.Fatal(err)
	}
	err = b.Publish(ctx, broker.Message{Topic: "plant/1/temperature", Payload: []byte("21.5"), QoS: 1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-got)

	sub.Close()
	stop()
	fmt.Println(<-ended)
	// Output:
	// plant/1/temperature: 21.5
	// <nil>
}

// house lets people in by name and password, and each to the topics below their
// own name.
type house map[string]string

func (h house) Authenticate(_ context.Context, a *broker.Attempt) (user string, err error) {
	if want, known := h[a.Username.Value]; !known || string(a.Password.Value) != want {
		return "", errors.New("user name or password is wrong")
	}
	return a.Username.Value, nil
}

func (house) Publish(c *broker.Client, name []byte, _ byte, _ bool) bool { return own(c, name) }

func (house) Subscribe(c *broker.Client, f topic.Filter, _ byte) bool {
	return own(c, []byte(f.Filter))
}

func (house) Receive(c *broker.Client, name []byte) bool { return own(c, name) }

func own(c *broker.Client, name []byte) bool { return bytes.HasPrefix(name, []byte(c.User+"/")) }

// A broker that asks who its clients are, and what they may do.
func ExampleConfig() {
	people := house{"alice": "secret"}
	b, err := broker.New(broker.Config{Auth: people, Access: people})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()

	_, err = b.Dial(ctx, client.Options{Username: "alice", Password: []byte("guess")})
	fmt.Println(err)

	c, err := b.Dial(ctx, client.Options{Username: "alice", Password: []byte("secret")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Publish(ctx, &packet.Publish{Topic: []byte("alice/door"), QoS: 1}))
	fmt.Println(c.Publish(ctx, &packet.Publish{Topic: []byte("bob/door"), QoS: 1}))

	c.Close()
	stop()
	fmt.Println(<-ended)
	// Output:
	// connect: Not authorized: user name or password is wrong [MQTT-3.1.4-2]
	// <nil>
	// publish: Not authorized: not allowed to publish to this topic
	// <nil>
}
