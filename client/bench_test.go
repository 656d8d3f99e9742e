package client_test

import (
	"context"
	"testing"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
	"github.com/nightjarmq/nightjar/packet"
)

// BenchmarkPublish measures one publisher against mosquitto: with QoS 0 mostly this client, with QoS 1 and 2 mostly the
// server.
func BenchmarkPublish(b *testing.B) {
	broker := mosquittotest.Start(b, "max_inflight_messages 0\n")
	for qos, name := range []string{"qos0", "qos1", "qos2"} {
		b.Run(name, func(b *testing.B) {
			c, err := client.Dial(context.Background(), broker.URL, client.Options{Inflight: 1000})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			m := &packet.Publish{Topic: []byte("bench/topic"), QoS: byte(qos), Payload: make([]byte, 64)}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.PublishAsync(context.Background(), m, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
