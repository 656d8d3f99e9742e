package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/admin"
	"github.com/nightjarmq/nightjar/internal/bridges"
	"github.com/nightjarmq/nightjar/internal/heap"
	"github.com/nightjarmq/nightjar/internal/logging"
	"github.com/nightjarmq/nightjar/internal/systemd"
)

// service is a broker that runs until a signal ends it.
type service struct {
	cmd     *serveCommand
	version string
	io      Streams
	log     *logging.Log
	say     *slog.Logger
	b       *broker.Broker
	keys    *os.File // of --tls-keylog, else nil
	api     *admin.API
	bridges *bridges.Bridges

	mu   sync.Mutex // held by who reloads
	plan *plan      // what holds
}

func (s *serveCommand) run(ctx context.Context, version string, io Streams) int {
	log, err := logging.Open(logging.Options{Log: s.defaultLog(), Stdout: io.Out, Stderr: io.Err, Name: s.name()})
	if err != nil {
		fmt.Fprintf(io.Err, "%s: %v\n", s.name(), err)
		return exitUsage
	}
	defer log.Close()
	v := &service{cmd: s, version: version, io: io, log: log, say: log.Logger(), bridges: bridges.New(log.Logger())}
	v.api = admin.New(version, v.bridges.WriteMetrics)
	if v.plan, err = s.plan(io, v.say); err != nil {
		fmt.Fprintf(io.Err, "%s: %v\n", s.name(), err)
		return exitUsage
	}
	if s.TestConfig {
		fmt.Fprintln(io.Out, "Configuration file is OK.")
		return exitOK
	}
	if s.Daemon && io.Env(inBackground) == "" {
		return background(s.name(), io)
	}
	if err := log.Reconfigure(v.plan.log); err != nil {
		fmt.Fprintf(io.Err, "%s: %v\n", s.name(), err)
		return exitUsage
	}
	if err := v.serve(ctx); err != nil {
		v.say.Error("Error: "+logging.OneLine(err), "event", "failed")
		return exitListener
	}
	return exitOK
}

// inBackground is set in the environment of the process that -d has started.
const inBackground = "NIGHTJAR_BACKGROUND"

// name is how the program calls itself in messages.
func (s *serveCommand) name() string {
	if s.asMosquitto {
		return "mosquitto"
	}
	return "nightjar"
}

// serve runs the broker until ctx ends.
func (v *service) serve(ctx context.Context) error {
	manager, err := systemd.Open(v.io.Env)
	if err == nil {
		err = adopt(&v.plan.cfg, v.io.Env)
	}
	if err == nil {
		err = v.openKeylog()
	}
	if err != nil {
		return err
	}
	v.announce("starting")
	v.offerAPI(v.plan.cfg.Listeners)
	cfg := v.plan.cfg
	cfg.Version, cfg.Control, cfg.Explain, cfg.Bound = v.version, true, v.explain, v.bound
	if v.b, err = broker.New(cfg); err != nil {
		return err
	}
	v.api.Attach(v.b)
	list, err := v.bridges.Plan(v.b, v.plan.conf)
	if err != nil {
		return err
	}
	if c := v.plan.conf; c != nil && c.PIDFile != "" {
		defer os.Remove(c.PIDFile)
	}
	if v.cmd.Config == "" && !v.cmd.asMosquitto {
		v.cmd.greet(v.b, v.io)
	}
	defer v.attend(ctx)()
	defer tellManager(ctx, v.b, manager)()
	defer keepHeap(ctx)()
	serving, end := v.bridges.Run(ctx, v.b, list)
	defer end()
	v.announce("running")
	err = v.b.Run(serving)
	v.announce("terminating")
	return err
}

// announce says what the broker does, in Mosquitto's words. People who try it at a
// terminal are greeted instead.
func (v *service) announce(what string) {
	if v.cmd.Config == "" && !v.cmd.asMosquitto {
		return
	}
	v.say.Info("nightjar version "+v.version+" "+what, "event", what)
	switch {
	case what == "running" && v.b.Data() != "":
		v.say.Info("Keeping data in "+v.b.Data()+".", "event", "data")
	case what == "running":
		v.say.Info("Keeping everything in memory: nothing outlives a restart.", "event", "data")
	case what == "starting" && v.cmd.Config == "":
		v.say.Info("Using default config.", "event", "config")
	case what == "starting":
		v.say.Info("Config loaded from "+v.cmd.Config+".", "event", "config")
	}
	if c := v.plan.conf; what == "starting" && (c == nil || c.LocalOnly) {
		v.say.Info("Starting in local only mode. Connections will only be possible from clients running on this machine.", "event", "config")
		v.say.Info("Create a configuration file which defines a listener to allow remote access.", "event", "config")
	}
}

// bound is called when the listeners are bound: the last moment as root.
func (v *service) bound() error {
	if v.cmd.Config != "" || v.cmd.asMosquitto {
		for i := range v.plan.cfg.Listeners {
			v.say.Info(opening(&v.plan.cfg.Listeners[i]), "event", "listener")
		}
	}
	c := v.plan.conf
	if c == nil {
		return v.boundWithout()
	}
	if c.Limits.Memory > 0 {
		debug.SetMemoryLimit(int64(c.Limits.Memory))
	}
	if c.PIDFile != "" {
		if err := os.WriteFile(c.PIDFile, fmt.Appendf(nil, "%d", os.Getpid()), 0o644); err != nil {
			return fmt.Errorf("write pid_file: %w", err)
		}
	}
	if err := becomeUser(c.User, v.say, v.plan.cfg.Data, c.Log.File, c.PIDFile); err != nil {
		return err
	}
	v.api.NoteRights()
	v.warnOfUnreadable()
	return nil
}

// boundWithout is bound without a file of -c. As Mosquitto the broker becomes the user that this
// would become. Else it stays who has started it: the data is where that user's data is.
func (v *service) boundWithout() error {
	user := "root"
	if v.cmd.asMosquitto {
		user = ""
	}
	err := becomeUser(user, v.say)
	v.api.NoteRights()
	return err
}

// warnOfUnreadable tells of files that root has read and that the broker's user
// cannot read again when they change.
func (v *service) warnOfUnreadable() {
	if v.plan.rules == nil {
		return
	}
	for _, path := range v.plan.rules.Files() {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrPermission) {
			v.say.Warn("this file cannot be read again when it changes: let the user that the broker runs as read it, as with chown", "file", path)
		} else if err == nil {
			f.Close()
		}
	}
}

// opening is Mosquitto's sentence about a listener.
func opening(l *broker.Listener) string {
	if l.Network == "unix" {
		return "Opening unix listen socket on path " + l.Address + "."
	}
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return "Opening listen socket " + l.Address + "."
	}
	kind := "ipv4"
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil || l.Network == "tcp6" {
		kind = "ipv6"
	}
	switch {
	case l.HTTPOnly:
		kind = "http api"
	case l.WebSocket:
		kind = "websockets"
	}
	return "Opening " + kind + " listen socket on port " + port + "."
}

// offerAPI serves the HTTP API at the listeners of a file that are for it, and
// without a file at those for WebSocket that only this machine can reach.
func (v *service) offerAPI(list []broker.Listener) {
	for i := range list {
		l := &list[i]
		if l.HTTPOnly || v.cmd.Config == "" && l.WebSocket && isLocal(*l) {
			l.HTTP = v.api.Handler(admin.Listener{Name: l.Name, Anonymous: l.Anonymous, Files: l.HTTP})
		}
	}
}

// openKeylog makes TLS write down its secrets.
func (v *service) openKeylog() (err error) {
	if v.cmd.TLSKeylog == "" {
		return nil
	}
	v.keys, err = os.OpenFile(v.cmd.TLSKeylog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--tls-keylog: %w", err)
	}
	v.logKeys(v.plan.cfg.Listeners)
	v.say.Warn("the secrets of all TLS sessions are written to a file: who can read it can read the traffic", "file", v.cmd.TLSKeylog)
	return nil
}

func (v *service) logKeys(list []broker.Listener) {
	if v.keys == nil {
		return
	}
	for i := range list {
		if ask := list[i].TLS; ask != nil {
			list[i].TLS = func() *tls.Config {
				c := ask().Clone()
				c.KeyLogWriter = v.keys
				return c
			}
		}
	}
}

// keepHeap sets the garbage collector for a broker until the function that it returns is called.
func keepHeap(ctx context.Context) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { heap.Keep(ctx, heap.Room) })
	return func() {
		stop()
		keeping.Wait()
	}
}
