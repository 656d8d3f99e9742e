// Package gopeers lets the Go clients of others, paho.mqtt.golang (3.1.1) and paho.golang (5.0), talk to the broker.
//
// It is a module of its own, so that the product does not depend on them. It knows those libraries and how to build
// and start the program; like package realclients it must never look into the broker.
//
//	cd realclients/gopeers && go test ./...
package gopeers
