// Package dynsec is Mosquitto's dynamic security: clients, groups and roles in one
// JSON file, changed by commands while the broker runs.
//
// A [Security] answers who may connect and who may do what, as package auth asks,
// and carries out the commands that administrators publish to [Topic]. A command
// that has been answered is on the disk and holds for everybody from then on. The
// file is Mosquitto's, and its own tools may make or read it.
//
// The package must never know how a message came or where the answer goes.
//
//	s, err := dynsec.Open("/var/lib/mosquitto/dynamic-security.json")
//	out := s.Command(admin, []byte(`{"commands":[{"command":"listClients"}]}`))
package dynsec
