//go:build failpoint

package disk

import (
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nightjarmq/nightjar/internal/failpoint"
)

// moments returns a file system whose changes are failpoints: each is reached
// before the change. Their names are the change and the kind of file, for example
// sync-log.
func moments(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		what := ""
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpReuseForWrite:
			what = "create"
		case errorfs.OpFileWrite, errorfs.OpFileWriteAt:
			what = "write"
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			what = "sync"
		case errorfs.OpRename:
			what = "rename"
		case errorfs.OpLink:
			what = "link"
		case errorfs.OpRemove:
			what = "remove"
		default:
			return nil
		}
		failpoint.Reach(what + "-" + kindOfFile(filepath.Base(op.Path)))
		return nil
	}))
}

func kindOfFile(base string) string {
	if kind, _, ok := strings.Cut(base, "."); ok && kind == "marker" {
		return kind
	}
	if kind, _, ok := strings.Cut(strings.ToLower(base), "-"); ok {
		return kind // manifest, mirror
	}
	if ext := filepath.Ext(base); len(ext) > 1 {
		return ext[1:] // log, sst
	}
	return base // LOCK, pid
}
