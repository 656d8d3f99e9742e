package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/internal/access"
	"github.com/nightjarmq/nightjar/internal/auth"
	"github.com/nightjarmq/nightjar/internal/bridges"
	"github.com/nightjarmq/nightjar/internal/config"
	"github.com/nightjarmq/nightjar/internal/dynsec"
)

// fromFile makes the broker of a mosquitto.conf. The report says what became of
// each line.
func fromFile(path string, log *slog.Logger) (broker.Config, verdict, error) {
	c, r, err := config.Load(path)
	report := verdict{Report: r, conf: c}
	if err != nil {
		return broker.Config{}, report, err
	}
	if list := c.Refusals(); len(list) > 0 {
		return broker.Config{}, report, list
	}
	cfg := broker.Config{Log: log}
	limits(&cfg, c)
	persistence(&cfg, &c.Persistence)
	if report.rules, err = admission(&cfg, c); err != nil {
		return cfg, report, err
	}
	for i := range c.Listeners {
		l, reloader, err := listener(&c.Listeners[i])
		if err != nil {
			return cfg, report, err
		}
		if reloader != nil {
			report.certificates = append(report.certificates, reloader)
		}
		l.MaxHeader = max(c.Limits.HTTPHeader, 8<<10)
		cfg.Listeners = append(cfg.Listeners, l)
	}
	for _, a := range otherwise {
		report.Amend(a.keyword, a.fate, a.why)
	}
	warnOfSecrets(c, report.Report, log)
	return cfg, report, nil
}

// persistence says where the store is.
func persistence(cfg *broker.Config, p *config.Persistence) {
	switch {
	case !p.Enabled:
	case p.Own:
		cfg.Data = p.Dir
	default:
		cfg.Data = filepath.Join(p.Dir, "nightjar") // beside Mosquitto's own file
	}
	if p.Durability == "relaxed" {
		cfg.Durability = broker.Relaxed
	}
}

// verdict is what a file says beside the broker's configuration.
type verdict struct {
	*config.Report
	conf         *config.Config // what was read; nil after an error
	rules        *access.Rules  // of the files that conf names
	certificates []*config.Reloader
}

// otherwise are the keywords that act otherwise than in Mosquitto, or not at all,
// and why that is for good.
var otherwise = []struct {
	keyword string
	fate    config.Fate
	why     string
}{
	{"check_retain_source", config.Changed, "who may publish is decided when a message is published; a retained message stays until it is replaced, removed or expired"},
	{"memory_limit", config.Changed, "memory is collected earlier to stay below it; no message is refused for it"},
	{"retain_expiry_interval", config.Changed, "it acts as the Message Expiry Interval of retained messages"},
	{"set_tcp_nodelay", config.Ignored, "small packets are always sent at once, many of them together"},
	{"local_username", config.Ignored, "bridges need no account here"},
	{"local_password", config.Ignored, "bridges need no account here"},
	{"persistent_client_expiration", config.Changed, "it also bounds the Session Expiry Interval of 5.0 clients, which are told"},
}

// limits carries the limits over; both sides mean "default" by 0 and "none" by a
// negative number.
func limits(cfg *broker.Config, c *config.Config) {
	l := &c.Limits
	cfg.MaxInflight = uint16(min(max(l.MaxInflightMessages, 0), math.MaxUint16))
	if l.MaxInflightMessages < 0 {
		cfg.MaxInflight = math.MaxUint16
	}
	cfg.MaxQueuedMessages, cfg.MaxQueuedBytes = l.MaxQueuedMessages, l.MaxQueuedBytes
	cfg.DropOldest = l.DropOldest
	cfg.Queues = bridges.Queues(c)
	cfg.MaxPacketSize = l.MaxPacketSize
	cfg.MaxKeepAlive = max(l.MaxKeepAlive, 0)
	cfg.MaxSessionExpiry = max(l.PersistentClientExpiration, 0)
	cfg.NoRetain = l.NoRetain
	cfg.MaxPayload = max(l.MessageSizeLimit, 0)
	cfg.MaxInflightBytes = max(l.MaxInflightBytes, 0)
	cfg.MaxSessions, cfg.MaxConnections = max(l.MaxClients, 0), max(l.MaxConnections, 0)
	cfg.MaxUserSessions, cfg.MaxSubscriptions = max(l.MaxUserClients, 0), max(l.MaxSubscriptions, 0)
	cfg.MaxRetained, cfg.MaxRetainedBytes = max(l.MaxRetained, 0), max(l.MaxRetainedBytes, 0)
	cfg.ReceiveMaximum, cfg.LenientReceive = uint16(max(l.ReceiveMaximum, 0)), l.LenientReceive
	cfg.MaxConnectRate = max(l.ConnectRate, 0)
	cfg.QueueQoS0, cfg.UpgradeOutgoingQoS = l.QueueQoS0, l.UpgradeOutgoingQoS
	cfg.RetainExpiry = l.RetainExpiry
	cfg.SysInterval = c.SysInterval
}

// admission reads the password and ACL files of all listeners.
func admission(cfg *broker.Config, c *config.Config) (*access.Rules, error) {
	var was *dynsec.Security
	if d, ok := cfg.Commands.(*dynamic); ok {
		was = d.security
	}
	r, err := access.Load(c, was, cfg.Log)
	if err != nil {
		return nil, err
	}
	cfg.Auth, cfg.Access, cfg.Commands = nil, nil, nil
	if r.Gate != nil {
		cfg.Auth = bridges.Gate{Authenticator: r.Gate}
	}
	if r.Policy != nil {
		cfg.Access = bridges.Access{Access: r.Policy}
	}
	if r.Dynamic != nil {
		cfg.Commands = &dynamic{r.Dynamic, cfg.Log}
	}
	return r, nil
}

// dynamic takes the commands of dynamic security.
type dynamic struct {
	security *dynsec.Security
	log      *slog.Logger
}

func (d *dynamic) Takes(topic string) bool { return topic == dynsec.Topic }

func (d *dynamic) Refresh() error { return d.security.Refresh() }

func (d *dynamic) Carry(_ context.Context, c broker.Command) broker.Outcome {
	out := d.security.Command(c.Payload)
	if d.log != nil {
		for _, done := range out.Done {
			d.log.Info("dynsec: " + c.ClientID + "/" + c.User + " | " + done)
		}
	}
	return broker.Outcome{Answer: broker.Message{Topic: dynsec.Response, Payload: out.Answer}, Kick: out.Kick, Recheck: out.Changed}
}

// warnOfSecrets tells of private keys, and of passwords for other brokers, that
// everybody may read.
func warnOfSecrets(c *config.Config, r *config.Report, log *slog.Logger) {
	if log == nil {
		return
	}
	told := make(map[string]bool)
	warn := func(file, what string) {
		if open, err := auth.Exposed(file); err == nil && open && !told[file] {
			told[file] = true
			log.Warn("everybody on this machine may read "+what+": chmod 600 it", "file", file)
		}
	}
	for i := range c.Listeners {
		warn(c.Listeners[i].TLS.KeyFile, "the private key")
	}
	for i := range c.Bridges {
		warn(c.Bridges[i].TLS.KeyFile, "the private key of a bridge")
	}
	for i := range r.Entries {
		if e := &r.Entries[i]; e.Keyword == "remote_password" || e.Keyword == "password" {
			warn(e.Pos.File, "the configuration file, which has the password of a bridge")
		}
	}
}

// tellIgnored warns of the lines without effect.
func tellIgnored(log *slog.Logger, r *config.Report) {
	for i := range r.Entries {
		if e := &r.Entries[i]; e.Fate == config.Ignored {
			log.Warn("a line of the configuration has no effect", "line", e.Pos.String(), "text", e.Text, "why", e.Why)
		}
	}
}

// checkCommand prints what becomes of each line of a mosquitto.conf.
type checkCommand struct {
	File string `arg:"" help:"The mosquitto.conf." type:"path"`
}

func (k *checkCommand) run(io Streams) int {
	_, report, err := fromFile(k.File, nil)
	if report.Report != nil {
		for i := range report.Entries {
			fmt.Fprintln(io.Out, report.Entries[i])
		}
	}
	if err == nil {
		err = bridges.Check(report.conf)
	}
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitUsage
	}
	return exitOK
}

// convertCommand writes a mosquitto.conf as a nightjar.toml.
type convertCommand struct {
	File   string `arg:"" help:"The mosquitto.conf." type:"path"`
	Output string `short:"o" help:"Write the nightjar.toml to this file, which must not be there yet. Default: standard output." placeholder:"FILE" type:"path"`
}

func (k *convertCommand) run(io Streams) int {
	if err := k.convert(io); err != nil {
		fmt.Fprintf(io.Err, "nightjar: convert: %v\n", err)
		return exitUsage
	}
	return exitOK
}

func (k *convertCommand) convert(io Streams) error {
	c, report, err := config.Load(k.File)
	if err != nil {
		return err
	}
	text, err := config.Convert(c)
	if err != nil {
		return err
	}
	for i := range report.Entries {
		if e := &report.Entries[i]; e.Fate == config.Ignored {
			fmt.Fprintf(io.Err, "left out: %s\n", e)
		}
	}
	text = append([]byte("# The same as "+k.File+".\n\n"), text...)
	if k.Output == "" {
		_, err := io.Out.Write(text)
		return err
	}
	f, err := os.OpenFile(k.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // bridges may have passwords
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: remove it, or choose another name", k.Output)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// bridgeCommand is about bridges.
type bridgeCommand struct {
	Test bridgeTestCommand `cmd:"" help:"Show which topics would cross the bridges of a configuration file, and under which names. Nothing is sent."`
}

type bridgeTestCommand struct {
	File string   `arg:"" help:"The mosquitto.conf or nightjar.toml." type:"path"`
	Name []string `short:"t" sep:"none" help:"Show what becomes of this topic. Can be repeated." placeholder:"TOPIC"`
}

func (k *bridgeTestCommand) run(io Streams) int {
	if err := bridges.Show(io.Out, k.File, k.Name); err != nil {
		fmt.Fprintf(io.Err, "nightjar: %v\n", err)
		return exitUsage
	}
	return exitOK
}

// listenerName is how logs and access control name a listener.
func listenerName(l *config.Listener) string { return l.Address() }

// listener makes the broker's listener of a configured one. The Reloader serves
// its certificates; it is nil without TLS.
func listener(l *config.Listener) (broker.Listener, *config.Reloader, error) {
	b := broker.Listener{
		Name: listenerName(l), Network: l.Network(), Address: l.Address(), Device: l.Interface, Optional: l.Optional,
		WebSocket: l.Protocol == config.WebSocket, HTTPOnly: l.Protocol == config.HTTPAPI, AllowedOrigins: l.Origins,
		MaxConnections: max(l.MaxConnections, 0), Anonymous: l.Security.AllowAnonymous, RefuseVersions: l.RefuseVersions,
		MaxQoS: &l.MaxQoS, MaxTopicAlias: l.MaxTopicAlias, MaxTopicAliasOut: l.MaxTopicAliasOut,
		RefuseEmptyClientID: l.Security.RefuseEmptyClientID, ClientIDPrefix: l.Security.AutoIDPrefix,
		MountPoint: l.MountPoint, UserIsClientID: l.UsernameAsClientID,
		Proxy: broker.Proxy{Version: l.ProxyProtocol, RequireTLS: l.ProxyRequireTLS},
	}
	if b.Network == "unix" {
		b.UnixMode = fs.FileMode(0o666) // as Mosquitto: the folder guards it
	}
	if l.HTTPDir != "" {
		root, err := os.OpenRoot(l.HTTPDir) // nothing outside is served, not by a link either
		if err != nil {
			return b, nil, &config.Error{Pos: l.Pos, Word: "http_dir", Msg: fmt.Sprintf("open the directory: %v", err), Fix: "create it, or remove the line"}
		}
		b.HTTP = http.FileServerFS(root.FS())
	}
	r, err := config.TLSConfig(l)
	if err != nil || r == nil {
		return b, nil, err
	}
	b.TLS = r.Config
	return b, r, nil
}
