// Package journal keeps a list of records in one file that survives the end of the process and of the machine.
//
// It knows files, checksums and fsync. It never knows what a record means: the kinds and the data are its user's.
//
//	j, cut, err := journal.Open(path, func(r journal.Record) error { ... })
//	ticket := j.Append(journal.Record{Kind: 1, Seq: 7, Data: data}) // in memory
//	err = j.Commit(ticket)                                          // on disk
//
// # The file
//
// Eight bytes name the format. Then follow records: the length of the body and its CRC-32C, four bytes each with the most
// significant byte first, and the body: the kind in one byte, the sequence number as a varint, the data.
//
// # What a crash leaves
//
// Records are only appended, so a crash can spoil nothing but the end. Open reads up to the first record that is not whole
// and cuts the file there. Such a record was never reported as committed, unless the disk lost what it had promised to
// keep; so what is cut is first saved in a file beside, named with ".damaged",
// the next ones with ".damaged-2" and so on.
//
// # Many at once
//
// Commit writes and syncs everything that was appended so far. Whoever calls it meanwhile waits for the one that is under
// way, and mostly finds that the next one has taken his record along: a hundred callers cost a few syncs, not a hundred.
package journal
