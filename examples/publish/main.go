// Command publish sends three messages and returns when the server has acknowledged them. See the comment of its sister, subscribe,
// for what to try.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

func main() {
	server := flag.String("server", "mqtt://localhost", "URL of the server")
	topic := flag.String("topic", "example/temperature", "topic to publish to")
	id := flag.String("id", "", "client identifier; by default the server makes one up")
	flag.Parse()
	if err := publish(*server, *topic, *id); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

func publish(server, topic, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, server, client.Options{ClientID: id})
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range 3 {
		text := fmt.Sprintf("%.1f °C", 20+float64(i)/2)
		err := c.Publish(ctx, &packet.Publish{Topic: []byte(topic), QoS: 1, Payload: []byte(text)})
		if err != nil {
			return err // with QoS 1 this means that nobody knows whether the message has arrived
		}
		fmt.Printf("%s: %s, acknowledged\n", topic, text)
	}
	return nil
}
