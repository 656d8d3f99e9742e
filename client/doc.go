// Package client is an MQTT client for 3.1, 3.1.1 and 5.0 over TCP, TLS, WebSocket and Unix sockets.
//
// It knows one connection ([Client]) and the state that may outlive it ([Session]), and it obeys the rules for clients:
// QoS 1 and 2 handshakes, quotas, aliases, keep-alive. It never knows brokers, files or command lines, and it does not
// reconnect by itself: whoever wants that dials again with the same Session.
//
//	c, err := client.Dial(ctx, "mqtt://localhost", client.Options{})
//	if err != nil { ... }
//	defer c.Close()
//	_, err = c.Subscribe(ctx, client.To("sensors/#", 1), func(ctx context.Context, m *packet.Publish) {
//		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
//	})
//	err = c.Publish(ctx, &packet.Publish{Topic: []byte("sensors/1"), QoS: 1, Payload: []byte("21.5")})
//
// # Goroutines
//
// Dial starts two goroutines, one that reads and calls the handlers and one that writes and keeps the connection alive.
// Both end when the connection ends, for whatever reason; Close, Disconnect and Done wait for them.
//
// # Back-pressure
//
// Handlers run one after the other, in the order of the messages, on the reading goroutine. A message is acknowledged
// after its handlers have returned. While a handler runs nothing is read, so a slow handler slows the server down through
// TCP and no queue grows in between. The price is that a handler must not wait for this client: [ErrInHandler] tells.
package client
