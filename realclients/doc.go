// Package realclients lets programs that other people wrote talk to the broker, and looks at what comes out: Debian's
// mosquitto_pub, mosquitto_sub and mosquitto_rr, paho for Python, npm's mqtt, and the bytes that small boards send. The Go
// clients of others are in the module gopeers beside it, so that the product depends on none of them.
//
// It knows how to start a broker for a test and how to run a client beside it. It must never look into the broker: what a
// test asserts is what a client printed, what came over a socket, the log, or an exit status.
//
// It is for tests only. A client that is not installed skips its tests, but fails them where CI=true. With
// NIGHTJAR_PEER=mosquitto the same tests run against Debian's mosquitto, which tells whether a test is right.
//
//	s := realclients.Start(t)
//	out, err := exec.Command("mosquitto_sub", "-p", s.Port, "-t", "$SYS/broker/version", "-C", "1").Output()
package realclients
