// Package auth knows who may connect and who may do what: Mosquitto's password
// files and access control lists, and what the broker asks of them.
//
// A [Gate] answers the broker's question who a client is, a [Policy] whether it
// may publish, subscribe or be sent something. Both are read as a whole and
// replaced as a whole, so a file that cannot be read changes nothing. A missing
// or malformed file is an error, an empty one lets nobody do anything: neither
// ever means that everybody may.
//
// The package must never know about packets, sessions or sockets beyond the two
// interfaces that it serves, nor where its files are configured.
//
//	acl, err := auth.ReadACL(file, "/etc/mosquitto/acl")
//	d := acl.Check("sensor7", "alice", auth.Publish, []byte("home/heat"))
//	fmt.Println(d) // allowed by /etc/mosquitto/acl:4: topic readwrite home/#
package auth
