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
// number (4), an offset (8), and the payload. Numbers are little-endian.
const (
	logBlock    = 32 << 10
	chunkHeader = 19
	chunkFull   = 9 // a batch in one chunk
	chunkFirst  = 10
	chunkMiddle = 11
	chunkLast   = 12
)

// chunk is a chunk that could be read.
type chunk struct {
	kind         byte
	len          int  // with its header
	witnesses    bool // a batch ends in it, with a witness
	num, durable uint64
}

// readChunk reads what is at an offset of a log.
func readChunk(b []byte, at int, log uint32) (c chunk, ok bool) {
	if at+chunkHeader > len(b) {
		return c, false
	}
	h := b[at : at+chunkHeader]
	c.kind, c.len = h[6], chunkHeader+int(binary.LittleEndian.Uint16(h[4:]))
	if h[6] < chunkFull || h[6] > chunkLast || binary.LittleEndian.Uint32(h[7:]) != log {
		return c, false
	}
	if at%logBlock+c.len > logBlock || at+c.len > len(b) {
		return c, false
	}
	if checksum(b[at+6:at+c.len]) != binary.LittleEndian.Uint32(h) {
		return c, false
	}
	payload := b[at+chunkHeader : at+c.len]
	if (h[6] == chunkFull || h[6] == chunkLast) && len(payload) >= witnessLen {
		w := payload[len(payload)-witnessLen:]
		c.witnesses = bytes.HasPrefix(w, witnessMagic)
		c.num, c.durable = binary.BigEndian.Uint64(w[8:]), binary.BigEndian.Uint64(w[16:])
	}
	return c, true
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
	return fmt.Sprintf("log %06d is damaged at byte %d", e.num, e.offset)
}

// checkLogs reads the last log, and returns an *errLog if it is damaged rather
// than cut short. Pebble is strict with the others.
func checkLogs(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err != nil {
		return nil // there are none; what else it means, Pebble will say
	}
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: dir})
	if err != nil || len(logs) == 0 {
		return err
	}
	last := logs[len(logs)-1]
	_, name := last.SegmentLocation(0)
	b, err := readFile(fs, name)
	if err != nil {
		return err
	}
	end, num := readableEnd(b, uint32(last.Num))
	if witnessed(b, uint32(last.Num), end, num) {
		return &errLog{uint64(last.Num), end}
	}
	return nil
}

// readableEnd returns the offset of the first chunk that cannot be read, and the
// number of the last batch before it, 0 when there is none.
func readableEnd(b []byte, log uint32) (at int, num uint64) {
	for at < len(b) {
		left := logBlock - at%logBlock
		if left < chunkHeader {
			at += left // too short for a chunk
			continue
		}
		c, ok := readChunk(b, at, log)
		if !ok {
			return at, num
		}
		if c.witnesses {
			num = c.num
		}
		at += c.len
	}
	return at, num
}

// witnessed reports whether a batch behind end says that one was durable which
// comes after num and cannot be read.
func witnessed(b []byte, log uint32, end int, num uint64) bool {
	for at := end + 1; at+chunkHeader <= len(b); at++ {
		c, ok := readChunk(b, at, log)
		if !ok || !c.witnesses {
			continue
		}
		if num == 0 { // the log's first batch is lost, and that before this one
			num = c.num - 2
		}
		if c.durable > num {
			return true
		}
	}
	return false
}

// readBatches calls f with the batches of a log, up to the first that cannot be
// read. They are f's.
func readBatches(b []byte, log uint32, f func(batch []byte) error) error {
	var batch []byte
	for at := 0; at < len(b); {
		left := logBlock - at%logBlock
		if left < chunkHeader {
			at += left
			continue
		}
		c, ok := readChunk(b, at, log)
		if !ok {
			return nil
		}
		if c.kind == chunkFull || c.kind == chunkFirst {
			batch = nil
		}
		batch = append(batch, b[at+chunkHeader:at+c.len]...)
		if c.kind == chunkFull || c.kind == chunkLast {
			if err := f(batch); err != nil {
				return err
			}
		}
		at += c.len
	}
	return nil
}
