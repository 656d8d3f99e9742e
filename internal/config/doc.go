// Package config knows what can be configured and how it is written down: one
// [Config], and the readers of mosquitto.conf and nightjar.toml that fill it. One
// table of keywords drives the former, its verdicts and the documentation; the
// latter is smaller, strict, and may take values from the environment.
//
// Mosquitto 2.0 and 2.1 do not refuse the same lines. Here a line is refused
// when both refuse it, or when accepting it would let in more clients than it
// says. Numbers must be numbers. Where an unset option has a default, the zero
// value of the field stands for it and the broker knows what it is.
//
// The package must never know about the broker, its sessions or its sockets:
// whoever runs a broker turns a Config into what the broker wants.
//
//	cfg, report, err := config.Load("/etc/mosquitto/mosquitto.conf")
//	for _, e := range report.Entries {
//		fmt.Println(e) // mosquitto.conf:3: kept: listener 1883
//	}
package config
