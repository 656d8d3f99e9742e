// Package cli is the command line: the sub-commands of nightjar, their flags,
// what they print and how they exit. Each command is a file. The commands that
// Mosquitto has too (pub, sub) read Mosquitto's flags.
//
// It must never know the protocol: brokers come from package broker, clients
// from package client.
//
//	code := cli.Main(ctx, version, os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv})
package cli
