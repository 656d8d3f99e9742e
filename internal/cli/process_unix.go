//go:build unix

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/nightjarmq/nightjar/internal/store/disk"
)

// controlSignals are the signals that do not end the broker.
func controlSignals() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
}

func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGHUP:
		return "HUP"
	case syscall.SIGUSR1:
		return "USR1"
	case syscall.SIGUSR2:
		return "USR2"
	}
	return ""
}

// becomeUser makes a process of root one of the named user, to whom the paths
// are given before; "" is mosquitto, else nobody.
func becomeUser(name string, log *slog.Logger, paths ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if name == "root" {
		log.Warn("the broker runs as root: start it as another user, or with -c and a configuration that names one")
		return nil
	}
	u, err := lookUp(name)
	if err != nil {
		return err
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if err := errors.Join(uerr, gerr); err != nil {
		return fmt.Errorf("become user %s: %w", u.Username, err)
	}
	for _, p := range paths {
		if err := giveTo(p, uid, gid); err != nil {
			return fmt.Errorf("give %s to user %s: %w", p, u.Username, err)
		}
	}
	groups, err := groupsOf(u, gid)
	if err == nil {
		err = syscall.Setgroups(groups)
	}
	if err == nil {
		err = syscall.Setgid(gid)
	}
	if err == nil {
		err = syscall.Setuid(uid)
	}
	if err != nil {
		return fmt.Errorf("become user %s: %w", u.Username, err)
	}
	log.Info("the broker runs as user " + u.Username)
	return nil
}

func lookUp(name string) (*user.User, error) {
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w: create it, or name another one", name, err)
		}
		return u, nil
	}
	if u, err := user.Lookup("mosquitto"); err == nil {
		return u, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("neither user mosquitto nor user nobody exists: %w: name another one with user", err)
	}
	return u, nil
}

func groupsOf(u *user.User, gid int) ([]int, error) {
	ids, err := u.GroupIds()
	if err != nil {
		return []int{gid}, nil // the first one is enough
	}
	var list []int
	for _, id := range ids {
		n, err := strconv.Atoi(id)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// giveTo makes the user the owner of a path and all in it. The data directory is
// made if it is not there. A directory of others, named by mistake, stays theirs.
func giveTo(path string, uid, gid int) error {
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { // the user must get through
			return err
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
	}
	if err := ownDirectory(path); err != nil {
		return err
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, uid, gid)
	})
}

// ownDirectory is an error if path is a directory with something in it and
// without a store.
func ownDirectory(path string) error {
	list, err := os.ReadDir(path)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil // a file
	}
	if err != nil {
		return err
	}
	other := ""
	for _, e := range list {
		switch e.Name() {
		case "LOCK": // stays when the files are set aside
			return nil
		case "lost+found": // of a file system of its own
		default:
			other = e.Name()
		}
	}
	store, _ := filepath.Glob(filepath.Join(path, disk.Files, "MANIFEST-*")) // the pattern is well formed
	if other != "" && len(store) == 0 {                                      // else it was just restored
		return fmt.Errorf("it holds other things, as %s, and no store: name a directory for the broker alone", other)
	}
	return nil
}

// background starts the program again, in a session of its own.
func background(name string, io Streams) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(io.Err, "%s: -d: %v\n", name, err)
		return exitListener
	}
	cmd := exec.Command(self)
	cmd.Args, cmd.Env = os.Args, append(os.Environ(), inBackground+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(io.Err, "%s: -d: %v\n", name, err)
		return exitListener
	}
	return exitOK
}
