package config

import (
	"math"
	"time"
)

// bridgeLinkKeywords say how a bridge connects.
func bridgeLinkKeywords() []Keyword {
	text := func(f func(b *Bridge) *string) func(r *reader, w *words) *Error {
		return once(func(r *reader) *string { return f(r.here.bridge) })
	}
	yes := func(f func(b *Bridge) *bool) func(r *reader, w *words) *Error {
		return flag(func(r *reader) *bool { return f(r.here.bridge) })
	}
	return []Keyword{
		{Name: "bridge_protocol_version", Scope: OfBridge, Type: "mqttv31|mqttv311|mqttv50", Default: "mqttv50, else mqttv311", Help: "MQTT version to connect with.", Fate: Kept, set: bridgeVersion},
		{Name: "keepalive_interval", Scope: OfBridge, Type: "seconds", Default: "60", Help: "Silence after which the bridge pings.", Fate: Kept,
			set: atLeast(5, math.MaxUint16, func(b *Bridge) *time.Duration { return &b.KeepAlive })},
		{Name: "idle_timeout", Scope: OfBridge, Type: "seconds", Default: "60", Help: "Silence after which a lazy bridge ends.", Fate: Kept,
			set: atLeast(1, math.MaxInt32, func(b *Bridge) *time.Duration { return &b.IdleTimeout })},
		{Name: "threshold", Scope: OfBridge, Type: "number", Default: "10", Help: "Queued messages that start a lazy bridge.", Fate: Kept,
			set: bridgeNumber(math.MinInt32, math.MaxInt32, func(b *Bridge, n int) { b.Threshold = max(n, 1) })},
		{Name: "restart_timeout", Scope: OfBridge, Type: "base [cap [stable]]", Default: "5 30", Help: "Seconds to wait before connecting again.", Fate: Kept, set: restartTimeout},
		{Name: "start_type", Scope: OfBridge, Type: "automatic|lazy|once", Default: "automatic", Help: "When the bridge connects.", Fate: Kept,
			set: func(r *reader, w *words) *Error {
				s, err := w.oneOf("automatic", "lazy", "once")
				r.here.bridge.Start = s
				return err
			}},
		{Name: "bridge_reload_type", Scope: OfBridge, Type: "lazy|immediate", Default: "lazy", Since: "2.1", Help: "When a reload acts on the bridge.", Fate: Ignored,
			Why: "a reload acts at once on the bridges that it changes, and on no others", set: func(_ *reader, w *words) *Error {
				_, err := w.oneOf("lazy", "immediate")
				return err
			}},
		{Name: "bridge_bind_address", Scope: OfBridge, Type: "address", Help: "Local address to connect from.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.BindAddress })},
		{Name: "bridge_max_packet_size", Scope: OfBridge, Type: "bytes", Default: "0", Help: "Largest packet to send; 0 is no limit.", Fate: Kept,
			set: bridgeNumber(math.MinInt32, math.MaxInt32, func(b *Bridge, n int) { b.MaxPacketSize = max(n, 0) })},
		{Name: "bridge_max_topic_alias", Scope: OfBridge, Type: "number", Default: "10", Since: "2.1", Help: "Topic aliases of a 5.0 bridge.", Fate: Ignored,
			Why: "bridges send whole topics, which every broker accepts", set: bridgeNumber(0, math.MaxUint16, func(*Bridge, int) {})},
		{Name: "bridge_receive_maximum", Scope: OfBridge, Type: "number", Since: "2.1", Help: "Receive Maximum of a 5.0 bridge.", Fate: Kept,
			set: bridgeNumber(1, math.MaxUint16, func(b *Bridge, n int) { b.ReceiveMaximum = n })},
		{Name: "bridge_session_expiry_interval", Scope: OfBridge, Type: "seconds", Since: "2.1", Help: "Session Expiry of a 5.0 bridge.", Fate: Kept,
			set: bridgeNumber(0, math.MaxInt32, func(b *Bridge, n int) { b.SessionExpiry = addSeconds(n) })},
		{Name: "bridge_tcp_keepalive", Scope: OfBridge, Type: "idle interval count", Since: "2.1", Help: "Keep-alive of TCP.", Fate: Kept, set: tcpKeepAlive},
		{Name: "bridge_tcp_user_timeout", Scope: OfBridge, Type: "milliseconds", Since: "2.1", Help: "How long sent data may stay unacknowledged.", Fate: Kept,
			set: bridgeNumber(0, math.MaxInt32, func(b *Bridge, n int) { b.UserTimeout = time.Duration(n) * time.Millisecond })},

		{Name: "bridge_mptcp", Scope: OfBridge, Type: bools, Default: "false", Since: "2.1", Help: "Connect with Multipath TCP.", Fate: Ignored,
			Why: "bridges connect with plain TCP, which every broker accepts", set: boolean},

		{Name: "bridge_cafile", Scope: OfBridge, Type: "path", Help: "Authorities that signed the other broker's certificate.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.TLS.CAFile })},
		{Name: "bridge_capath", Scope: OfBridge, Type: "path", Help: "Directory of such authorities.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.TLS.CAPath })},
		{Name: "bridge_tls_use_os_certs", Scope: OfBridge, Type: bools, Default: "false", Since: "2.1", Help: "Trust the system's authorities.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.TLS.OSCerts })},
		{Name: "bridge_certfile", Scope: OfBridge, Type: "path", Help: "Certificate of the bridge.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.TLS.CertFile })},
		{Name: "bridge_keyfile", Scope: OfBridge, Type: "path", Help: "Private key of the bridge.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.TLS.KeyFile })},
		{Name: "bridge_tls_version", Scope: OfBridge, Type: "tlsv1.3|tlsv1.2|tlsv1.1", Default: "tlsv1.2", Help: "Version of TLS.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.TLS.MinVersion })},
		{Name: "bridge_ciphers", Scope: OfBridge, Type: "cipher:cipher", Since: "2.1", Help: "Ciphers of TLS 1.2.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.TLS.Ciphers })},
		{Name: "bridge_ciphers_tls1.3", Scope: OfBridge, Type: "cipher:cipher", Since: "2.1", Help: "Ciphers of TLS 1.3.", Fate: Ignored,
			Why: "the three ciphers of TLS 1.3 are always offered, all are safe", set: text(func(b *Bridge) *string { return &b.TLS.Ciphers13 })},
		{Name: "bridge_alpn", Scope: OfBridge, Type: "text", Help: "Application protocol of TLS.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.TLS.ALPN })},
		{Name: "bridge_insecure", Scope: OfBridge, Type: bools, Default: "false", Help: "Do not verify the other broker's host name.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.TLS.Insecure })},
		{Name: "bridge_require_ocsp", Scope: OfBridge, Type: bools, Default: "false", Help: "Require a stapled OCSP answer.", Fate: Kept,
			set: yes(func(b *Bridge) *bool { return &b.TLS.RequireOCSP })},
		{Name: "bridge_identity", Scope: OfBridge, Type: "text", Help: "Identity of a pre-shared key.", Fate: Kept,
			set: text(func(b *Bridge) *string { return &b.TLS.PSKIdentity })},
		{Name: "bridge_psk", Scope: OfBridge, Type: "hex", Help: "Pre-shared key.", Fate: Kept, Secret: true,
			set: text(func(b *Bridge) *string { return &b.TLS.PSK })},
	}
}

// bridgeNumber stores a number.
func bridgeNumber(least, most int, store func(b *Bridge, n int)) func(*reader, *words) *Error {
	return func(r *reader, w *words) *Error {
		n, err := w.int(least, most)
		if err == nil {
			store(r.here.bridge, n)
		}
		return err
	}
}

// atLeast stores seconds; too few are raised.
func atLeast(least, most int, at func(b *Bridge) *time.Duration) func(*reader, *words) *Error {
	return func(r *reader, w *words) *Error {
		n, err := w.int(math.MinInt32, most)
		if err == nil && n < least {
			n = least
			r.note(Changed, "raised to the least value, "+addSeconds(least).String())
		}
		*at(r.here.bridge) = addSeconds(n)
		return err
	}
}

func bridgeVersion(r *reader, w *words) *Error {
	s, err := w.oneOf("mqttv31", "mqttv311", "mqttv50")
	r.here.bridge.Version = map[string]byte{"mqttv31": 3, "mqttv311": 4, "mqttv50": 5}[s]
	return err
}

// restartTimeout reads "BASE [CAP [STABLE]]", in seconds.
func restartTimeout(r *reader, w *words) *Error {
	base, err := w.int(math.MinInt32, math.MaxInt32)
	if err != nil {
		return err
	}
	b := Backoff{Base: addSeconds(min(max(base, 1), 3600))}
	if rest := (&words{w.rest}).tail(); rest != "" {
		most, err := w.int(math.MinInt32, math.MaxInt32)
		if err != nil {
			return err
		}
		if b.Cap = addSeconds(min(most, 7200)); b.Cap < b.Base {
			return wrong("the cap is lower than the base", "write the smaller number first")
		}
	}
	if rest := (&words{w.rest}).tail(); rest != "" {
		n, err := w.int(0, math.MaxInt32)
		if err != nil {
			return err
		}
		b.Stable = addSeconds(n)
	}
	r.here.bridge.Restart = b
	return nil
}

// tcpKeepAlive reads "IDLE INTERVAL COUNT".
func tcpKeepAlive(r *reader, w *words) *Error {
	var n [3]int
	for i := range n {
		var err *Error
		if n[i], err = w.int(1, math.MaxInt32); err != nil {
			return err
		}
	}
	r.here.bridge.TCPKeepAlive = TCPKeepAlive{addSeconds(n[0]), addSeconds(n[1]), n[2]}
	return nil
}
