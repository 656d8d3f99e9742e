package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nightjarmq/nightjar/internal/bench"
	"github.com/nightjarmq/nightjar/packet"
)

// benchCommand puts load on a broker.
type benchCommand struct {
	Scenario []string `arg:"" optional:"" help:"What to do: ${scenarios}, or all. Without one, they are explained."`

	URL      string   `name:"url" default:"mqtt://localhost:1883" help:"Where the broker listens: mqtt, mqtts, ws, wss or unix, as in wss://host:8084/mqtt. Default: ${default}." placeholder:"URL"`
	PID      int      `name:"pid" help:"Process of the broker on this machine, to measure its CPU time and memory." placeholder:"PID"`
	Protocol string   `short:"V" enum:"3.1.1,5," default:"" help:"Version of MQTT, 3.1.1 or 5." placeholder:"VERSION"`
	QoS      byte     `name:"qos" short:"q" help:"Quality of service, 0 to 2." placeholder:"QOS"`
	Username string   `short:"u" placeholder:"NAME" help:"Name of the user."`
	Password string   `short:"P" placeholder:"WORD" help:"Password of the user."`
	CAFile   string   `name:"cafile" help:"Certificates (PEM) to trust instead of the system's." placeholder:"FILE" type:"path"`
	Insecure bool     `help:"Do not verify the broker's certificate."`
	Source   []string `help:"Local address to connect from; several take turns. One address is good for some 28,000 connections." placeholder:"ADDRESS"`
	Prefix   string   `help:"First level of all topics, and beginning of client identifiers. Default: made up." placeholder:"TEXT"`

	Messages    *int           `short:"n" help:"How many messages to publish, or connections to make." placeholder:"N"`
	Connections *int           `short:"c" help:"How many publishers, pairs or connections." placeholder:"N"`
	Subscribers *int           `short:"s" help:"How many subscribers, or subscriptions." placeholder:"N"`
	Window      *int           `short:"w" help:"How many messages of one publisher may be on their way; 1 is ping-pong." placeholder:"N"`
	Size        *int           `help:"Bytes of a payload, at least 24. Default: 64." placeholder:"BYTES"`
	Rate        *int           `help:"Messages a second (paced)." placeholder:"N"`
	Durable     bool           `help:"Sessions of subscribers outlive their connections."`
	Hold        *time.Duration `help:"How long idle connections stay silent." placeholder:"TIME"`
	Quiet       *time.Duration `help:"Give up on messages when nothing has moved for so long. Default: 10s." placeholder:"TIME"`
	JSON        bool           `name:"json" help:"Print a JSON object for each scenario, on a line."`
}

// run returns exitFailed when a scenario failed or a message was lost, came twice or out of order.
func (c *benchCommand) run(ctx context.Context, s Streams) int {
	names := c.Scenario
	if len(names) == 0 {
		explainScenarios(s.Out)
		return exitOK
	}
	if names[0] == "all" {
		names = strings.Split(scenarioNames(), ", ")
	}
	o, err := c.options()
	if err == nil {
		err = c.refuseZero(names)
	}
	if err != nil {
		fmt.Fprintf(s.Err, "nightjar: bench: %v\n", err)
		return exitUsage
	}
	line := newProgress(s.Err)
	o.Progress = line.show
	code := exitOK
	for _, name := range names {
		o.Scenario = name
		report, err := bench.Run(ctx, o)
		line.clear()
		if ctx.Err() != nil {
			fmt.Fprintf(s.Err, "nightjar: bench: %s: interrupted\n", name)
			return exitFailed
		}
		if err != nil {
			fmt.Fprintf(s.Err, "nightjar: bench: %v%s\n", err, c.whereElse(err))
			return exitFailed
		}
		report.Notes = append(report.Notes, explainLoss(report)...)
		if c.JSON {
			err = json.NewEncoder(s.Out).Encode(report)
		} else {
			err = report.Write(s.Out)
		}
		if err != nil {
			return exitFailed
		}
		if !report.Clean() {
			code = exitFailed
		}
	}
	return code
}

// whereElse says what to do when nothing listens.
func (c *benchCommand) whereElse(err error) string {
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return ""
	}
	return fmt.Sprintf(" (nothing listens at %s: --url says where the broker is)", c.URL)
}

// explainLoss says what may be behind messages that were lost because they had to wait.
func explainLoss(r *bench.Report) []string {
	if r.Scenario != "offline" || !slices.ContainsFunc(r.Steps, func(s bench.Step) bool { return s.Lost > 0 }) {
		return nil
	}
	return []string{"brokers drop what is above the limit of a client's queue: max_queued_messages, which is 1000 in mosquitto " +
		"unless its configuration says more; queued_messages (100000) and queued_bytes (64MiB) in Nightjar"}
}

// given is what a flag says; 0 if it was not given, which stands for the scenario's own.
func given[T any](flag *T) (v T) {
	if flag != nil {
		v = *flag
	}
	return v
}

// refuseZero refuses a 0 that would be taken for a flag that was not given.
func (c *benchCommand) refuseZero(names []string) error {
	for _, s := range bench.Scenarios() {
		if !slices.Contains(names, s.Name) {
			continue
		}
		d := &s.Defaults
		for _, f := range []struct {
			flag    string
			given   *int
			without int
		}{
			{"-n", c.Messages, d.Messages}, {"-c", c.Connections, d.Connections}, {"-s", c.Subscribers, d.Subscribers},
			{"-w", c.Window, d.Window}, {"--size", c.Size, bench.DefaultSize}, {"--rate", c.Rate, d.Rate},
		} {
			if f.given != nil && *f.given == 0 && f.without != 0 {
				return fmt.Errorf("%s 0 is nothing that %s could do: give more, or leave it out for %d", f.flag, s.Name, f.without)
			}
		}
		if c.Hold != nil && *c.Hold <= 0 && d.Hold > 0 {
			return fmt.Errorf("--hold %v: give more, or leave it out for %v", *c.Hold, d.Hold)
		}
	}
	if c.Quiet != nil && *c.Quiet <= 0 {
		return fmt.Errorf("--quiet %v would give up at once: give more, or leave it out for %v", *c.Quiet, bench.DefaultQuiet)
	}
	return nil
}

func (c *benchCommand) options() (bench.Options, error) {
	o := bench.Options{
		URL: c.URL, PID: c.PID, QoS: c.QoS, Username: c.Username, Password: c.Password, Prefix: c.Prefix, Sources: c.Source,
		Messages: given(c.Messages), Connections: given(c.Connections), Subscribers: given(c.Subscribers), Window: given(c.Window),
		Size: given(c.Size), Rate: given(c.Rate), Durable: c.Durable, Hold: given(c.Hold), Quiet: given(c.Quiet),
	}
	switch c.Protocol {
	case "3.1.1":
		o.Version = packet.V311
	case "5":
		o.Version = packet.V5
	}
	if strings.ContainsAny(c.Prefix, "+#/") {
		return o, errors.New("--prefix is one level of a topic: no +, # or / in it")
	}
	if c.CAFile == "" && !c.Insecure {
		return o, nil
	}
	config, err := (&tlsOptions{caFile: c.CAFile}).config()
	if err != nil {
		return o, err
	}
	config.InsecureSkipVerify = c.Insecure
	o.TLS = config
	return o, nil
}

func scenarioNames() string {
	var names []string
	for _, s := range bench.Scenarios() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func explainScenarios(w io.Writer) {
	fmt.Fprint(w, "nightjar bench SCENARIO... puts load on a broker and checks every message.\n\n")
	for _, s := range bench.Scenarios() {
		fmt.Fprintf(w, "  %-9s %s\n", s.Name, s.About)
		d := &s.Defaults
		var set []string
		for _, f := range []struct {
			flag string
			n    int
		}{{"-n", d.Messages}, {"-c", d.Connections}, {"-s", d.Subscribers}, {"-w", d.Window}, {"--rate", d.Rate}, {"-q", int(d.QoS)}} {
			if f.n > 0 {
				set = append(set, fmt.Sprintf("%s %d", f.flag, f.n))
			}
		}
		fmt.Fprintf(w, "            (%s)\n", strings.Join(set, ", "))
	}
	fmt.Fprint(w, "\nnightjar bench --help lists the options.\n")
}

// progress is a line on a terminal that is written again and again.
type progress struct {
	w       io.Writer // nil: not a terminal
	written bool
}

func newProgress(w io.Writer) *progress {
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return &progress{w: w}
		}
	}
	return &progress{}
}

func (p *progress) show(step string, done, of int64) {
	if p.w == nil || of == 0 {
		return
	}
	p.written = true
	fmt.Fprintf(p.w, "\r\x1b[K%s: %d of %d (%d %%)", step, done, of, 100*done/of)
}

func (p *progress) clear() {
	if p.written {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.written = false
	}
}
