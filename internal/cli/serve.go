package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/nightjarmq/nightjar/broker"
)

// serveCommand runs the broker.
type serveCommand struct {
	Port int `short:"p" help:"Listen on this port of the loopback addresses instead of 1883." placeholder:"PORT"`
	listenFlags
	Verbose   bool   `short:"v" help:"Log more."`
	LogFormat string `enum:"text,json" default:"text" help:"text or json." placeholder:"FORMAT"`
}

func (s *serveCommand) run(ctx context.Context, version string, io Streams) int {
	if s.Port < 0 || s.Port > 65535 {
		fmt.Fprintf(io.Err, "nightjar: -p %d: a port is a number from 1 to 65535\n", s.Port)
		return exitUsage
	}
	cfg, err := s.config(io)
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitUsage
	}
	cfg.Version = version
	b, err := broker.New(cfg)
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitListener
	}
	s.greet(b, io)
	if err := b.Run(ctx); err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitListener
	}
	return exitOK
}

// config is what the command line asks for.
func (s *serveCommand) config(io Streams) (broker.Config, error) {
	cfg := broker.Config{Log: s.logger(io)}
	var err error
	if cfg.Listeners, err = s.listeners(); err != nil {
		return cfg, err
	}
	if s.Port != 0 || len(cfg.Listeners) == 0 {
		cfg.Listeners = append(s.local(), cfg.Listeners...)
	}
	return cfg, nil
}

// local are the listeners on the loopback addresses: on the port of -p, or on
// the standard ports of MQTT and MQTT over WebSocket.
func (s *serveCommand) local() (list []broker.Listener) {
	port, explicit := 1883, s.Port != 0
	if explicit {
		port = s.Port
	}
	for _, host := range loopbacks() {
		list = append(list, broker.Listener{Address: net.JoinHostPort(host, strconv.Itoa(port)), Anonymous: true})
	}
	if !explicit {
		list = append(list, broker.Listener{Address: "127.0.0.1:9001", WebSocket: true, Anonymous: true})
	}
	return list
}

// loopbacks are the loopback addresses that this machine has.
func loopbacks() []string {
	hosts := []string{"127.0.0.1"}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return hosts
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(net.IPv6loopback) {
			return append(hosts, "::1")
		}
	}
	return hosts
}

func (s *serveCommand) logger(io Streams) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if s.Verbose {
		o.Level = slog.LevelDebug
	}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(io.Err, o))
	}
	return slog.New(slog.NewTextHandler(io.Err, o))
}

// greet says where the broker listens and what to try.
func (s *serveCommand) greet(b *broker.Broker, io Streams) {
	try, found := "", false
	for i, a := range b.Addrs() {
		l := b.Listeners()[i]
		scheme := "mqtt"
		switch {
		case l.Network == "unix":
			scheme = "unix"
		case l.WebSocket:
			scheme = "ws"
		}
		if l.TLS != nil {
			scheme += "s"
		}
		fmt.Fprintf(io.Err, "listening on %s://%s\n", scheme, a)
		if tcp, ok := a.(*net.TCPAddr); ok && scheme == "mqtt" && !found {
			found = true
			if tcp.Port != 1883 {
				try = " -p " + strconv.Itoa(tcp.Port)
			}
		}
	}
	if found {
		fmt.Fprintf(io.Err, "try it in two other terminals:\n  nightjar sub%s -t 'hello/#' -v\n  nightjar pub%s -t hello/world -m 'good evening'\n", try, try)
	}
}
