package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/nightjarmq/nightjar/internal/access"
	"github.com/nightjarmq/nightjar/internal/bridges"
	"github.com/nightjarmq/nightjar/internal/config"
	"github.com/nightjarmq/nightjar/internal/control"
)

// explainCommand says why a client may do something or not: from the files of a
// configuration, or as the running broker decides.
type explainCommand struct {
	Client string `arg:"" help:"Client identifier."`
	Action string `arg:"" enum:"publish,subscribe,receive" help:"publish, subscribe or receive."`
	Topic  string `arg:"" help:"The topic; for subscribe a filter."`

	Config   string `short:"c" help:"Decide from the files that this mosquitto.conf or nightjar.toml names. Without it the running broker is asked." placeholder:"FILE" type:"path"`
	User     string `short:"u" help:"User name. Default: the one the client has connected with; offline, the client identifier if there is such a user." placeholder:"NAME"`
	Listener string `short:"l" help:"Address or port of the listener. Default: where the client is connected, else the first." placeholder:"ADDRESS"`
	QoS      byte   `name:"qos" short:"q" help:"QoS of the message or subscription."`
	Bytes    int    `help:"Bytes of the message."`
	Retain   bool   `short:"r" help:"The message is retained."`
	dataFlag
}

func (k *explainCommand) run(ctx context.Context, io Streams) int {
	a, err := k.ask(ctx, io)
	if err != nil {
		fmt.Fprintf(io.Err, "nightjar: explain: %v\n", err)
		return exitUsage
	}
	for _, line := range a.Lines {
		fmt.Fprintln(io.Out, line)
	}
	if !a.Allowed {
		return exitFailed
	}
	return exitOK
}

func (k *explainCommand) ask(ctx context.Context, io Streams) (*control.Answer, error) {
	q := &control.Question{Client: k.Client, User: k.User, Listener: k.Listener, Action: k.Action, Topic: k.Topic, QoS: k.QoS, Bytes: k.Bytes, Retain: k.Retain}
	if k.Config != "" {
		c, report, err := config.Load(k.Config)
		if err != nil {
			return nil, err
		}
		r, err := access.Load(c, nil, nil)
		if err != nil {
			return nil, err
		}
		return explain(r, report, q)
	}
	data, err := k.dir(io)
	if err != nil {
		return nil, err
	}
	a, err := control.Explain(ctx, data, q)
	if errors.Is(err, control.ErrNotRunning) {
		return nil, fmt.Errorf("%s: %w: name its directory with --data, or the configuration with -c", data, err)
	}
	return a, err
}

// explain answers from the rules.
func explain(r *access.Rules, report *config.Report, q *control.Question) (*control.Answer, error) {
	action, err := access.ParseAction(q.Action)
	if err != nil {
		return nil, err
	}
	a, err := r.Explain(access.Question{
		Client: q.Client, User: q.User, Listener: q.Listener, Action: action, Topic: q.Topic, QoS: q.QoS, Bytes: q.Bytes, Retain: q.Retain,
	}, report)
	if err != nil {
		return nil, err
	}
	return &control.Answer{Allowed: a.Allowed, Lines: a.Lines}, nil
}

// explain answers as the broker would decide now. A client that it knows is taken
// as it is.
func (v *service) explain(q *control.Question) (*control.Answer, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.plan.rules == nil {
		return &control.Answer{Allowed: true, Lines: []string{"allowed: the broker runs without a configuration file, so there is no access control list"}}, nil
	}
	known := ""
	if user, listener, ok := v.b.Client(q.Client); ok {
		known = "the client has a session"
		if user == bridges.User { // the rules know it by its identifier, and it has no listener
			user, listener = "", ""
		}
		if q.User == "" {
			q.User = user
		}
		if q.Listener == "" && listener != "" {
			known = "the client is connected"
			q.Listener = listener
		}
	}
	a, err := explain(v.plan.rules, v.plan.Report, q)
	if err == nil && known != "" {
		a.Lines = append([]string{known}, a.Lines...)
	}
	return a, err
}
