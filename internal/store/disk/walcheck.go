package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// The last log of a store that was killed ends somewhere. What Pebble cannot
// read there it takes for that end, unless what comes later says that the log
// was synced beyond; but it looks only from the next block of 32 KiB on, and what
// its logs say of being synced falls behind with every block they fill. So a
// damaged byte could take thousands of acknowledged messages with it, without a
// word. Therefore every batch ends in a witness: its number, and the number of
// the last batch that was durable when it was written. When a batch that cannot
// be read was durable by the word of a later one, the log is damaged. Only the
// very last batch has no witness.

// witnessMagic is what a witness begins with, before its two numbers.
var witnessMagic = []byte("\x00nj-log\x01")

const witnessLen = 24

// witness adds the witness to a batch. It goes into the log and nowhere else.
func witness(b *pebble.Batch, num, durable uint64) {
	w := make([]byte, 0, witnessLen)
	w = append(w, witnessMagic...)
	w = binary.BigEndian.AppendUint64(w, num)
	w = binary.BigEndian.AppendUint64(w, durable)
	_ = b.LogData(w, nil) // a batch is memory
}

// A log is made of blocks, and a block of chunks: the CRC of what follows (4
// bytes), the length of the payload (2), the kind (1), the low half of the log's
// number (4), an offset (8), and the payload. Numbers are little-endian. The first
// log of a new store has no offsets, and other kinds.
const (
	logBlock    = 32 << 10
	chunkHeader = 19
	chunkFull   = 9 // a batch in one chunk
	chunkFirst  = 10
	chunkMiddle = 11
	chunkLast   = 12

	oldHeader = 11
	oldFull   = 5
	oldLast   = 8
)

// chunk is a chunk that could be read.
type chunk struct {
	kind    byte // as in all logs but the first
	len     int  // with its header
	payload []byte
}

// begins reports whether a batch begins in the chunk.
func (c *chunk) begins() bool { return c.kind == chunkFull || c.kind == chunkFirst }

// ends reports whether a batch ends with the chunk.
func (c *chunk) ends() bool { return c.kind == chunkFull || c.kind == chunkLast }

// readWitness reads the witness that the end of a batch is.
func readWitness(end []byte) (num, durable uint64, ok bool) {
	if len(end) < witnessLen {
		return 0, 0, false
	}
	w := end[len(end)-witnessLen:]
	return binary.BigEndian.Uint64(w[8:]), binary.BigEndian.Uint64(w[16:]), bytes.HasPrefix(w, witnessMagic)
}

// readChunk reads what is at an offset of a log.
func readChunk(b []byte, at int, log uint32) (c chunk, ok bool) {
	if at+oldHeader > len(b) {
		return c, false
	}
	h := b[at : at+oldHeader]
	c.kind = h[6]
	header := chunkHeader
	if c.kind >= oldFull && c.kind <= oldLast {
		c.kind, header = c.kind+chunkFull-oldFull, oldHeader
	}
	c.len = header + int(binary.LittleEndian.Uint16(h[4:]))
	if c.kind < chunkFull || c.kind > chunkLast || binary.LittleEndian.Uint32(h[7:]) != log {
		return c, false
	}
	if at%logBlock+c.len > logBlock || at+c.len > len(b) {
		return c, false
	}
	if checksum(b[at+6:at+c.len]) != binary.LittleEndian.Uint32(h) {
		return c, false
	}
	c.payload = b[at+header : at+c.len]
	return c, true
}

// nextChunk returns where the next chunk begins: at, or with the next block when too
// little is left of this one.
func nextChunk(b []byte, at int) int {
	header := chunkHeader
	if len(b) > 6 && b[6] >= oldFull && b[6] <= oldLast {
		header = oldHeader
	}
	if left := logBlock - at%logBlock; left < header {
		return at + left
	}
	return at
}

// checksum is the CRC-32C, disguised as all programs of this family do it.
func checksum(b []byte) uint32 {
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// errLog says which log is damaged.
type errLog struct {
	num    uint64
	offset int
}

func (e *errLog) Error() string {
	return fmt.Sprintf("%s/%06d.log is damaged from byte %d on, or gone", live, e.num, e.offset)
}

// checkLogs reads the logs that are not in tables yet. It returns an *errLog if
// the last one is damaged rather than cut short, or if batches are missing before
// or between the others: Pebble takes a log for complete that ends where a batch
// does, or has nothing in it, and does not miss one that is not there.
func checkLogs(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err != nil {
		return nil // there are none; what else it means, Pebble will say
	}
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: dir})
	if err != nil || len(logs) == 0 {
		return err
	}
	from, known, err := firstLog(fs, dir)
	if err != nil {
		return err
	}
	if !known {
		logs = logs[len(logs)-1:]
	}
	var all logChain
	for _, l := range logs {
		if uint64(l.Num) < from {
			continue
		}
		_, name := l.SegmentLocation(0)
		b, err := readFile(fs, name)
		if err != nil {
			return err
		}
		r := readable(b, uint32(l.Num))
		if known && !all.follows(uint64(l.Num), from, r) {
			return all.end
		}
		if l.Num == logs[len(logs)-1].Num && witnessed(b, uint32(l.Num), r.end, r.last) {
			return &errLog{uint64(l.Num), r.end}
		}
	}
	return nil
}

// logChain follows the numbers of batches from log to log. They begin with 1 at
// each start, when no older log is left, and every log but the newest has one:
// it is begun when the one before is full.
type logChain struct {
	end  *errLog // of the log before; nil: none
	last uint64  // its last batch, 0: none
}

// follows reports whether a log follows on what was before it; from is the first
// log that is not in tables.
func (c *logChain) follows(num, from uint64, r readPart) bool {
	switch {
	case r.first <= 1: // nothing, or the first batch
	case c.end == nil && num != from:
		c.end = &errLog{from, 0}
		return false
	case c.end != nil && r.first != c.last+1:
		return false
	}
	c.end = &errLog{num, r.end}
	if r.last != 0 {
		c.last = r.last
	}
	return true
}

// readPart is how much of a log can be read.
type readPart struct {
	end         int    // the offset of the first chunk that cannot be read
	first, last uint64 // batches before it; 0: none
}

func readable(b []byte, log uint32) (r readPart) {
	var end []byte // of the batch at hand: a witness may begin in one block and end in the next
	for ; r.end < len(b); r.end = nextChunk(b, r.end) {
		c, ok := readChunk(b, r.end, log)
		if !ok {
			return r
		}
		if c.begins() {
			end = end[:0]
		}
		end = append(end, c.payload[max(0, len(c.payload)-witnessLen):]...)
		if num, _, ok := readWitness(end); ok && c.ends() {
			if r.last = num; r.first == 0 {
				r.first = num
			}
		}
		r.end += c.len
	}
	return r
}

// witnessed reports whether a batch behind end says that one was durable which
// comes after num and cannot be read.
func witnessed(b []byte, log uint32, end int, num uint64) bool {
	for at := end + 1; at+oldHeader <= len(b); at++ {
		c, ok := readChunk(b, at, log)
		if !ok || !c.ends() {
			continue
		}
		its, durable, ok := readWitness(c.payload)
		if !ok {
			continue
		}
		if num == 0 && its == 1 { // what is before it was synced by the start
			return true
		}
		if num == 0 { // the log's first batch is lost, and that before this one
			num = its - 2
		}
		if durable > num {
			return true
		}
	}
	return false
}

// readBatches calls f with the batches of a log, up to the first that cannot be
// read. They are f's.
func readBatches(b []byte, log uint32, f func(batch []byte) error) error {
	var batch []byte
	for at := 0; at < len(b); at = nextChunk(b, at) {
		c, ok := readChunk(b, at, log)
		if !ok {
			return nil
		}
		if c.begins() {
			batch = nil
		}
		batch = append(batch, c.payload...)
		if c.ends() {
			if err := f(batch); err != nil {
				return err
			}
		}
		at += c.len
	}
	return nil
}
