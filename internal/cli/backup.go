package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
	files, bytes, err := c.backup(ctx, s)
	if err != nil {
		fmt.Fprintf(s.Err, "nightjar: backup: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(s.Err, "%d files, %d bytes are in %s; bring them back with nightjar restore %s --data DIR\n", files, bytes, c.Dir, c.Dir)
	return exitOK
}

func (c *backupCommand) backup(ctx context.Context, s Streams) (files int, bytes int64, err error) {
	data, err := c.dir(s)
	if err != nil {
		return 0, 0, err
	}
	if err := makeEmpty(c.Dir); err != nil {
		return 0, 0, err
	}
	from, done, err := control.Backup(ctx, data)
	if errors.Is(err, control.ErrNotRunning) {
		from, done, err = offline(data)
	}
	if err != nil {
		return 0, 0, err
	}
	defer done()
	return copyStore(ctx, c.Dir, from)
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
		return nil, fmt.Errorf("%s holds no store: name its directory with --data", data)
	case errors.Is(err, disk.ErrLocked):
		return nil, fmt.Errorf("a broker has the store and does not answer in %s: %w", filepath.Join(data, "control"), err)
	case errors.Is(err, disk.ErrNewer):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w (the broker sets damage aside when it starts)", err)
	}
	return v, nil
}

// makeEmpty makes a directory, or sees that it is empty.
func makeEmpty(dir string) error {
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return err
	case len(list) > 0:
		return fmt.Errorf("%s is not empty: nothing is overwritten; name another directory", dir)
	}
	return nil
}

// copyStore copies the files of a store that nobody changes. They are under their
// own name only when all are there and on the disk.
func copyStore(ctx context.Context, to, from string) (files int, bytes int64, err error) {
	tmp := filepath.Join(to, "incomplete")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return 0, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	list, err := os.ReadDir(filepath.Join(from, disk.Files))
	if err != nil {
		return 0, 0, err
	}
	for _, e := range list {
		if !e.Type().IsRegular() {
			continue
		}
		if ctx.Err() != nil {
			return files, bytes, ctx.Err()
		}
		n, err := copyFile(filepath.Join(tmp, e.Name()), filepath.Join(from, disk.Files, e.Name()))
		if err != nil {
			return files, bytes, err
		}
		files++
		bytes += n
	}
	if err := syncDir(tmp); err != nil {
		return files, bytes, err
	}
	if err := os.Rename(tmp, filepath.Join(to, disk.Files)); err != nil {
		return files, bytes, err
	}
	return files, bytes, errors.Join(syncDir(to), syncDir(filepath.Dir(filepath.Clean(to))))
}

func copyFile(to, from string) (n int64, err error) {
	src, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(dst, src)
	if err == nil {
		err = dst.Sync()
	}
	return n, errors.Join(err, dst.Close())
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
