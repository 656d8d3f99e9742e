//go:build !windows && !plan9

package logging

import (
	"log/syslog"

	"github.com/nightjarmq/nightjar/internal/config"
)

type unixSyslog struct{ *syslog.Writer }

// openSyslog connects to the log of this machine. facility is 0 to 7 for local0
// to local7, negative for daemon.
func openSyslog(name string, facility int) (sysLogger, error) {
	p := syslog.LOG_DAEMON
	if facility >= 0 {
		p = syslog.LOG_LOCAL0 + syslog.Priority(facility)<<3
	}
	w, err := syslog.New(p|syslog.LOG_NOTICE, name)
	if err != nil {
		return nil, err
	}
	return unixSyslog{w}, nil
}

func (u unixSyslog) write(kind config.LogType, line string) error {
	switch kind {
	case config.LogError:
		return u.Err(line)
	case config.LogWarning:
		return u.Warning(line)
	case config.LogNotice:
		return u.Notice(line)
	case config.LogInformation:
		return u.Info(line)
	}
	return u.Debug(line)
}
