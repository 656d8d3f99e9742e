//go:build windows || plan9

package logging

import "errors"

func openSyslog(string, string, int) (sysLogger, error) {
	return nil, errors.New("this system has no syslog: use log_dest file or stderr")
}
