//go:build !windows && !plan9

package logging

import (
	"log/syslog"

	"github.com/nightjarmq/nightjar/internal/config"
)

// unixSyslog writes to the log of this machine, which may come later and go away.
type unixSyslog struct {
	socket, name string
	priority     syslog.Priority
	w            *syslog.Writer // nil: not connected
}

// openSyslog makes a writer to the log of this machine, or to the one behind a
// socket. facility is 0 to 7 for local0 to local7, negative for daemon.
func openSyslog(socket, name string, facility int) (sysLogger, error) {
	p := syslog.LOG_DAEMON
	if facility >= 0 {
		p = syslog.LOG_LOCAL0 + syslog.Priority(facility)<<3
	}
	u := &unixSyslog{socket: socket, name: name, priority: p | syslog.LOG_NOTICE}
	_ = u.connect() // write tries again, and says so
	return u, nil
}

func (u *unixSyslog) connect() (err error) {
	network := ""
	if u.socket != "" {
		network = "unixgram"
	}
	u.w, err = syslog.Dial(network, u.socket, u.priority, u.name)
	return err
}

func (u *unixSyslog) write(kind config.LogType, line string) error {
	if u.w == nil {
		if err := u.connect(); err != nil {
			return err
		}
	}
	switch kind { // the writer connects again by itself
	case config.LogError:
		return u.w.Err(line)
	case config.LogWarning:
		return u.w.Warning(line)
	case config.LogNotice:
		return u.w.Notice(line)
	case config.LogInformation:
		return u.w.Info(line)
	}
	return u.w.Debug(line)
}

func (u *unixSyslog) Close() error {
	if u.w == nil {
		return nil
	}
	return u.w.Close()
}
