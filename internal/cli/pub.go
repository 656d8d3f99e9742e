package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// Pub is the command pub, which takes the options of mosquitto_pub. It returns the exit status: 0, the CONNACK code of a
// server that refuses, 7 when the connection is lost, 1 for everything else.
func Pub(ctx context.Context, args []string, io Streams) int {
	o, err := readOptions(forPub, args, io)
	if err != nil {
		return o.report(err)
	}
	p := &publisher{o: o}
	if err := p.load(); err != nil {
		return o.report(err)
	}
	copts, err := o.clientOptions(newOutput(io.Out), nil)
	if err != nil {
		return o.report(err)
	}
	if p.c, err = client.Dial(ctx, o.url(), copts); err != nil {
		return o.failedConnect(err)
	}
	p.id = 1
	if o.mode == modeLines {
		err = p.lines(ctx)
	} else {
		err = p.repeat(ctx)
	}
	return p.end(ctx, err)
}

type publisher struct {
	o       *options
	c       *client.Client
	message packet.Publish
	id      int // the number mosquitto would give to the message, for warnings
}

// load prepares the message before there is a connection.
func (p *publisher) load() error {
	o := p.o
	p.message = packet.Publish{Topic: []byte(o.topics[len(o.topics)-1]), QoS: o.qos, Retain: o.retain,
		PublishProperties: o.publishProps.publish()}
	var err error
	switch o.mode {
	case modeText:
		p.message.Payload = []byte(o.text)
	case modeFile:
		if p.message.Payload, err = os.ReadFile(o.text); err != nil {
			return fmt.Errorf("-f: %w", err)
		}
	case modeInput:
		if p.message.Payload, err = io.ReadAll(o.io.In); err != nil {
			return fmt.Errorf("-s: read standard input: %w", err)
		}
		if len(p.message.Payload) == 0 {
			return errors.New("-s: standard input is empty; send an empty message with -n")
		}
	}
	return nil
}

// repeat publishes the message as often as asked, each time after the one before was acknowledged.
func (p *publisher) repeat(ctx context.Context) error {
	for i := range p.o.repeat {
		if i > 0 && p.o.repeatDelay > 0 {
			select {
			case <-time.After(p.o.repeatDelay):
			case <-p.c.Done():
				return p.c.Err()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := p.warn(p.c.Publish(ctx, &p.message)); err != nil {
			return err
		}
		p.aliased()
	}
	return nil
}

// lines publishes standard input line by line and does not wait between them.
func (p *publisher) lines(ctx context.Context) error {
	answers := make(chan error, p.o.inflight)
	done := func(_ packet.Ack, err error) { answers <- err } // never blocks: open is bounded by the capacity
	open := 0
	in := bufio.NewReader(p.o.io.In)
	for last := false; !last; {
		line, err := in.ReadBytes('\n')
		if last = err != nil; last && len(line) == 0 {
			break
		}
		p.message.Payload = bytes.TrimSuffix(line, []byte("\n"))
		if open == cap(answers) {
			open--
			if err := p.warn(<-answers); err != nil {
				return err
			}
		}
		open++
		if err := p.c.PublishAsync(ctx, &p.message, done); err != nil {
			return err
		}
		p.aliased()
	}
	for ; open > 0; open-- {
		if err := p.warn(<-answers); err != nil {
			return err
		}
	}
	return nil
}

// warn prints a refusal of the server, which is not fatal, and gives other errors back.
func (p *publisher) warn(err error) error {
	id := p.id
	p.id++
	var refused *client.Error
	if !errors.As(err, &refused) || p.c.Err() != nil {
		return err
	}
	text := refused.Code.String()
	if refused.Reason != "" {
		text += ": " + refused.Reason
	}
	p.o.complain("Warning: Publish %d failed: %s.", id, text)
	return nil
}

// end says goodbye and gives the exit status.
func (p *publisher) end(ctx context.Context, err error) int {
	if err == nil {
		p.c.Disconnect(ctx, p.o.disconnectProps.disconnect(packet.Success))
		return 0
	}
	p.c.Close()
	var gone *client.Error
	switch {
	case ctx.Err() != nil:
		return exitFailure
	case errors.As(p.c.Err(), &gone):
		p.o.complain("Error: %v", gone)
		return exitNoConnection
	case !errors.Is(p.c.Err(), client.ErrClosed):
		p.o.complain("Error: the connection was lost before the server had acknowledged everything: %v", p.c.Err())
		return exitLost
	}
	p.o.complain("Error: %v", err)
	return exitFailure
}

func (p *publisher) aliased() {
	if p.message.TopicAlias.Set && p.o.version >= packet.V5 {
		p.message.Topic = nil // the alias stands for it from now on
	}
}
