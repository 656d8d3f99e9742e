// Command mochi is a broker made of github.com/mochi-mqtt/server, to be measured beside Nightjar: everybody may do
// everything, nothing is kept on disk, and its limits are raised so that it is measured at its best.
package main

import (
	"flag"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	tcp := flag.String("tcp", "127.0.0.1:1883", "address for plain connections")
	flag.Parse()
	if err := serve(*tcp); err != nil {
		log.Fatal(err)
	}
}

func serve(tcp string) error {
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.ReceiveMaximum = 65535
	capabilities.MaximumInflight = 65535
	capabilities.MaximumClientWritesPending = 64 << 10
	s := mqtt.New(&mqtt.Options{Capabilities: capabilities, Logger: slog.New(slog.DiscardHandler)})
	if err := s.AddHook(new(auth.AllowHook), nil); err != nil {
		return err
	}
	if err := s.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: tcp})); err != nil {
		return err
	}
	if err := s.Serve(); err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	<-end
	return s.Close()
}
