// Command subscribe prints messages until it is interrupted. Try it with its sister:
//
//	nightjar                                 # a broker, in one window
//	go run ./examples/subscribe -id kitchen  # in a second one
//	go run ./examples/publish -id hall       # in a third one: three messages appear in the second
//	go run ./examples/publish -id kitchen    # the identifier of the subscriber!
//
// The last one ends the subscriber with "Session taken over". A client identifier names a session, and a session belongs
// to one connection at a time: when a second client comes with the same identifier, the server has to close the first
// [MQTT-3.1.4-3], because it takes it for the same device that lost its connection and did not notice. Had the subscriber
// come back by itself, as clients of 3.1.1 do, which are not told why they are closed, it would have thrown the publisher
// out, and so on for ever. That is why a Keeper gives up here, and why every device needs an identifier of its own: leave
// it empty, and the server makes one up.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/nightjarmq/nightjar/client"
)

func main() {
	server := flag.String("server", "mqtt://localhost", "URL of the server")
	filter := flag.String("filter", "example/#", "topics to subscribe to")
	id := flag.String("id", "", "client identifier; by default the server makes one up")
	flag.Parse()
	if err := subscribe(*server, *filter, *id); err != nil {
		fmt.Fprintln(os.Stderr, "subscribe:", err)
		os.Exit(1)
	}
}

func subscribe(server, filter, id string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	k, err := client.NewKeeper(client.KeeperOptions{
		Servers: []string{server},
		Options: client.Options{ClientID: id},
		OnEvent: func(e client.Event) { slog.Info("connection", "event", e) },
	})
	if err != nil {
		return err
	}
	ended := make(chan error)
	go func() { ended <- k.Run(ctx) }() // connects, and again whenever the connection is lost
	var failed error
	for m, err := range k.Messages(ctx, client.To(filter, 1)) {
		if err != nil {
			failed = err
			break
		}
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
	}
	stop()
	return cmp.Or(<-ended, failed)
}
