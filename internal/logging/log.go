package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nightjarmq/nightjar/internal/config"
)

// Options say where the log goes besides what the configuration says.
type Options struct {
	config.Log
	Stdout, Stderr io.Writer
	Name           string           // of the program, for syslog
	Syslog         string           // the socket of syslog; "" means that of this machine
	Now            func() time.Time // nil means time.Now
}

// Log is an open log. Its Logger may be used by many goroutines, while
// Reconfigure changes where it goes.
type Log struct {
	o    Options
	conf atomic.Pointer[config.Log]

	mu     sync.Mutex // guards what follows
	file   *os.File
	syslog sysLogger
	topics chan Line // nil until Topics
}

// Line is what is published to a topic of the log.
type Line struct{ Topic, Text string }

// sysLogger writes to the system's log.
type sysLogger interface {
	io.Closer
	write(kind config.LogType, line string) error
}

// Open opens the file and the connection to syslog that the options name. What
// syslog does not take, because it is not there, goes to the standard error.
func Open(o Options) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Log{o: o}
	return l, l.Reconfigure(o.Log)
}

// Reconfigure makes another configuration hold, and opens the file again even if
// its name is the same: it may have been moved away. With an error nothing has
// changed.
func (l *Log) Reconfigure(c config.Log) error {
	var file *os.File
	var sys sysLogger
	var err error
	if c.File != "" {
		if file, err = os.OpenFile(c.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640); err != nil {
			return fmt.Errorf("open the log: %w", err)
		}
	}
	if c.Syslog {
		if sys, err = openSyslog(l.o.Syslog, l.o.Name, c.Facility); err != nil {
			if file != nil {
				file.Close()
			}
			return fmt.Errorf("connect to syslog: %w", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close()
	l.file, l.syslog = file, sys
	l.conf.Store(&c)
	return nil
}

// Close closes file and syslog.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close()
}

func (l *Log) close() {
	if l.file != nil {
		l.file.Close()
	}
	if l.syslog != nil {
		l.syslog.Close()
	}
	l.file, l.syslog = nil, nil
}

// topicLines is how many lines may wait to be published; more are lost.
const topicLines = 1000

// Topics returns the lines that are to be published, while the configuration says
// so.
func (l *Log) Topics() <-chan Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.topics == nil {
		l.topics = make(chan Line, topicLines)
	}
	return l.topics
}

// Logger returns a logger that writes to the log.
func (l *Log) Logger() *slog.Logger { return slog.New(&handler{log: l}) }

// write sends a line, without its end, to all places.
func (l *Log) write(c *config.Log, kind config.LogType, stamp, line string, topic bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	whole := []byte(stamp + line + "\n")
	// A log that cannot be written has nobody to be told.
	if c.Stdout && l.o.Stdout != nil {
		l.o.Stdout.Write(whole)
	}
	if c.Stderr && l.o.Stderr != nil {
		l.o.Stderr.Write(whole)
	}
	if l.file != nil {
		l.file.Write(whole)
	}
	if l.syslog != nil && l.syslog.write(kind, line) != nil && !c.Stderr && l.o.Stderr != nil {
		l.o.Stderr.Write(whole) // a container has no syslog, but somebody who reads this
	}
	if letter := letters[kind]; topic && c.Topic && l.topics != nil && letter != "" {
		select {
		case l.topics <- Line{Topic: "log/" + letter, Text: stamp + line}:
		default:
		}
	}
}

// letters name the topics below $SYS/broker/log. Details are not published: they
// would be about publishing them.
var letters = map[config.LogType]string{
	config.LogError: "E", config.LogWarning: "W", config.LogNotice: "N", config.LogInformation: "I",
	config.LogSubscribe: "M/subscribe", config.LogUnsubscribe: "M/unsubscribe",
}
