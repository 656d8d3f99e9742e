package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nightjarmq/nightjar/internal/hub"
	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// Figure is one number that a broker tells about itself.
type Figure struct {
	Topic  string // below $SYS/broker/, with Mosquitto's names and units; "" if it is not there
	Metric string // name and labels as Prometheus writes them; "" if it is no metric
	Value  float64
}

// Counter reports whether the figure is a metric that only grows while the broker
// runs. All others can fall.
func (f *Figure) Counter() bool {
	name, _, _ := strings.Cut(f.Metric, "{")
	return strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_bucket") ||
		strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count")
}

// Figures returns how the broker fares now.
func (b *Broker) Figures() []Figure {
	list := []Figure{{"", "nightjar_uptime_seconds", time.Since(b.sys.started).Seconds()}}
	list = append(list, b.clientFigures()...)
	list = append(list, b.trafficFigures()...)
	list = append(list, b.keptFigures()...)
	return append(list, b.diskFigures()...)
}

func (b *Broker) clientFigures() []Figure {
	g := b.hub.Gauges()
	sessions, connected := float64(g.Clients), float64(g.Connected)
	return []Figure{
		{"clients/total", "nightjar_sessions", sessions},
		{"clients/maximum", "nightjar_clients_connected_max", float64(g.MaxConnected)},
		{"clients/connected", "nightjar_clients_connected", connected},
		{"clients/active", "", connected},
		{"clients/disconnected", "", sessions - connected},
		{"clients/inactive", "", sessions - connected},
		{"clients/expired", "nightjar_sessions_expired_total", float64(b.hub.ExpiredSessions())},
		{"subscriptions/count", "nightjar_subscriptions", float64(g.Subscriptions)},
		{"shared_subscriptions/count", "nightjar_shared_subscriptions", float64(g.Shared)},
	}
}

func (b *Broker) trafficFigures() []Figure {
	t := b.hub.Totals()
	list := []Figure{
		{"", "nightjar_connections_total", float64(t.Connects)},
		{"connections/refused", "nightjar_connections_refused_total", float64(t.Refused)},
		{"messages/received", "nightjar_packets_received_total", float64(t.PacketsIn)},
		{"messages/sent", "nightjar_packets_sent_total", float64(t.PacketsOut)},
		{"bytes/received", "nightjar_received_bytes_total", float64(t.BytesIn)},
		{"bytes/sent", "nightjar_sent_bytes_total", float64(t.BytesOut)},
		{"publish/messages/received", "nightjar_publish_received_total", float64(t.PublishIn)},
		{"publish/messages/sent", "nightjar_publish_sent_total", float64(t.PublishOut)},
		{"publish/bytes/received", "nightjar_publish_received_bytes_total", float64(t.PublishInB)},
		{"publish/bytes/sent", "nightjar_publish_sent_bytes_total", float64(t.PublishOutB)},
		{"publish/messages/denied", "nightjar_publish_denied_total", float64(t.Denied)},
	}
	for _, e := range hub.Endings() {
		list = append(list, Figure{"connections/ended/" + e.String(), fmt.Sprintf("nightjar_connections_ended_total{cause=%q}", e), float64(t.Ended[e])})
	}
	dropped := int64(0)
	for _, c := range hub.Causes() {
		dropped += t.Dropped[c]
		list = append(list, Figure{
			"publish/messages/dropped/" + c.String(), fmt.Sprintf("nightjar_publish_dropped_total{cause=%q}", c), float64(t.Dropped[c]),
		})
	}
	return append(list, Figure{"publish/messages/dropped", "", float64(dropped)})
}

// keptFigures tell what is kept, and what waits in memory.
func (b *Broker) keptFigures() []Figure {
	st := b.store.Stats()
	retained, retainedBytes := b.hub.Retained()
	messages, bytes := float64(retained+st.Messages), float64(retainedBytes+st.MessageBytes)
	return []Figure{
		{"retained messages/count", "nightjar_retained_messages", float64(retained)},
		{"", "nightjar_retained_bytes", float64(retainedBytes)},
		{"messages/stored", "", messages},
		{"store/messages/count", "nightjar_stored_messages", messages},
		{"store/messages/bytes", "nightjar_stored_bytes", bytes},
		{"store/buffered/output", "nightjar_buffered_bytes{in=\"output\"}", float64(b.output.Used())},
		{"store/buffered/queues", "nightjar_buffered_bytes{in=\"queues\"}", float64(b.queues.Used())},
	}
}

// diskFigures are those of the store on disk; none when everything is in memory.
func (b *Broker) diskFigures() []Figure {
	d, ok := b.store.(*disk.Store)
	if !ok {
		return nil
	}
	m := d.Metrics()
	return append(histogram("nightjar_store_fsync_seconds", &m.Fsyncs), []Figure{
		{"store/records", "nightjar_store_records_total", float64(m.Records)},
		{"store/fsyncs", "nightjar_store_fsyncs_total", float64(m.Fsyncs.Count())},
		{"store/bytes/written", "nightjar_store_written_bytes_total", float64(m.Bytes)},
		{"store/queue/records", "nightjar_store_queue_records", float64(m.Pending)},
		{"store/queue/bytes", "nightjar_store_queue_bytes", float64(m.PendingBytes)},
		{"store/queue/undurable", "nightjar_store_queue_undurable", float64(m.Undurable)},
		{"store/full", "nightjar_store_full", one(m.Full)},
		{"store/failed", "nightjar_store_failed", one(m.Fenced)},
		{"store/damaged", "nightjar_store_damaged", float64(m.Damaged)},
	}...)
}

// histogram is one as Prometheus counts: each bucket has what the ones before it have, too.
func histogram(name string, t *disk.Times) []Figure {
	list := make([]Figure, 0, len(t.Buckets)+3)
	sum := int64(0)
	for i, n := range t.Buckets {
		sum += n
		list = append(list, Figure{"", fmt.Sprintf("%s_bucket{le=\"%g\"}", name, t.Bound(i).Seconds()), float64(sum)})
	}
	sum += t.Longer
	return append(list,
		Figure{"", name + "_bucket{le=\"+Inf\"}", float64(sum)},
		Figure{"", name + "_sum", t.Sum.Seconds()},
		Figure{"", name + "_count", float64(sum)})
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

var (
	errNoUsers    = errors.New("the listener lets nobody in without a user, and there are no users")
	errNotRunning = errors.New("the broker is not running")
	errDiskFailed = errors.New("the disk failed: nothing is acknowledged that must be stored")
	errDiskFull   = errors.New("the disk is full: nothing is acknowledged that must be stored")
)

// Ready returns why the broker cannot serve clients as it should, nil if it can:
// it runs, and what it acknowledges can be stored.
func (b *Broker) Ready() error {
	if !b.running.Load() {
		return errNotRunning
	}
	if d, ok := b.store.(*disk.Store); ok {
		switch m := d.Metrics(); {
		case m.Fenced:
			return errDiskFailed
		case m.Full:
			return errDiskFull
		}
	}
	return nil
}

// Admit asks who somebody is that comes on another way than MQTT: Config.Auth, or
// without one whether the listener is Anonymous. a.ClientID says what way it is.
func (b *Broker) Admit(ctx context.Context, a *Attempt) (user string, err error) {
	b.mu.Lock()
	auth := b.live.Auth
	b.mu.Unlock()
	switch {
	case auth != nil:
		return auth.Authenticate(ctx, a)
	case a.Anonymous:
		return "", nil
	}
	return "", errNoUsers
}
