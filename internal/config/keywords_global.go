package config

import (
	"math"
	"time"
)

const bools = "true|false"

// globalKeywords are those that hold for the whole broker or that decide who
// may connect.
func globalKeywords() []Keyword {
	return []Keyword{
		{Name: "acl_file", Scope: Secure, Type: "path", Help: "File of rules that say who may publish and subscribe to what.", Fate: Kept,
			set: last(func(r *reader) *string { return &r.security().ACLFile })},
		{Name: "allow_anonymous", Scope: Secure, Type: bools, Default: "false; true without listeners", Help: "Let clients in that name no user.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				v, err := w.bool()
				if err == nil {
					r.security().anonymous = &v
				}
				return err
			}},
		{Name: "allow_zero_length_clientid", Scope: Secure, Type: bools, Default: "true", Help: "Give an identifier to clients that bring none.", Fate: Kept,
			set: noFlag(func(r *reader) *bool { return &r.security().RefuseEmptyClientID })},
		{Name: "auto_id_prefix", Scope: Secure, Type: "text", Default: "auto-", Help: "Begins the identifiers that the broker gives.", Fate: Kept,
			set: once(func(r *reader) *string { return &r.security().AutoIDPrefix })},
		{Name: "password_file", Scope: Secure, Type: "path", Help: "File of users and hashed passwords.", Fate: Kept,
			set: last(func(r *reader) *string { r.trigger(); return &r.security().PasswordFile })},
		{Name: "psk_file", Scope: Secure, Type: "path", Help: "File of identities and pre-shared keys.", Fate: Kept,
			set: last(func(r *reader) *string { r.trigger(); return &r.security().PSKFile })},
		{Name: "per_listener_settings", Scope: Global, Type: bools, Default: "false", Help: "Make password_file, acl_file, allow_anonymous and their like settings of each listener.", Fate: Kept,
			set: perListener},

		{Name: "autosave_interval", Scope: Global, Type: "seconds", Default: "1800", Help: "How often the database is saved.", Fate: Ignored,
			Why: "what was acknowledged is on disk already", set: number(math.MinInt32, math.MaxInt32)},
		{Name: "autosave_on_changes", Scope: Global, Type: bools, Default: "false", Help: "Count changes instead of seconds.", Fate: Ignored,
			Why: "what was acknowledged is on disk already", set: boolean},
		{Name: "persistence", Scope: Global, Type: bools, Default: "false", Help: "Keep sessions and messages on disk.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.cfg.Persistence.Enabled })},
		{Name: "retained_persistence", Scope: Global, Type: bools, Default: "false", Help: "An older name of persistence.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.cfg.Persistence.Enabled })},
		{Name: "persistence_file", Scope: Global, Type: "name", Default: "mosquitto.db", Help: "Name of the database.", Fate: Changed,
			Why: "the database is a directory of its own; Mosquitto's file is left alone", set: once(func(r *reader) *string { return &r.cfg.Persistence.File })},
		{Name: "persistence_location", Scope: Global, Type: "path", Default: "the current directory", Help: "Directory of the database.", Fate: Kept,
			set: once(func(r *reader) *string { return &r.cfg.Persistence.Dir })},

		{Name: "include_dir", Scope: Global, Type: "path", Help: "Read all files *.conf of a directory.", Fate: Kept, set: include},
		{Name: "pid_file", Scope: Global, Type: "path", Help: "File that is given the process id.", Fate: Kept,
			set: once(func(r *reader) *string { return &r.cfg.PIDFile })},
		{Name: "user", Scope: Global, Type: "name", Default: "mosquitto", Help: "Whom a process of root becomes.", Fate: Kept,
			set: last(func(r *reader) *string { return &r.cfg.User })},
		{Name: "sys_interval", Scope: Global, Type: "seconds", Default: "10", Help: "How often $SYS is updated; 0 is never.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(0, math.MaxUint16)
				r.cfg.SysInterval = time.Duration(n) * time.Second
				if n == 0 {
					r.cfg.SysInterval = -1
				}
				return err
			}},
		{Name: "set_tcp_nodelay", Scope: Global, Type: bools, Default: "false", Help: "Send small packets at once.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.cfg.NoDelay })},
		{Name: "enable_control_api", Scope: Global, Type: bools, Default: "true", Since: "2.1", Help: "Offer the $CONTROL topics.", Fate: Kept,
			set: noFlag(func(r *reader) *bool { return &r.cfg.NoControl })},
	}
}

// limitKeywords bound what clients may ask.
func limitKeywords() []Keyword {
	return []Keyword{
		{Name: "allow_duplicate_messages", Scope: Global, Type: bools, Default: "true", Help: "Allow several copies where subscriptions overlap.", Fate: Ignored,
			Why: "overlapping subscriptions of a client deliver a message once", set: boolean},
		{Name: "check_retain_source", Scope: Global, Type: bools, Default: "true", Help: "Send a retained message only while its publisher may publish it.", Fate: Kept,
			set: noFlag(func(r *reader) *bool { return &r.cfg.Limits.TrustRetained })},
		{Name: "clientid_prefixes", Scope: Global, Type: "text", Help: "What every client identifier must begin with.", Fate: Kept,
			set: last(func(r *reader) *string { return &r.cfg.Limits.ClientIDPrefix })},
		{Name: "global_max_clients", Scope: Global, Type: "number", Default: "-1", Since: "2.1", Help: "Most sessions, connected or not; -1 is no limit.", Fate: Kept,
			set: limit(0, math.MaxInt32, func(r *reader) *int { return &r.cfg.Limits.MaxClients })},
		{Name: "global_max_connections", Scope: Global, Type: "number", Default: "-1", Since: "2.1", Help: "Most connections over all listeners; -1 is no limit.", Fate: Kept,
			set: limit(0, math.MaxInt32, func(r *reader) *int { return &r.cfg.Limits.MaxConnections })},
		{Name: "max_inflight_bytes", Scope: Global, Type: "bytes", Default: "0", Help: "Most bytes of QoS 1 and 2 under way to a client; 0 is no limit.", Fate: Kept,
			set: limit(0, math.MaxInt32, func(r *reader) *int { return &r.cfg.Limits.MaxInflightBytes })},
		{Name: "max_inflight_messages", Scope: Global, Type: "number", Default: "20", Help: "Most messages of QoS 1 and 2 under way to a client; 0 is no limit.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(math.MinInt32, math.MaxUint16)
				if n <= 0 || n == math.MaxUint16 {
					n = -1
				}
				r.cfg.Limits.MaxInflightMessages = n
				return err
			}},
		{Name: "max_keepalive", Scope: Global, Type: "seconds", Default: "65535", Help: "Longest keep-alive of a client.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(0, math.MaxUint16)
				r.cfg.Limits.MaxKeepAlive = time.Duration(n) * time.Second
				if n == 0 {
					r.cfg.Limits.MaxKeepAlive = -1
				}
				return err
			}},
		{Name: "max_packet_size", Scope: Global, Type: "bytes", Default: "no limit; 2000000 in 2.1", Help: "Largest packet of a client.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(20, math.MaxInt32)
				r.cfg.Limits.MaxPacketSize = n
				return err
			}},
		{Name: "max_queued_bytes", Scope: Global, Type: "bytes", Default: "0", Help: "Most bytes that wait for a client; 0 is no limit.", Fate: Kept,
			set: limit(0, math.MaxInt32, func(r *reader) *int { return &r.cfg.Limits.MaxQueuedBytes })},
		{Name: "max_queued_messages", Scope: Global, Type: "number", Default: "1000", Help: "Most messages that wait for a client; 0 is no limit.", Fate: Kept,
			set: limit(0, math.MaxInt32, func(r *reader) *int { return &r.cfg.Limits.MaxQueuedMessages })},
		{Name: "memory_limit", Scope: Global, Type: "bytes", Default: "0", Help: "Most memory of the broker; 0 is no limit.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(0, math.MaxInt)
				if n == 0 {
					n = -1
				}
				r.cfg.Limits.Memory = n
				return err
			}},
		{Name: "message_size_limit", Scope: Global, Type: "bytes", Default: "0", Help: "Largest payload of a client; 0 is no limit.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(0, 268435455)
				if n == 0 {
					n = -1
				}
				r.cfg.Limits.MessageSizeLimit = n
				return err
			}},
		{Name: "persistent_client_expiration", Scope: Global, Type: "time", Default: "never", Help: "Ends sessions that do not come back.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				d, err := w.lifetime()
				r.cfg.Limits.PersistentClientExpiration = d
				return err
			}},
		{Name: "queue_qos0_messages", Scope: Global, Type: bools, Default: "false", Help: "Queue QoS 0 for sessions without a connection.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.cfg.Limits.QueueQoS0 })},
		{Name: "retain_available", Scope: Global, Type: bools, Default: "true", Help: "Offer retained messages.", Fate: Kept,
			set: noFlag(func(r *reader) *bool { return &r.cfg.Limits.NoRetain })},
		{Name: "retain_expiry_interval", Scope: Global, Type: "minutes", Default: "never", Since: "2.1", Help: "Ends retained messages.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				n, err := w.int(1, math.MaxInt32)
				r.cfg.Limits.RetainExpiry = time.Duration(min(n, 10_000_000)) * time.Minute
				return err
			}},
		{Name: "retry_interval", Scope: Global, Type: "seconds", Help: "When to send again without a new connection.", Fate: Ignored,
			Why: "MQTT allows sending again only after a reconnect; Mosquitto ignores it too", set: skip},
		{Name: "upgrade_outgoing_qos", Scope: Global, Type: bools, Default: "false", Help: "Deliver with the QoS of the subscription.", Fate: Kept,
			set: flag(func(r *reader) *bool { return &r.cfg.Limits.UpgradeOutgoingQoS })},
		{Name: "websockets_headers_size", Scope: Global, Type: "bytes", Default: "1024", Help: "Size of the buffer for HTTP headers.", Fate: Changed,
			Why: "it bounds the head of a request; 8 KiB are always allowed",
			set: limit(0, math.MaxUint16, func(r *reader) *int { return &r.cfg.Limits.HTTPHeader })},
		{Name: "packet_buffer_size", Scope: Global, Type: "bytes", Default: "4096", Since: "2.1", Help: "Size of the read buffer.", Fate: Ignored,
			Why: "connections share buffers", set: number(0, math.MaxUint16)},
	}
}

// number accepts a number that means nothing here.
func number(least, most int) func(*reader, *words) *Error {
	return func(_ *reader, w *words) *Error {
		_, err := w.int(least, most)
		return err
	}
}

// boolean accepts a boolean that means nothing here.
func boolean(_ *reader, w *words) *Error {
	_, err := w.bool()
	return err
}

// perListener must come before whatever it applies to. It cannot be taken back.
func perListener(r *reader, w *words) *Error {
	v, err := w.bool()
	switch {
	case err != nil || r.cfg.PerListener:
		return err
	case v && r.secured:
		return wrong("it comes after a setting that it applies to", "make it the first line of the file")
	}
	r.cfg.PerListener = v
	return nil
}
