// Package admin is what a browser, a monitor or a script sees of the running
// broker over HTTP: metrics, health, and the API of Mosquitto 2.1.
//
// It knows the broker through its public methods. It must never know packets,
// sessions or the store, nor change anything.
//
//	api := admin.New("1.2.3")
//	cfg.Listeners = append(cfg.Listeners, broker.Listener{
//		Address: "127.0.0.1:9001", WebSocket: true, Anonymous: true,
//		HTTP: api.Handler(admin.Listener{Anonymous: true}),
//	})
//	b, err := broker.New(cfg)
//	...
//	api.Attach(b)
package admin
