package config

// logKeywords are about what is logged.
func logKeywords() []Keyword {
	return []Keyword{
		{Name: "connection_messages", Scope: Global, Type: bools, Default: "true", Help: "Log connects and disconnects.", Fate: Kept,
			set: noFlag(func(r *reader) *bool { return &r.cfg.Log.NoConnections })},
		{Name: "log_dest", Scope: Global, Type: "none|stdout|stderr|syslog|topic|dlt|file PATH", Default: "stderr", Help: "Where the log goes; may be repeated.", Fate: Kept,
			set: logDest},
		{Name: "log_facility", Scope: Global, Type: "0 to 7", Default: "daemon", Help: "Facility local0 to local7 of syslog.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(0, 7)
				r.cfg.Log.Facility = n
				return err
			}},
		{Name: "log_timestamp", Scope: Global, Type: bools, Default: "true", Help: "Begin each line with the time.", Fate: Kept,
			set: noFlag(func(r *reader) *bool { return &r.cfg.Log.NoTimestamp })},
		{Name: "log_timestamp_format", Scope: Global, Type: "text", Default: "seconds since 1970", Help: "Form of the time, as for strftime.", Fate: Kept,
			set: once(func(r *reader) *string { return &r.cfg.Log.TimestampFormat })},
		{Name: "log_type", Scope: Global, Type: "debug|error|warning|notice|information|subscribe|unsubscribe|websockets|internal|none|all",
			Default: "error, warning, notice, information", Help: "Which messages are logged; may be repeated.", Fate: Kept, set: logType},
		{Name: "websockets_log_level", Scope: Global, Type: "number", Default: "0", Help: "Bit mask of libwebsockets.", Fate: Ignored,
			Why: "there is no libwebsockets; log_type debug shows WebSocket errors", set: skip},
	}
}

func logDest(r *reader, w *words) *Error {
	dest, err := w.oneOf("none", "stdout", "stderr", "syslog", "topic", "dlt", "file")
	if err != nil {
		return err
	}
	log := &r.cfg.Log
	switch r.logged = true; dest {
	case "none":
		*log = Log{Types: log.Types, Facility: log.Facility, NoTimestamp: log.NoTimestamp, TimestampFormat: log.TimestampFormat, NoConnections: log.NoConnections}
	case "stdout":
		log.Stdout = true
	case "stderr":
		log.Stderr = true
	case "syslog":
		log.Syslog = true
	case "topic":
		log.Topic = true
	case "dlt":
		r.note(Ignored, "there is no Diagnostic Log and Trace; use syslog or file")
	case "file":
		if log.File != "" {
			return wrong("a second log file", "name one file")
		}
		log.File, err = w.text()
		return err
	}
	return nil
}

func logType(r *reader, w *words) *Error {
	bits := map[string]LogType{
		"error": LogError, "warning": LogWarning, "notice": LogNotice, "information": LogInformation, "debug": LogDebug,
		"subscribe": LogSubscribe, "unsubscribe": LogUnsubscribe, "websockets": LogWebSockets, "internal": LogInternal, "all": LogAll,
	}
	s, err := w.oneOf("debug", "error", "warning", "notice", "information", "subscribe", "unsubscribe", "websockets", "internal", "none", "all")
	if err != nil {
		return err
	}
	if !r.typed || s == "none" {
		r.cfg.Log.Types = LogNone
	}
	r.typed = true
	r.cfg.Log.Types |= bits[s]
	return nil
}
