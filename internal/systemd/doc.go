// Package systemd speaks the protocols by which systemd starts a service: the
// sockets that it hands over, what the service tells it, and its watchdog. It is
// plain files and environment variables; without them every function does
// nothing, on every system.
//
// It must never know what the service does.
//
//	sockets, err := systemd.Sockets(os.Getenv) // bound before we ran
//	n, err := systemd.Open(os.Getenv)
//	n.Tell("READY=1", "STATUS=listening")
//	go n.Watch(ctx)
//
// The protocols are described in sd_listen_fds(3), sd_notify(3) and
// sd_watchdog_enabled(3).
package systemd
