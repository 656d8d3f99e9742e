// Package bridges runs the bridges of a configuration file.
//
// It knows what a block of the file means to a bridge, and lets bridges into the broker. It never knows what a bridge does.
//
//	serving, end, err := bridges.Run(ctx, b, conf, log)
//	if err != nil { ... }
//	defer end()
//	err = b.Run(serving)
package bridges
