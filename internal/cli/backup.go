package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/nightjarmq/nightjar/internal/control"
	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// exitFailed is the exit code of a command that could not do what it was asked.
const exitFailed = 1

// dataFlag names the directory of a store.
type dataFlag struct {
	Data string `help:"Directory of the store, as of serve. Default: nightjar in the user's data directory." placeholder:"DIR"`
}

func (d *dataFlag) dir(s Streams) (string, error) {
	return (&serveCommand{Data: d.Data}).data(s)
}

// backupCommand copies a store, of a broker that runs or one that does not.
type backupCommand struct {
	Dir string `arg:"" help:"Directory to make the backup in: empty, or not there yet."`
	dataFlag
}

func (c *backupCommand) run(ctx context.Context, s Streams) int {
	data, err := c.dir(s)
	var list []copied
	if err == nil {
		list, err = c.backup(ctx, data)
	}
	if err != nil {
		fmt.Fprintf(s.Err, "nightjar: backup: %v\n", err)
		return exitFailed
	}
	bytes := int64(0)
	for _, f := range list {
		bytes += f.bytes
	}
	fmt.Fprintf(s.Err, "%d files, %d bytes of %s are in %s; bring them back with nightjar restore %s --data DIR\n", len(list), bytes, data, c.Dir, c.Dir)
	return exitOK
}

func (c *backupCommand) backup(ctx context.Context, data string) (list []copied, err error) {
	if err := outside(c.Dir, data); err != nil {
		return nil, err
	}
	undo, err := makeEmpty(c.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	from, done, err := control.Backup(ctx, data)
	if errors.Is(err, control.ErrNotRunning) {
		from, done, err = offline(data)
	}
	if err != nil {
		return nil, err
	}
	defer done()
	err = copyStore(ctx, c.Dir, from, func(l []copied) error {
		list = l
		return writeSums(c.Dir, l)
	})
	if err != nil {
		_ = os.Remove(filepath.Join(c.Dir, sums)) // without the files it says nothing
	}
	return list, err
}

// outside sees that a backup is not made in the directory of the store, where a
// broker removes what looks like a copy of its own, and which may be lost as a whole.
func outside(dir, data string) error {
	to, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	from, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(from, to); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("%s is in the directory of the store itself: name one outside of %s", dir, data)
	}
	return nil
}

// offline keeps brokers out of the directory until done is called, and sees that
// what is there is sound.
func offline(data string) (from string, done func(), err error) {
	v, err := openView(data)
	if err != nil {
		return "", nil, err
	}
	return data, func() { _ = v.Close() }, nil // nothing was written
}

// openView opens the store of a broker that does not run, and says what to do if
// it cannot.
func openView(data string) (*disk.View, error) {
	v, err := disk.OpenView(data, disk.Options{})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		below := filepath.Join(data, "nightjar") // as a mosquitto.conf has it
		if _, err := os.Stat(filepath.Join(below, disk.Files)); err == nil {
			return nil, fmt.Errorf("%s holds no store, but %s does: name that with --data", data, below)
		}
		return nil, fmt.Errorf("%s holds no store: name its directory with --data", data)
	case errors.Is(err, disk.ErrLocked):
		return nil, fmt.Errorf("a broker has the store and does not answer in %s: %w", filepath.Join(data, "control"), err)
	case errors.Is(err, disk.ErrNewer):
		return nil, fmt.Errorf("%w (use that version)", err)
	case errors.Is(err, disk.ErrOlder):
		return nil, fmt.Errorf("%w (start the broker there once, which brings it up to date)", err)
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("%s is a file: name the directory of the store with --data", data)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w (be the user of the broker, or root)", err)
	case errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("%w (it takes a lock, so the file system must allow writing)", err)
	case errors.Is(err, disk.ErrDamaged):
		return nil, fmt.Errorf("%w (start the broker there: it mends what it can, sets aside what is damaged, keeps the rest and logs what is lost; or restore a backup)", err)
	case err != nil:
		return nil, err
	}
	return v, nil
}

// makeEmpty makes a directory, or sees that it is empty. undo removes what it has made and is empty.
func makeEmpty(dir string) (undo func(), err error) {
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		undo = removeEmpty(missing(dir))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			undo()
			return nil, err
		}
		return undo, nil
	case err != nil:
		return nil, err
	case len(list) > 0:
		return nil, fmt.Errorf("%s is not empty: nothing is overwritten; name another directory", dir)
	}
	return func() {}, nil
}

// missing returns the directories that have to be made for dir to exist, the innermost first.
func missing(dir string) (list []string) {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return list
		}
		list = append(list, dir)
	}
}

// removeEmpty returns a function that removes directories, up to the first that is not empty.
func removeEmpty(list []string) func() {
	return func() {
		for _, dir := range list {
			if os.Remove(dir) != nil {
				return
			}
		}
	}
}

// sums is the file with the SHA-256 of every file of a backup, as sha256sum
// writes it. Pebble takes a log that was changed for one that ends early, so its
// own checksums would let a damaged backup pass.
const sums = "SHA256SUMS"

// copied is a file that was copied.
type copied struct {
	name  string // in the directory of the store, with slashes
	bytes int64
	sum   string
}

// copyStore copies the files of a store that nobody changes. They are under their
// own name only when all are there, on the disk, and accept is content.
func copyStore(ctx context.Context, to, from string, accept func([]copied) error) (err error) {
	tmp := filepath.Join(to, "incomplete")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	list, err := os.ReadDir(filepath.Join(from, disk.Files))
	if err != nil {
		return err
	}
	var done []copied
	for _, e := range list {
		if !e.Type().IsRegular() {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f, err := copyFile(filepath.Join(tmp, e.Name()), filepath.Join(from, disk.Files, e.Name()))
		if err != nil {
			return err
		}
		f.name = disk.Files + "/" + e.Name()
		done = append(done, f)
	}
	if err := accept(done); err != nil {
		return err
	}
	if err := syncDir(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(to, disk.Files)); err != nil {
		return err
	}
	return errors.Join(syncDir(to), syncDir(filepath.Dir(filepath.Clean(to))))
}

func copyFile(to, from string) (f copied, err error) {
	src, err := os.Open(from)
	if err != nil {
		return f, err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return f, err
	}
	h := sha256.New()
	f.bytes, err = io.Copy(io.MultiWriter(dst, h), src)
	f.sum = hex.EncodeToString(h.Sum(nil))
	if err == nil {
		err = dst.Sync()
	}
	return f, errors.Join(err, dst.Close())
}

// writeSums writes the file of checksums.
func writeSums(dir string, list []copied) error {
	f, err := os.OpenFile(filepath.Join(dir, sums), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for _, c := range list {
		if _, err = fmt.Fprintf(f, "%s  %s\n", c.sum, c.name); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// checkSums compares what was copied with the file of checksums. Who looks into a backup
// with inspect leaves a lock there, and takes the engine's note of its options away, which nobody needs.
func checkSums(dir string, list []copied) error {
	b, err := os.ReadFile(filepath.Join(dir, sums))
	if err != nil {
		return err
	}
	want := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		if sum, name, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			want[name] = sum
		}
	}
	for _, c := range list {
		if sum, known := want[c.name]; !known && c.name == disk.Files+"/LOCK" {
			continue
		} else if sum != c.sum {
			return fmt.Errorf("%s is not what was backed up", filepath.Join(dir, c.name))
		}
		delete(want, c.name)
	}
	for name := range want {
		if strings.HasPrefix(name, disk.Files+"/OPTIONS-") {
			continue
		}
		return fmt.Errorf("%s is missing", filepath.Join(dir, name))
	}
	return nil
}

// syncDir makes the names in a directory durable. Not every system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
