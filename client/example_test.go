package client_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// exampleServer runs a broker in this process. The examples would use the URL of a real one.
func exampleServer() (url string, stop func()) {
	b, err := broker.New(broker.Config{Listeners: []broker.Listener{{Address: "127.0.0.1:0", Anonymous: true}}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	return "mqtt://" + b.Addrs()[0].String(), func() {
		cancel()
		<-ended
	}
}

// One connection that publishes to itself.
func ExampleDial() {
	ctx := context.Background()
	url, stop := exampleServer()
	defer stop()

	c, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	done := make(chan struct{})
	_, err = c.Subscribe(ctx, client.To("greeting/+", 1), func(_ context.Context, m *packet.Publish) {
		fmt.Printf("%s: %s\n", m.Topic, m.Payload) // the message is only borrowed
		close(done)
	})
	if err != nil {
		log.Fatal(err)
	}
	err = c.Publish(ctx, &packet.Publish{Topic: []byte("greeting/world"), QoS: 1, Payload: []byte("hello")})
	if err != nil {
		log.Fatal(err)
	}
	<-done
	// Output: greeting/world: hello
}

// A client that stays connected. What is published before there is a connection, or between two, waits in the queue.
func ExampleKeeper() {
	url, stop := exampleServer()
	defer stop()

	k, err := client.NewKeeper(client.KeeperOptions{
		Servers: []string{url},
		Queue:   client.Queue{MaxMessages: 1000, WhenFull: client.DropOldest},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- k.Run(ctx) }()

	err = k.Publish(ctx, &packet.Publish{Topic: []byte("sensors/1"), QoS: 1, Payload: []byte("21.5")})
	fmt.Println("acknowledged:", err == nil)

	cancel() // says goodbye to the server
	fmt.Println("ended:", <-ended)
	// Output:
	// acknowledged: true
	// ended: <nil>
}

// A loop over messages may wait for its own client, as a handler may not.
func ExampleClient_Messages() {
	ctx := context.Background()
	url, stop := exampleServer()
	defer stop()
	c, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for _, name := range []string{"fridge", "lamp"} {
		m := &packet.Publish{Topic: []byte("state/" + name), QoS: 1, Retain: true, Payload: []byte("on")}
		if err := c.Publish(ctx, m); err != nil {
			log.Fatal(err)
		}
	}

	for m, err := range c.Messages(ctx, client.To("state/lamp", 1)) {
		if err != nil {
			log.Fatal(err)
		}
		err = c.Publish(ctx, &packet.Publish{Topic: []byte("log"), QoS: 1, Payload: m.Payload})
		fmt.Printf("%s is %s, logged: %t\n", m.Topic, m.Payload, err == nil)
		break // unsubscribes
	}
	// Output: state/lamp is on, logged: true
}

// The handler passes messages on, and whoever has worked on one acknowledges it.
func ExampleHold() {
	ctx := context.Background()
	url, stop := exampleServer()
	defer stop()
	c, err := client.Dial(ctx, url, client.Options{ReceiveMaximum: 10}) // at most ten under way
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	type job struct {
		message     *packet.Publish
		acknowledge func()
	}
	jobs := make(chan job, 10)
	_, err = c.Subscribe(ctx, client.To("orders", 1), func(ctx context.Context, m *packet.Publish) {
		jobs <- job{client.Clone(m), client.Hold(ctx)}
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Publish(ctx, &packet.Publish{Topic: []byte("orders"), QoS: 1, Payload: []byte("one tea")}); err != nil {
		log.Fatal(err)
	}
	j := <-jobs
	fmt.Printf("served: %s\n", j.message.Payload)
	j.acknowledge() // now the server forgets it
	// Output: served: one tea
}

// A question and its answer, each a message (5.0).
func ExampleRequester() {
	ctx := context.Background()
	url, stop := exampleServer()
	defer stop()
	c, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	shout := func(_ context.Context, m *packet.Publish) (*packet.Publish, error) {
		return &packet.Publish{Payload: []byte(strings.ToUpper(string(m.Payload)))}, nil
	}
	if _, err := c.Subscribe(ctx, client.To("shout", 1), client.Responder(c, shout, nil)); err != nil {
		log.Fatal(err)
	}
	r, err := client.NewRequester(ctx, c, "")
	if err != nil {
		log.Fatal(err)
	}
	answer, err := r.Request(ctx, &packet.Publish{Topic: []byte("shout"), QoS: 1, Payload: []byte("hello")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", answer.Payload)
	// Output: HELLO
}
