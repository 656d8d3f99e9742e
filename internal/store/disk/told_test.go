package disk

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// opening opens and closes the store, and returns what the log has of it, a record on each line.
func opening(t *testing.T, fs vfs.FS) (lines []string, s *Store) {
	t.Helper()
	var log bytes.Buffer
	o := smallOptions(fs)
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	s = mustOpen(t, "data", o)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(log.String()), "\n"), s
}

// TestStartIsTold: each start says in one line whether there was a store, what it has, and
// whether it had been closed.
func TestStartIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		fs       func() vfs.FS
		has, not string
	}{
		"new":    {func() vfs.FS { return vfs.NewMem() }, "A new store is begun in data", "opened"},
		"closed": {func() vfs.FS { fs, _ := small(t, true, 7); return fs }, "crashed=false", "had not been closed"},
		"killed": {func() vfs.FS { fs, _ := small(t, false, 7); return fs }, "It had not been closed, as in a crash; its log was read back, and no damage was found.", "crashed=false"},
	} {
		t.Run(name, func(t *testing.T) {
			lines, s := opening(t, c.fs())
			if len(lines) != 1 || !strings.Contains(lines[0], c.has) || strings.Contains(lines[0], c.not) {
				t.Fatalf("want one line with %q and without %q:\n%s", c.has, c.not, strings.Join(lines, "\n"))
			}
			st := s.Stats()
			if counts := fmt.Sprintf("sessions=%d retained=%d queued=%d ", st.Sessions, st.Retained, st.Queued); name != "new" && !strings.Contains(lines[0], counts) {
				t.Errorf("it does not say %q: %s", counts, lines[0])
			}
		})
	}
}

// TestFailedStartForgetsNoCrash: a start that fails does not hide from the next one that the store had not been closed.
func TestFailedStartForgetsNoCrash(t *testing.T) {
	fs, _ := small(t, false, 7)
	s := newStore("data", smallOptions(fs))
	s.fs.broken.Store(true) // as when a file cannot be read: then damage is not for the start to judge
	if err := damage(".sst", 0.1)(t, fs); err != nil {
		t.Fatal(err)
	}
	if err := s.open(); err == nil {
		t.Fatal("it opens")
	}
	if lines, _ := opening(t, fs); !strings.Contains(lines[len(lines)-1], "crashed=true") {
		t.Errorf("the next start says %s", lines[len(lines)-1])
	}
}

// damage damages a byte in each file of the kind, at a share of what it has.
func damage(kind string, share float64) func(*testing.T, vfs.FS) error {
	return func(t *testing.T, fs vfs.FS) error {
		n := 0
		for _, name := range files(t, fs, "data") {
			b := content(t, fs, name)
			if used := len(bytes.TrimRight(b, "\x00")); strings.HasSuffix(name, kind) && used > 0 {
				n++
				b[int(float64(used)*share)] ^= 1
				if err := writeFile(fs, name, b); err != nil {
					return err
				}
			}
		}
		if n == 0 {
			return fmt.Errorf("there is no %s", kind)
		}
		return nil
	}
}

// logged makes a store that was killed and has a log of many submissions and no table.
func logged(t *testing.T) vfs.FS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, "data", Options{FS: fs})
	defer s.Close()
	w := newWindow(s)
	h := newHistory(s, rand.New(rand.NewPCG(7, 7)))
	for range 50 {
		ticket, err := h.submit()
		if err == nil {
			err = w.wait(ticket)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return fs.CrashClone(vfs.CrashCloneCfg{})
}

// killed makes a store that was killed, for the damage of that name.
func killed(t *testing.T, name string) vfs.FS {
	t.Helper()
	if name == "log damaged" {
		return logged(t)
	}
	fs, _ := small(t, false, 7)
	return fs
}

// remove removes the files whose names begin or end so.
func remove(kinds ...string) func(*testing.T, vfs.FS) error {
	return func(t *testing.T, fs vfs.FS) error {
		n := 0
		for _, name := range files(t, fs, "data/db") {
			for _, kind := range kinds {
				if base := fs.PathBase(name); strings.HasPrefix(base, kind) || strings.HasSuffix(base, kind) {
					n++
					if err := fs.Remove(name); err != nil {
						return err
					}
				}
			}
		}
		if n < len(kinds) {
			return fmt.Errorf("%d files are removed of %q", n, kinds)
		}
		return nil
	}
}

// TestDamageIsTold: the log names the file, what is lost, where the damaged files lie and what can be done, and
// says nothing of a later start. Each record is a line.
func TestDamageIsTold(t *testing.T) {
	lost := []string{"Lost: ", "nightjar restore", "The damaged files lie in data/damaged-"}
	for name, c := range map[string]struct {
		do   func(*testing.T, vfs.FS) error
		says []string
	}{
		"table damaged":             {damage(".sst", 0.1), append([]string{".sst: crc32c checksum mismatch", "whatever there was of "}, lost...)},
		"tables gone":               {remove(".sst"), append([]string{".sst is gone.", "sessions and their queues."}, lost...)},
		"log damaged":               {damage(".log", 0.5), append([]string{".log is damaged from byte"}, lost...)},
		"markers gone":              {remove("marker"), append([]string{"(db/marker.*) is gone"}, lost...)},
		"list of tables gone":       {remove("MANIFEST"), []string{"is gone, and made anew from its copy.", "Nothing is lost, and nothing has to be done."}},
		"list and copy of it, gone": {remove("MANIFEST", "mirror"), append([]string{"could not open manifest file", "Lost: everything."}, lost...)},
	} {
		t.Run(name, func(t *testing.T) {
			fs := killed(t, name)
			if err := c.do(t, fs); err != nil {
				t.Fatal(err)
			}
			lines, _ := opening(t, fs)
			all := strings.Join(lines, "\n")
			for _, want := range c.says {
				if !strings.Contains(all, want) {
					t.Errorf("it does not say %q:\n%s", want, all)
				}
			}
			for _, line := range lines[:len(lines)-1] {
				if !strings.Contains(line, "event=damage") || strings.Contains(line, `\n`) {
					t.Errorf("there is a line %s", line)
				}
			}
			if last := lines[len(lines)-1]; !strings.Contains(last, "had not been closed, as in a crash.") {
				t.Errorf("the last line is %s", last)
			}
		})
	}
}

// TestDamagedView: to look at a damaged store is an error that names what is damaged or missing, and is
// none of a store that is not there.
func TestDamagedView(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*testing.T, vfs.FS) error
		says string
	}{
		"table damaged":       {damage(".sst", 0.1), ".sst: crc32c checksum mismatch"},
		"table gone":          {remove(".sst"), ".sst is gone"},
		"list of tables gone": {remove("MANIFEST"), "MANIFEST-"},
		"markers gone":        {remove("marker"), "the marker of the list of its tables (db/marker.manifest.*) is gone"},
		"log damaged":         {damage(".log", 0.5), ".log is damaged"},
		"nothing there":       {func(_ *testing.T, fs vfs.FS) error { return fs.RemoveAll("data/db") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fs := killed(t, name)
			if err := c.do(t, fs); err != nil {
				t.Fatal(err)
			}
			_, err := OpenView("data", smallOptions(fs))
			if c.says == "" {
				if !errors.Is(err, os.ErrNotExist) {
					t.Errorf("without a store it says %v", err)
				}
				return
			}
			if !errors.Is(err, ErrDamaged) || errors.Is(err, os.ErrNotExist) || !strings.Contains(fmt.Sprint(err), c.says) || strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("it says %v, want ErrDamaged with %q", err, c.says)
			}
		})
	}
}
