// Package bridges runs the bridges of a configuration file, starts and ends them when the file changes, and counts what they do.
//
// It knows what a block of the file means to a bridge, and lets bridges into the broker. It never knows what a bridge does.
//
//	list := bridges.New(log)
//	plan, err := list.Plan(b, conf)
//	if err != nil { ... }
//	serving, end := list.Run(ctx, b, plan)
//	defer end()
//	err = b.Run(serving)
package bridges
