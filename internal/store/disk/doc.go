// Package disk is the [store.Store] that outlives a crash. It keeps durable
// state in Pebble, a log-structured merge tree, and gathers submissions so that
// one fsync makes many of them durable.
//
// # How a submission becomes durable
//
// Submit applies the records at once, under one mutex, to an index in memory
// and to a batch of key changes; the index knows enough of every session and of
// every queued message (24 bytes of it) that applying never reads the disk. One
// goroutine hands the batch to Pebble, another waits for the fsync of the
// write-ahead log and raises Durable. What is submitted while an fsync runs makes
// up the next batch; nothing that somebody waits for waits for company (what
// nobody waits for, the end of a delivery, does so for [Patience]), and an idle
// store does nothing. The log grows in strides of zeros (ahead.go), so that an fsync
// writes content and hardly ever a file's length. A batch is atomic: a submission is on the disk whole or not at all.
//
// A reader has the batch at hand handed to Pebble, and does not wait for its
// fsync, so that it sees everything submitted.
//
// # Keys
//
// Numbers in keys are big-endian; see keys.go. All of a session lies together.
// A message with one recipient is stored in the recipient's queue entry, one
// with several is stored once and counted in memory.
//
// # Trouble
//
// The package stands between Pebble and the file system (fs.go). An error of a
// write, an fsync or a change of a directory fences the store, and Pebble never
// hears of it: from then on Submit fails and no ticket becomes durable; reading
// goes on. A full disk makes the operation wait until there is space; meanwhile
// Submit fails with [store.ErrNoSpace].
//
// Pebble's checksums cover the write-ahead log and every block of every table,
// so values have none of their own; Open reads everything and so checks all of
// them. They do not show where a list was cut short by damage: for the manifest
// a second copy does (mirror.go), for the log a witness in every batch
// (walcheck.go). What is damaged is set aside and reported, and the rest kept;
// see [Damage]. Two things cannot be known: that the end of the last log is gone, or all of it,
// and that the very last batch of a store that was killed was damaged rather than
// not written to its end.
//
// The package must never know connections, packets on the wire, matching or
// permissions.
//
//	s, err := disk.Open("/var/lib/nightjar", disk.Options{Log: log})
package disk
