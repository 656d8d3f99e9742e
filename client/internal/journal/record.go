package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Record is one entry. The journal gives no meaning to any of its fields.
type Record struct {
	Kind byte
	Seq  uint64
	Data []byte // borrowed by Append until it returns, and by the callback of Open
}

// MaxRecord is the most bytes of one record, so that a damaged length makes nobody allocate gigabytes.
const MaxRecord = 300 << 20

// magic begins every file and names the format.
const magic = "NJjrnl1\n"

const headSize = 8 // length and checksum

var (
	errShort   = errors.New("the record is not complete")
	errDamaged = errors.New("the record is damaged")
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Append writes the record behind dst.
func (r Record) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, headSize)...)
	dst = append(dst, r.Kind)
	dst = binary.AppendUvarint(dst, r.Seq)
	dst = append(dst, r.Data...)
	body := dst[start+headSize:]
	binary.BigEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.BigEndian.PutUint32(dst[start+4:], checksum(body))
	return dst
}

// Decode reads one record from the front of b and says how many bytes it took. Data is a part of b. An error means that
// no whole record stands there.
func Decode(b []byte) (r Record, n int, err error) {
	if len(b) < headSize {
		return r, 0, errShort
	}
	size := binary.BigEndian.Uint32(b)
	if size < 2 || size > MaxRecord {
		return r, 0, errDamaged
	}
	n = headSize + int(size)
	if len(b) < n {
		return r, 0, errShort
	}
	body := b[headSize:n]
	if binary.BigEndian.Uint32(b[4:]) != checksum(body) {
		return r, 0, errDamaged
	}
	seq, k := binary.Uvarint(body[1:])
	if k <= 0 {
		return r, 0, errDamaged
	}
	return Record{Kind: body[0], Seq: seq, Data: body[1+k:]}, n, nil
}
