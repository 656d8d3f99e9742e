package broker

import (
	"context"
	"strconv"
	"time"

	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// fsync publishes how the store on disk has fared since the last update.
func (s *sys) fsync(ctx context.Context) {
	d, ok := s.b.store.(*disk.Store)
	if !ok {
		return
	}
	m := d.Metrics()
	was := s.diskWas
	s.diskWas = m
	perFsync, each := 0.0, time.Duration(0)
	if n := m.Fsyncs.Count() - was.Fsyncs.Count(); n > 0 {
		perFsync = float64(m.Records-was.Records) / float64(n)
		each = (m.Fsyncs.Sum - was.Fsyncs.Sum) / time.Duration(n)
	}
	s.publish(ctx, "store/fsync/records", strconv.FormatFloat(perFsync, 'f', 1, 64))
	s.number(ctx, "store/fsync/microseconds", each.Microseconds())
}
