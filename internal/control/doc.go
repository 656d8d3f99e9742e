// Package control is the socket in the data directory through which an operator's
// command talks to the broker that holds the directory.
//
// The socket is the file control, a Unix socket with permission 0600: who may
// connect is who may write to it. A connection carries one request, a word on a
// line, and its answer, JSON objects on a line each:
//
//	inspect   a Line for each session and each retained message, then one with Done
//	backup    a Line with Copy: a directory beside the store that holds a copy of
//	          it, made of links; the broker removes it when the connection ends
//	explain Q a Line with Answer to a Question, which is a JSON object
//
// The broker writes nowhere but in its own directory: the command that asked
// copies what it was shown to where its user may write.
//
// The package must never know MQTT connections or the keys of the store.
//
//	control.Listen(dir, store, log).Serve(ctx)   // the broker
//	copy, done, err := control.Backup(ctx, dir)  // the command
package control
