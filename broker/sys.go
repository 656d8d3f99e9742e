package broker

import (
	"context"
	"fmt"
	"math"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// sys publishes the $SYS tree: the topics that Mosquitto has, with its units,
// and what it does not say (drops by cause). A topic is published when its
// value has changed.
type sys struct {
	b       *Broker
	started time.Time
	last    map[string]string
	loads   []load
	heapMax int64            // bytes
	told    map[string]int64 // by client: how many of its drops the log has
	diskWas disk.Metrics     // at the last update
}

// load is a rate per minute as a moving average over 1, 5 and 15 minutes.
type load struct {
	name    string
	count   func(*hub.Stats) int64
	was     int64
	average [3]float64
}

var loadMinutes = [3]float64{1, 5, 15}

func newSys(b *Broker) *sys {
	dropped := func(s *hub.Stats) (n int64) {
		for _, d := range s.Dropped {
			n += d
		}
		return n
	}
	return &sys{b: b, started: time.Now(), last: make(map[string]string), told: make(map[string]int64), loads: []load{
		{name: "messages/received", count: func(s *hub.Stats) int64 { return s.PacketsIn }},
		{name: "messages/sent", count: func(s *hub.Stats) int64 { return s.PacketsOut }},
		{name: "publish/dropped", count: dropped},
		{name: "publish/received", count: func(s *hub.Stats) int64 { return s.PublishIn }},
		{name: "publish/sent", count: func(s *hub.Stats) int64 { return s.PublishOut }},
		{name: "bytes/received", count: func(s *hub.Stats) int64 { return s.BytesIn }},
		{name: "bytes/sent", count: func(s *hub.Stats) int64 { return s.BytesOut }},
		{name: "sockets", count: func(s *hub.Stats) int64 { return s.Connects + s.Refused }},
		{name: "connections", count: func(s *hub.Stats) int64 { return s.Connects }},
	}}
}

// begin publishes for the first time, before anybody can subscribe.
func (s *sys) begin(ctx context.Context) {
	s.publish(ctx, "version", s.version())
	s.update(ctx, 0)
}

// run publishes every interval.
func (s *sys) run(ctx context.Context, interval time.Duration) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.update(ctx, interval)
		}
	}
}

func (s *sys) version() string {
	return strings.TrimSpace("nightjar version " + s.b.cfg.Version)
}

func (s *sys) update(ctx context.Context, since time.Duration) {
	s.publish(ctx, "uptime", fmt.Sprintf("%d seconds", int(time.Since(s.started).Seconds())))
	for _, f := range s.b.Figures() {
		if f.Topic != "" {
			s.publish(ctx, f.Topic, strconv.FormatFloat(f.Value, 'f', -1, 64))
		}
	}
	s.fsync(ctx)
	s.drops(ctx)
	s.heap(ctx)
	t := s.b.hub.Totals()
	for i := range s.loads {
		s.load(ctx, &s.loads[i], &t, since)
	}
}

func (s *sys) heap(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample) // unlike runtime.ReadMemStats it stops nobody
	now := int64(sample[0].Value.Uint64())
	s.heapMax = max(s.heapMax, now)
	s.number(ctx, "heap/current", now)
	s.number(ctx, "heap/maximum", s.heapMax)
}

func (s *sys) load(ctx context.Context, l *load, t *hub.Stats, since time.Duration) {
	now := l.count(t)
	if since > 0 {
		rate := float64(now-l.was) / since.Minutes()
		for i, minutes := range loadMinutes {
			keep := math.Exp(-since.Minutes() / minutes)
			l.average[i] = keep*l.average[i] + (1-keep)*rate
		}
	}
	l.was = now
	for i, minutes := range loadMinutes {
		s.publish(ctx, fmt.Sprintf("load/%s/%gmin", l.name, minutes), strconv.FormatFloat(l.average[i], 'f', 2, 64))
	}
}

func (s *sys) number(ctx context.Context, name string, v int64) {
	s.publish(ctx, name, strconv.FormatInt(v, 10))
}

func (s *sys) publish(ctx context.Context, name, value string) {
	if s.last[name] == value {
		return
	}
	s.last[name] = value
	err := s.b.Publish(ctx, Message{Topic: "$SYS/broker/" + name, Payload: []byte(value), Retain: true})
	if err != nil && ctx.Err() == nil {
		s.b.log.Error("publish $SYS", "topic", name, "err", err)
	}
}
