// Package access is what a configuration says about who may connect and who may do
// what: it reads the password files, access lists and dynamic security that the
// listeners name, makes of them what the broker asks, and explains decisions.
//
// The package must never know how files are written in a configuration, nor how
// anybody is connected.
//
//	a, err := access.Load(conf, nil, log)
//	fmt.Println(a.Explain(access.Question{Client: "sensor7", Action: auth.Publish, Topic: "home/heat"}, report))
package access
