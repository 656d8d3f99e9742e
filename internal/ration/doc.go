// Package ration bounds what the faults of others put into the log: how many lines
// from one source, and how long a text of theirs in them.
//
// The package must never know what a line says and where it goes.
//
//	if left, ok := lines.Next(ration.Place(addr)); ok {
//		log.Warn("refused", "client", ration.Cut(id), "unlogged", left)
//	}
package ration
