// Package passwd is the command that changes password files, with the flags, the
// prompts and the exit codes of mosquitto_passwd.
//
// It must never know how a password is hashed or how a file is written: that is
// package auth.
//
//	code := passwd.Run("nightjar passwd", args, os.Stdin, os.Stdout, os.Stderr)
package passwd
