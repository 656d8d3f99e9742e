// Package broker is the MQTT broker as a library: make one from a [Config], run
// it, publish and subscribe from within the process.
//
//	b, err := broker.New(broker.Config{
//		Listeners: []broker.Listener{{Address: "127.0.0.1:1883", Anonymous: true}},
//	})
//	if err != nil { ... }
//	err = b.Run(ctx) // until ctx ends
//
// It wires the parts (transport, connections, hub, store) and does nothing that
// a part could do.
package broker
