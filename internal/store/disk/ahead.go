package disk

import (
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// logFile is a file of the write-ahead log. While it grows, every fsync has to
// write its new length and what blocks it has, too, which with a journal is most of the
// work. So it grows in strides, filled with zeros: what is written over them
// changes nothing but content. A log that is used again has its length already.
//
// Pebble besides reserves the space of a whole log when it begins to write it. Of both
// a log takes no more than a share of what was free when it was begun: on a small disk
// what is reserved would be what nobody can use.
type logFile struct {
	*faultFile
	most   int64 // that may be reserved
	stride int64
	end    int64 // of what was written
	size   int64 // of the file
}

// strides is how many strides make a log as it is when its table is written.
const strides = 64

// reserveShare is the share of the free space that a log may reserve: one of so many parts.
const reserveShare = 32

// newLog returns a file that the log is written to from its beginning on.
func (f *faultFS) newLog(file vfs.File, name string) *logFile {
	x := &logFile{faultFile: f.file(file), most: math.MaxInt64}
	if usage, err := f.FS.GetDiskUsage(f.FS.PathDir(name)); err == nil { // or it is not known
		x.most = int64(usage.AvailBytes/reserveShare) &^ 4095
	}
	x.stride = min(f.stride, x.most)
	if info, err := file.Stat(); err == nil {
		x.size = info.Size()
	}
	return x
}

func (x *logFile) Write(p []byte) (n int, err error) {
	n, err = x.faultFile.Write(p)
	if x.end += int64(n); err == nil && x.end > x.size {
		x.size = x.end + x.stride
		x.fill()
	}
	return n, err
}

// fill writes zeros from end to size. It may fail, as where there is no space for
// more than what has to be written: then the file grows as it is written.
func (x *logFile) fill() {
	zeros := make([]byte, min(x.stride, 16<<10))
	for at := x.end; at < x.size && x.fs.enter() == nil; at += int64(len(zeros)) {
		if _, err := x.File.WriteAt(zeros[:min(int64(len(zeros)), x.size-at)], at); err != nil {
			return
		}
	}
}

// Preallocate reserves the bytes from off on, or as many of them as may be.
func (x *logFile) Preallocate(off, n int64) error {
	return x.faultFile.Preallocate(off, min(n, x.most))
}

func (x *logFile) SyncData() error {
	began := time.Now()
	err := x.faultFile.SyncData()
	if err == nil {
		x.fs.onLogSync(time.Since(began))
	}
	return err
}
