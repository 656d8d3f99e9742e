package broker_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/packet"
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
