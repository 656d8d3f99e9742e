package disk

import "time"

// Metrics are counts since the start, but for those that say otherwise.
type Metrics struct {
	Batches      int64
	Records      int64 // in those
	Bytes        int64 // of changes, as handed to Pebble
	Fsyncs       Times // of the write-ahead log; Records/Fsyncs.Count() is records per fsync
	Pending      int   // now: records submitted and not handed over
	PendingBytes int   // now: their changes
	Undurable    int64 // now: submissions that are not durable
	Full         bool  // now: the disk is full
	Fenced       bool  // now: the disk failed
	Damaged      int   // directories of damaged files, set aside at this start or an earlier one
}

func (m *Metrics) count(records, bytes int) {
	m.Batches++
	m.Records += int64(records)
	m.Bytes += int64(bytes)
}

// logSynced counts an fsync of the write-ahead log.
func (s *Store) logSynced(took time.Duration) {
	s.mu.Lock()
	s.metrics.Fsyncs.add(took)
	s.mu.Unlock()
}

// Metrics returns what the store counts.
func (s *Store) Metrics() Metrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.metrics
	m.Pending = s.records
	if !s.batch.Empty() {
		m.PendingBytes = s.batch.Len()
	}
	m.Undurable = int64(s.ticket - s.Durable())
	m.Full = s.fs.full()
	m.Fenced = s.failed.Load() != nil
	return m
}
