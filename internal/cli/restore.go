package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// restoreCommand makes a store of a backup.
type restoreCommand struct {
	Dir string `arg:"" help:"Directory of the backup." type:"existingdir"`
	dataFlag
}

func (c *restoreCommand) run(ctx context.Context, s Streams) int {
	data, err := c.dir(s)
	if err == nil {
		err = c.restore(ctx, data)
	}
	if err != nil {
		fmt.Fprintf(s.Err, "nightjar: restore: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(s.Err, "%s is ready; start the broker with nightjar serve --data %s\n", data, data)
	return exitOK
}

// restore copies the backup, compares the copy with the checksums, and reads all
// of it.
func (c *restoreCommand) restore(ctx context.Context, data string) (err error) {
	for _, name := range []string{disk.Files, sums} {
		if _, err := os.Stat(filepath.Join(c.Dir, name)); err != nil {
			return fmt.Errorf("%s is not a whole backup: %w", c.Dir, err)
		}
	}
	undo, err := makeEmpty(data)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	err = copyStore(ctx, data, c.Dir, func(l []copied) error { return checkSums(c.Dir, l) })
	if err != nil {
		return fmt.Errorf("nothing was restored: %w", err)
	}
	v, err := disk.OpenView(data, disk.Options{})
	if err == nil {
		return v.Close()
	}
	return errors.Join(fmt.Errorf("nothing was restored, the backup in %s cannot be used: %w", c.Dir, err),
		os.RemoveAll(filepath.Join(data, disk.Files)), os.RemoveAll(filepath.Join(data, "LOCK")))
}
