package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/config"
)

// serveCommand runs the broker.
type serveCommand struct {
	Port []portNumber `short:"p" sep:"none" help:"Listen on this port of the loopback addresses instead of 1883, and not for WebSocket. Can be repeated. With -c, a file that names listeners wins." placeholder:"PORT"`
	listenFlags
	Config     string `short:"c" help:"Take everything from this mosquitto.conf or nightjar.toml; see also nightjar check." placeholder:"FILE" type:"path"`
	Data       string `help:"Directory of what survives a restart: sessions, queues, retained messages. Default: nightjar in the user's data directory." placeholder:"DIR"`
	Durability string `enum:"sync,relaxed,none," default:"" help:"When something counts as stored: sync (default), after its fsync; relaxed, a crash or a power cut may cost the last 100 ms; none, everything in memory, and nothing survives a restart." placeholder:"HOW"`
	Verbose    bool   `short:"v" help:"Log everything, every packet too."`
	Quiet      bool   `short:"q" help:"Log nothing."`
	Daemon     bool   `short:"d" help:"Go into the background."`
	TestConfig bool   `help:"Say whether the file of -c can be used, and end."`
	TLSKeylog  string `name:"tls-keylog" help:"Append the secrets of all TLS sessions to this file, to decrypt recorded traffic with." placeholder:"FILE"`
	LogFormat  string `enum:"text,json," default:"" help:"Write the log as text or json." placeholder:"FORMAT"`

	// asMosquitto: the program was called by Mosquitto's name, so it says what that
	// says, and no more.
	asMosquitto bool
}

// plan is what a start or a reload is to do.
type plan struct {
	cfg broker.Config
	verdict
	log config.Log
}

// plan is what the command line and the file of -c ask for now.
func (s *serveCommand) plan(io Streams, log *slog.Logger) (*plan, error) {
	p := &plan{cfg: broker.Config{Log: log}, log: s.defaultLog()}
	if s.Config != "" {
		return p, s.configured(p, io)
	}
	if s.asMosquitto { // local only, in memory
		p.cfg.Listeners = s.local()
		return p, nil
	}
	var err error
	if p.cfg.Listeners, err = s.listeners(); err != nil {
		return nil, err
	}
	if p.cfg.Data, err = s.data(io); err != nil {
		return nil, err
	}
	if s.Durability == "relaxed" {
		p.cfg.Durability = broker.Relaxed
	}
	p.cfg.Progress = s.progress(io)
	if len(s.Port) != 0 || len(p.cfg.Listeners) == 0 {
		p.cfg.Listeners = append(s.local(), p.cfg.Listeners...)
	}
	return p, nil
}

// configured is what the file of -c asks for. --data puts the store elsewhere,
// and --durability none leaves it out.
func (s *serveCommand) configured(p *plan, io Streams) error {
	if len(s.Listen) > 0 || s.AllowAnonymous || s.Cert != "" || s.Key != "" {
		return errors.New("-c goes without --listen, --allow-anonymous, --cert and --key: the file says where to listen and whom to let in")
	}
	var err error
	if p.cfg, p.verdict, err = fromFile(s.Config, p.cfg.Log); err != nil {
		return err
	}
	p.log = p.conf.Log
	s.override(&p.log)
	tellIgnored(p.cfg.Log, p.Report)
	if len(s.Port) > 0 && p.conf.LocalOnly {
		p.cfg.Listeners = s.onPorts(p.cfg.Listeners)
	}
	if s.Data != "" || s.Durability == "none" {
		if p.cfg.Data, err = s.data(io); err != nil {
			return err
		}
	}
	switch s.Durability {
	case "relaxed":
		p.cfg.Durability = broker.Relaxed
	case "sync":
		p.cfg.Durability = broker.Sync
	}
	p.cfg.Progress = s.progress(io)
	return nil
}

// onPorts moves the listeners of the loopback addresses to the ports of -p.
func (s *serveCommand) onPorts(local []broker.Listener) (list []broker.Listener) {
	for _, p := range s.Port {
		for _, l := range local {
			if host, _, err := net.SplitHostPort(l.Address); err == nil {
				l.Address = net.JoinHostPort(host, strconv.Itoa(int(p)))
			}
			list = append(list, l)
		}
	}
	return list
}

// defaultLog is the log without a file of -c.
func (s *serveCommand) defaultLog() config.Log {
	l := config.Log{Stderr: true, Types: config.LogDefault, Facility: -1}
	if s.Config == "" && !s.asMosquitto {
		l.TimestampFormat = config.ForPeople
	}
	s.override(&l)
	return l
}

// override applies -v and -q.
func (s *serveCommand) override(l *config.Log) {
	if s.LogFormat != "" {
		l.JSON = s.LogFormat == "json"
	}
	if s.Verbose {
		l.Types = config.LogAll
	}
	if s.Quiet {
		l.Types = config.LogNone
	}
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

// local are the listeners on the loopback addresses: on the ports of -p, or on
// the standard ports of MQTT and, unless we stand for Mosquitto, MQTT over
// WebSocket.
func (s *serveCommand) local() (list []broker.Listener) {
	ports := s.Port
	if len(ports) == 0 {
		ports = []portNumber{1883}
	}
	for _, port := range ports {
		for _, host := range loopbacks() {
			list = append(list, broker.Listener{Address: net.JoinHostPort(host, strconv.Itoa(int(port))), Anonymous: true})
		}
	}
	if len(s.Port) == 0 && !s.asMosquitto {
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

// greet says where the broker listens and what to try.
func (s *serveCommand) greet(b *broker.Broker, io Streams) {
	try, metrics, found := "", "", false
	command := commandName(io)
	for _, l := range b.Listening() {
		a := l.Addr
		scheme := "mqtt"
		switch {
		case l.Network == "unix":
			scheme = "unix"
		case l.WebSocket:
			scheme = "ws"
			if l.HTTP != nil && l.TLS == nil {
				metrics = fmt.Sprintf("metrics at http://%s/metrics\n", a)
			}
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
	fmt.Fprint(io.Err, metrics)
	if b.Data() != "" {
		fmt.Fprintf(io.Err, "keeping data in %s\n", b.Data())
	} else {
		fmt.Fprintln(io.Err, "keeping everything in memory")
	}
	if found {
		fmt.Fprintf(io.Err, "try it in two other terminals:\n  %s sub%s -t 'hello/#' -v\n  %s pub%s -t hello/world -m 'good evening'\n", command, try, command, try)
	}
}

// commandName is how this program can be called again: go run makes one that is
// gone when it ends.
func commandName(io Streams) string {
	if self, err := os.Executable(); err == nil && strings.Contains(filepath.ToSlash(self), "/go-build") {
		return "go run ./cmd/nightjar"
	}
	return "nightjar"
}
