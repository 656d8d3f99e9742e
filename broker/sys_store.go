package broker

import (
	"context"
	"strconv"
	"time"

	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// disk publishes how the store on disk fares; nothing when everything is in
// memory. Rates are those of the time since the last update.
func (s *sys) disk(ctx context.Context) {
	d, ok := s.b.store.(*disk.Store)
	if !ok {
		return
	}
	m := d.Metrics()
	was := s.diskWas
	s.diskWas = m
	s.number(ctx, "store/records", m.Records)
	s.number(ctx, "store/fsyncs", m.Batches)
	s.number(ctx, "store/bytes/written", m.Bytes)
	perFsync, each := 0.0, time.Duration(0)
	if n := m.Batches - was.Batches; n > 0 {
		perFsync = float64(m.Records-was.Records) / float64(n)
		each = (m.Wait - was.Wait) / time.Duration(n)
	}
	s.publish(ctx, "store/fsync/records", strconv.FormatFloat(perFsync, 'f', 1, 64))
	s.number(ctx, "store/fsync/microseconds", each.Microseconds())
	s.number(ctx, "store/queue/records", int64(m.Pending))
	s.number(ctx, "store/queue/bytes", int64(m.PendingBytes))
	s.number(ctx, "store/queue/undurable", m.Undurable)
	s.number(ctx, "store/full", one(m.Full))
	s.number(ctx, "store/failed", one(m.Fenced))
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
