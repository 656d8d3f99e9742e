package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// The manifest is Pebble's list of tables. Its records have checksums, but
// Pebble takes a damaged one for the end of a list that was cut short, which may
// hide tables that hold acknowledged messages. So there is a second copy, the
// mirror, of all of a manifest that was synced: when the mirror has more records,
// the manifest is damaged. It is small, and written once for every table.
const (
	manifestPrefix = "MANIFEST-"
	mirrorPrefix   = "mirror-"
)

// mirrorName is the mirror of a manifest, "" for other files.
func mirrorName(fs vfs.FS, name string) string {
	base := fs.PathBase(name)
	if !strings.HasPrefix(base, manifestPrefix) {
		return ""
	}
	return fs.PathJoin(fs.PathDir(name), mirrorPrefix+strings.TrimPrefix(base, manifestPrefix))
}

// mirrored is a manifest that is written. Pebble calls no two methods of it at
// the same time.
type mirrored struct {
	*faultFile
	name     string
	mirror   vfs.File // nil: not made yet
	unsynced []byte   // written to the manifest and not to the mirror
}

func (m *mirrored) Write(p []byte) (int, error) {
	was := len(m.unsynced)
	m.unsynced = append(m.unsynced, p...) // before: Write may change p
	n, err := m.faultFile.Write(p)
	m.unsynced = m.unsynced[:was+n]
	return n, err
}

func (m *mirrored) Sync() error {
	if err := m.faultFile.Sync(); err != nil {
		return err
	}
	return m.reflect()
}

func (m *mirrored) SyncData() error {
	if err := m.faultFile.SyncData(); err != nil {
		return err
	}
	return m.reflect()
}

// reflect adds to the mirror what was synced.
func (m *mirrored) reflect() (err error) {
	if m.mirror == nil {
		if m.mirror, err = m.fs.Create(m.name, vfs.WriteCategoryUnspecified); err != nil {
			return err
		}
	}
	if _, err := m.mirror.Write(m.unsynced); err != nil {
		return err
	}
	m.unsynced = m.unsynced[:0]
	return m.mirror.Sync()
}

func (m *mirrored) Close() error {
	err := m.faultFile.Close()
	if m.mirror != nil {
		err = errors.Join(err, m.mirror.Close())
	}
	return err
}

// mendManifest puts the mirror in the place of a damaged manifest.
func (s *Store) mendManifest() error {
	name, err := atomicfs.ReadMarker(s.fs, s.path(live), "manifest")
	if errors.Is(err, os.ErrNotExist) || err == nil && name == "" {
		return nil // a new store
	}
	if err != nil {
		return err
	}
	name = s.path(live, name)
	mirror := mirrorName(s.fs, name)
	have, err := countRecords(s.fs, name)
	if err != nil {
		return err
	}
	want, err := countRecords(s.fs, mirror)
	if err != nil || want <= have {
		return err
	}
	content, err := readFile(s.fs, mirror)
	if err != nil {
		return err
	}
	d := Damage{What: fmt.Sprintf("%s is gone, and made anew from its copy", name)}
	if _, err := s.fs.Stat(name); err == nil {
		d.What = fmt.Sprintf("%s had %d records left of %d, and is made anew from its copy", name, have, want)
		if d.Kept, err = s.damageDir(); err != nil {
			return err
		}
		if err := s.fs.Rename(name, s.fs.PathJoin(d.Kept, s.fs.PathBase(name))); err != nil {
			return err
		}
	}
	if err := replaceFile(s.fs, name, content); err != nil {
		return err
	}
	s.damaged(d)
	return nil
}

// mendFormat makes the marker of the format anew where it is gone. It is a name
// without content, and says what every store of this program has; without it Pebble opens
// nothing of what is there.
func (s *Store) mendFormat() error {
	const marker = "format-version"
	manifest, err := atomicfs.ReadMarker(s.fs, s.path(live), "manifest")
	if errors.Is(err, os.ErrNotExist) || err == nil && manifest == "" {
		return nil // a new store
	}
	if err != nil {
		return err
	}
	m, format, err := atomicfs.LocateMarker(s.fs, s.path(live), marker)
	if err != nil {
		return err
	}
	if format == "" {
		s.log.Warn("the marker of the format was gone and is made anew; nothing is lost", "dir", s.path(live))
		err = m.Move(s.engineOptions().FormatMajorVersion.String())
	}
	return errors.Join(err, m.Close())
}

// countRecords counts the records that can be read; those of no file are none.
func countRecords(fs vfs.FS, name string) (n int, err error) {
	return n, eachRecord(fs, name, func([]byte) { n++ })
}

// eachRecord calls f with the records that can be read, which are borrowed.
func eachRecord(fs vfs.FS, name string, f func([]byte)) error {
	file, err := fs.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	r := record.NewReader(file, 0)
	var buf bytes.Buffer
	for {
		rec, err := r.Next()
		if err == nil {
			buf.Reset()
			_, err = buf.ReadFrom(rec)
		}
		if err == io.EOF || record.IsInvalidRecord(err) {
			return nil
		}
		if err != nil {
			return err
		}
		f(buf.Bytes())
	}
}

// firstLog returns the number from which on logs are not in tables yet. It may
// be less than that of the first such log, for as long as that is the one that the
// start has begun. It is not known when there is no list of tables.
func firstLog(fs vfs.FS, dir string) (num uint64, known bool, err error) {
	name, err := atomicfs.ReadMarker(fs, dir, "manifest")
	if errors.Is(err, os.ErrNotExist) || err == nil && name == "" {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	err = eachRecord(fs, fs.PathJoin(dir, name), func(rec []byte) {
		if n, ok := firstUnflushed(rec); ok {
			num = n
		}
		known = true
	})
	return num, known, err
}

// Fields of a manifest's record, which come first.
const (
	fieldComparer = 1
	fieldFirstLog = 2
)

// firstUnflushed reads the number in a record of a manifest; most have none.
func firstUnflushed(rec []byte) (num uint64, ok bool) {
	r := reader{b: rec}
	field := r.number(1<<64 - 1)
	if field == fieldComparer {
		_ = r.text()
		field = r.number(1<<64 - 1)
	}
	if field != fieldFirstLog {
		return 0, false
	}
	num = r.number(1<<64 - 1)
	return num, !r.failed
}

// replaceFile makes the file with the content, whole or not at all.
func replaceFile(fs vfs.FS, name string, content []byte) error {
	tmp := name + ".new"
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(tmp, name); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(name))
}
