// Package router knows who is subscribed to what: it finds the receivers of a message by its topic name and the
// retained messages by a topic filter. It must never know connections, sessions, packets or storage: a subscriber is
// any comparable value.
package router
