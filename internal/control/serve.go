package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// name is the socket's, in the data directory.
const name = "control"

// copies is what the names of copies begin with.
const copies = "backup-"

// requestTimeout is how long a connection may take to its request.
const requestTimeout = 10 * time.Second

// Store is what the broker's own store can do.
type Store interface {
	State

	// Checkpoint makes a copy of the store in dir, which is not there yet.
	Checkpoint(dir string) error
}

// Server answers on the control socket. Make it with [Listen].
type Server struct {
	dir   string
	store Store
	log   *slog.Logger
	ln    net.Listener // nil: listening failed

	// Explain, when set, answers questions. Set it before Serve.
	Explain func(q *Question) (*Answer, error)
}

// maxRequest is the most bytes of a request: a topic may have 65535, each of which
// JSON may write as six.
const maxRequest = 1 << 20

// Listen binds the socket of the directory; whoever asks there waits for Serve.
// The caller holds the lock of the directory, so a socket or a copy that is there
// was left by a broker that was killed, and is removed. A failure is logged: the
// broker works without the socket.
func Listen(dir string, s Store, log *slog.Logger) *Server {
	v := &Server{dir: dir, store: s, log: log}
	v.tidy()
	var err error
	if v.ln, err = v.listen(); err != nil {
		log.Warn("no control socket: backup and inspect work only while the broker is stopped", "dir", dir, "err", err)
	}
	return v
}

// Serve answers requests until ctx ends and all answers have ended.
func (v *Server) Serve(ctx context.Context) {
	if v.ln == nil {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer context.AfterFunc(ctx, func() { v.ln.Close() })()
	for {
		conn, err := v.ln.Accept()
		if err != nil {
			if ctx.Err() == nil {
				v.log.Error("the control socket failed", "dir", v.dir, "err", err)
			}
			return
		}
		running.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			if err := v.answer(conn); err != nil && ctx.Err() == nil {
				v.log.Warn("answer on the control socket", "err", err)
			}
		})
	}
}

// tidy removes copies that nobody removed.
func (v *Server) tidy() {
	old, _ := filepath.Glob(filepath.Join(v.dir, copies+"*")) // the pattern is well formed
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			v.log.Warn("remove what a backup has left", "err", err)
		}
	}
}

func (v *Server) listen() (net.Listener, error) {
	path := filepath.Join(v.dir, name)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (v *Server) answer(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(io.LimitReader(conn, maxRequest), 256)
	request, err := r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("read a request: %w", err)
	}
	verb, rest, _ := strings.Cut(strings.TrimSpace(request), " ")
	switch verb {
	case "explain":
		return v.explain(conn, rest)
	case "inspect":
		w := bufio.NewWriter(conn)
		if err := Inspect(v.store, func(l *Line) error { return write(w, l) }); err != nil {
			_ = write(w, &Line{Error: err.Error()}) // if it still can be
			return errors.Join(err, w.Flush())
		}
		return w.Flush()
	case "backup":
		return v.backup(conn, r)
	default:
		return write(conn, &Line{Error: fmt.Sprintf("unknown request %q", verb[:min(len(verb), 64)])})
	}
}

// explain answers a question.
func (v *Server) explain(conn net.Conn, text string) error {
	if v.Explain == nil {
		return write(conn, &Line{Error: "this broker explains nothing"})
	}
	var q Question
	if err := json.Unmarshal([]byte(text), &q); err != nil {
		return write(conn, &Line{Error: "the question cannot be read: " + err.Error()})
	}
	a, err := v.Explain(&q)
	if err != nil {
		return write(conn, &Line{Error: err.Error()})
	}
	return write(conn, &Line{Answer: a})
}

// backup makes a copy and keeps it until the connection ends.
func (v *Server) backup(conn net.Conn, r *bufio.Reader) error {
	tmp, err := os.MkdirTemp(v.dir, copies)
	if err != nil {
		return errors.Join(err, write(conn, &Line{Error: err.Error()}))
	}
	defer func() {
		if err := os.RemoveAll(tmp); err != nil {
			v.log.Warn("remove the copy of a backup", "err", err)
		}
	}()
	dir := filepath.Join(tmp, "copy")
	if err := v.store.Checkpoint(dir); err != nil {
		return errors.Join(err, write(conn, &Line{Error: err.Error()}))
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := write(conn, &Line{Copy: dir}); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	_, _ = r.ReadByte() // whatever it says, it is the end
	v.log.Info("the store was copied for a backup", "dir", v.dir)
	return nil
}
