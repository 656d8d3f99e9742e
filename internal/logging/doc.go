// Package logging writes the broker's log as Mosquitto does: to standard error,
// standard output, a file, syslog or the topics $SYS/broker/log, with the times
// and kinds of messages that the configuration names; or as JSON.
//
// It is a slog.Handler. A record that has the attribute "event" is a whole
// sentence, as tools that read logs expect it, and its other attributes are for
// JSON alone; with any other record they follow the message. Whatever a record
// says, a line of the log is one line, and its control characters are escaped.
//
// The package must never know what a message is about.
//
//	l, err := logging.Open(logging.Options{Log: cfg.Log, Stderr: os.Stderr})
//	broker.New(broker.Config{Log: l.Logger()})
package logging
