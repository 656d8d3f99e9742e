//go:build !failpoint

package disk

import "github.com/cockroachdb/pebble/v2/vfs"

// moments returns a file system whose changes are failpoints.
func moments(fs vfs.FS) vfs.FS { return fs }
