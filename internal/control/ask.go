package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"
)

// ErrNotRunning: no broker listens in the directory.
var ErrNotRunning = errors.New("no broker runs there")

// ask sends a request. The connection ends with ctx.
func ask(ctx context.Context, dir, verb string) (*bufio.Reader, func(), error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EINVAL), // EINVAL: the path is too long for a socket
		errors.Is(err, syscall.ENOTDIR):
		return nil, nil, ErrNotRunning
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, fmt.Errorf("ask the broker: %w (be the user that it runs as, or root)", err)
	case err != nil:
		return nil, nil, fmt.Errorf("ask the broker: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	end := func() {
		stop()
		conn.Close()
	}
	if _, err := io.WriteString(conn, verb+"\n"); err != nil {
		end()
		return nil, nil, fmt.Errorf("ask the broker: %w", err)
	}
	return bufio.NewReader(conn), end, nil
}

// InspectRunning calls yield for every line that the running broker has about its
// state; the last has Done. The error is [ErrNotRunning] if there is no broker.
func InspectRunning(ctx context.Context, dir string, yield func(*Line) error) error {
	r, end, err := ask(ctx, dir, "inspect")
	if err != nil {
		return err
	}
	defer end()
	return lines(r, yield)
}

// lines calls yield for every line up to the one with Done.
func lines(r io.Reader, yield func(*Line) error) error {
	for d := json.NewDecoder(r); ; {
		l, err := next(d)
		if err != nil {
			return err
		}
		if err := yield(l); err != nil || l.Done != nil {
			return err
		}
	}
}

// Backup lets the running broker make a copy of its store. The copy is there
// until done is called. The error is [ErrNotRunning] if there is no broker.
func Backup(ctx context.Context, dir string) (copy string, done func(), err error) {
	r, end, err := ask(ctx, dir, "backup")
	if err != nil {
		return "", nil, err
	}
	l, err := next(json.NewDecoder(r))
	if err != nil {
		end()
		return "", nil, err
	}
	return l.Copy, end, nil
}

// Explain asks the running broker. The error is [ErrNotRunning] if there is none.
func Explain(ctx context.Context, dir string, q *Question) (*Answer, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("write the question: %w", err)
	}
	r, end, err := ask(ctx, dir, "explain "+string(text))
	if err != nil {
		return nil, err
	}
	defer end()
	l, err := next(json.NewDecoder(r))
	if err != nil {
		return nil, err
	}
	if l.Answer == nil {
		return nil, errors.New("the broker's answer explains nothing")
	}
	return l.Answer, nil
}

func next(d *json.Decoder) (*Line, error) {
	var l Line
	if err := d.Decode(&l); err != nil {
		return nil, fmt.Errorf("read the broker's answer: %w", err)
	}
	if l.Error != "" {
		return nil, fmt.Errorf("the broker says: %s", l.Error)
	}
	return &l, nil
}
