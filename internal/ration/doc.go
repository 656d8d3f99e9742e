// Package ration bounds what others may do by their sheer number: how often one
// source connects, how many lines the log has about its faults, and how long a
// foreign text is there.
//
// The package must never know what a line says and where it goes.
//
//	if left, ok := lines.Next(ration.Place(addr)); ok {
//		log.Warn("refused", "client", ration.Cut(id), "unlogged", left)
//	}
package ration
