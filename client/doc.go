// Package client is an MQTT client for 3.1, 3.1.1 and 5.0 over TCP, TLS, WebSocket and Unix sockets.
//
// It knows connections, sessions and queues, and it obeys the rules for clients: QoS 1 and 2 handshakes, quotas, aliases,
// keep-alive. It never knows brokers and command lines, and no file but the journal that it is told to keep.
//
// It has two layers with the same methods. A [Client] is one connection, made by [Dial]; when it is lost, it is over. A
// [Keeper] makes one Client after the other and hides that from its user: it connects again, queues what is published
// meanwhile and restores the subscriptions. A [Session] is what outlives a Client; a Keeper has one of its own.
//
//	k, err := client.NewKeeper(client.KeeperOptions{Servers: []string{"mqtt://localhost"}})
//	if err != nil { ... }
//	go k.Run(ctx)
//	_, err = k.Subscribe(ctx, client.To("sensors/#", 1), func(ctx context.Context, m *packet.Publish) {
//		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
//	})
//	err = k.Publish(ctx, &packet.Publish{Topic: []byte("sensors/1"), QoS: 1, Payload: []byte("21.5")})
//
// # Receiving
//
// Handlers run one after the other, in the order of the messages, on the reading goroutine. A message is acknowledged
// after its handlers have returned. While a handler runs nothing is read, so a slow handler slows the server down through
// TCP and no queue grows in between. The price is that a handler must not wait for its client: [ErrInHandler] tells. A
// message and its bytes are borrowed until the handler returns; [Clone] keeps them.
//
// Two ways lead out of the handler. [Hold] lets any goroutine acknowledge later, in order all the same. Messages is a loop
// that may wait for its client, because its messages wait in memory, bounded by what the server sends without an
// acknowledgement.
//
// # What a Keeper promises
//
// A message that PublishAsync has accepted leaves the queue when the server has acknowledged it, with QoS 1 and 2, or when
// its publisher was told why not. Without a journal the queue ends with the process. With one, PublishAsync returns when
// the message is on disk; after a crash, and after Run has ended, the next Keeper with the journal goes on.
//
// QoS 1 is at least once: what was on its way when the connection broke is sent again. QoS 2 is exactly once while the
// server keeps the session: the Keeper has packet identifiers and PUBREC in its journal before it acts on them, so not even
// kill -9 at the worst moment doubles a message. A server that has lost the session cannot know what it has got; then
// what it had taken (PUBREC) counts as delivered, and the rest is sent again.
//
// Messages of one QoS leave in the order in which they were accepted [MQTT-4.6.0-1].
//
// A server may hang up on a message each time that it comes. The Keeper finds out on which, by sending one at a time, and
// says so with [MessageStuck]; what has to happen then KeeperOptions.Abandon decides. By itself a Keeper gives up nothing.
//
// # Coming back
//
// After a loss, or when all servers have failed, a Keeper pauses: MinPause at first and then always twice as long up to
// MaxPause, each time shortened by a random part of up to a half, so that the clients of a server that restarts do not come
// back in one moment. A connection that outlived MaxPause makes the pauses short again; one that did not, does not, which
// is what keeps two clients with one identifier from throwing each other out several times a second.
//
// # Goroutines
//
// Dial starts two goroutines, one that reads and calls the handlers and one that writes and keeps the connection alive.
// Both end when the connection ends, for whatever reason; Close, Disconnect and Done wait for them. Run of a Keeper
// returns when all of its goroutines have ended.
package client
