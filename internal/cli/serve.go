package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/systemd"
)

// serveCommand runs the broker.
type serveCommand struct {
	Port portNumber `short:"p" help:"Listen on this port of the loopback addresses instead of 1883, and not for WebSocket." placeholder:"PORT"`
	listenFlags
	Config     string `short:"c" help:"Take everything from this mosquitto.conf; see also nightjar check." placeholder:"FILE" type:"path"`
	Data       string `help:"Directory of what survives a restart: sessions, queues, retained messages. Default: nightjar in the user's data directory." placeholder:"DIR"`
	Durability string `enum:"sync,relaxed,none" default:"sync" help:"When something counts as stored: sync (default), after its fsync; relaxed, a crash or a power cut may cost the last 100 ms; none, everything in memory, and nothing survives a restart." placeholder:"HOW"`
	Verbose    bool   `short:"v" help:"Log details that help to find a fault."`
	level      slog.LevelVar
	LogFormat  string `enum:"text,json" default:"text" help:"Write the log as text (default) or json." placeholder:"FORMAT"`
}

func (s *serveCommand) run(ctx context.Context, version string, io Streams) int {
	cfg, err := s.config(io)
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitUsage
	}
	manager, err := systemd.Open(io.Env)
	if err == nil {
		err = adopt(&cfg, io.Env)
	}
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitListener
	}
	cfg.Version, cfg.Control = version, true
	b, err := broker.New(cfg)
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitListener
	}
	s.greet(b, io)
	defer tellManager(ctx, b, manager)()
	if err := b.Run(ctx); err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitListener
	}
	return exitOK
}

// config is what the command line asks for.
func (s *serveCommand) config(io Streams) (broker.Config, error) {
	cfg := broker.Config{Log: s.logger(io)}
	if s.Config != "" {
		return s.configured(io, cfg.Log)
	}
	var err error
	if cfg.Listeners, err = s.listeners(); err != nil {
		return cfg, err
	}
	if cfg.Data, err = s.data(io); err != nil {
		return cfg, err
	}
	if s.Durability == "relaxed" {
		cfg.Durability = broker.Relaxed
	}
	cfg.Progress = s.progress(io)
	if s.Port != 0 || len(cfg.Listeners) == 0 {
		cfg.Listeners = append(s.local(), cfg.Listeners...)
	}
	return cfg, nil
}

// configured is what the file of -c asks for. --data puts the store elsewhere,
// and --durability none leaves it out.
func (s *serveCommand) configured(io Streams, log *slog.Logger) (broker.Config, error) {
	if len(s.Listen) > 0 || s.Port != 0 || s.AllowAnonymous || s.Cert != "" || s.Key != "" {
		return broker.Config{}, errors.New("-c goes without -p, --listen, --allow-anonymous, --cert and --key: the file says where to listen and whom to let in")
	}
	cfg, report, err := fromFile(s.Config, log)
	if err != nil {
		return cfg, err
	}
	if !s.Verbose {
		s.level.Set(report.level)
	}
	tellIgnored(log, report.Report)
	if s.Data != "" || s.Durability == "none" {
		if cfg.Data, err = s.data(io); err != nil {
			return cfg, err
		}
	}
	if s.Durability == "relaxed" {
		cfg.Durability = broker.Relaxed
	}
	return cfg, nil
}

// data is the directory of the store; "" keeps everything in memory.
func (s *serveCommand) data(io Streams) (string, error) {
	switch {
	case s.Durability == "none" && s.Data != "":
		return "", fmt.Errorf("--data %s: nothing is written there with --durability none: leave one of them out", s.Data)
	case s.Durability == "none":
		return "", nil
	case s.Data != "":
		return s.Data, nil
	}
	if dir := io.Env("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "nightjar"), nil
	}
	home := io.Env("HOME")
	if runtime.GOOS == "windows" {
		if dir := io.Env("LOCALAPPDATA"); dir != "" {
			return filepath.Join(dir, "nightjar"), nil
		}
	}
	if home == "" {
		return "", errors.New("there is no home directory to keep data in: name a directory with --data, or keep everything in memory with --durability none")
	}
	return filepath.Join(home, ".local", "share", "nightjar"), nil
}

// progress shows on a terminal how far a long start has come.
func (s *serveCommand) progress(io Streams) func(sessions, messages int) {
	f, ok := io.Err.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func(sessions, messages int) {
		if messages >= 10_000 {
			fmt.Fprintf(io.Err, "\rreading the store: %d sessions, %d messages\n", sessions, messages)
		}
	}
}

// local are the listeners on the loopback addresses: on the port of -p, or on
// the standard ports of MQTT and MQTT over WebSocket.
func (s *serveCommand) local() (list []broker.Listener) {
	port, explicit := 1883, s.Port != 0
	if explicit {
		port = int(s.Port)
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

// shortErrors keeps the stack traces out of the log that some errors print.
func shortErrors(_ []string, a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok {
		a.Value = slog.StringValue(err.Error())
	}
	return a
}

func (s *serveCommand) logger(io Streams) *slog.Logger {
	o := &slog.HandlerOptions{Level: &s.level, ReplaceAttr: shortErrors}
	if s.Verbose {
		s.level.Set(slog.LevelDebug)
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
		fmt.Fprintf(io.Err, "listening on %s://%s%s\n", scheme, a, l.WebSocketPath)
		if tcp, ok := a.(*net.TCPAddr); ok && scheme == "mqtt" && !found {
			found = true
			if tcp.Port != 1883 {
				try = " -p " + strconv.Itoa(tcp.Port)
			}
		}
	}
	if b.Data() != "" {
		fmt.Fprintf(io.Err, "keeping data in %s\n", b.Data())
	} else {
		fmt.Fprintln(io.Err, "keeping everything in memory")
	}
	if found {
		fmt.Fprintf(io.Err, "try it in two other terminals:\n  nightjar sub%s -t 'hello/#' -v\n  nightjar pub%s -t hello/world -m 'good evening'\n", try, try)
	}
}
