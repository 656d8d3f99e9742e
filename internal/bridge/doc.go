// Package bridge joins a broker with another one: it passes messages on, under other names if need be, and loses none.
//
// It knows MQTT packets and two connections, one to the local broker in this process and one to the remote broker. It
// never knows how a broker works inside, and no configuration file.
//
// # Nothing is stored here
//
// To the local broker a bridge is a client with a durable session, and so it is to the remote one. Between the two it
// passes packets on with their packet identifiers unchanged: a PUBLISH of the local session becomes the PUBLISH of the
// session at the remote, and the remote's PUBACK, or PUBREC and PUBCOMP, the answer to the local broker. So the local
// session's queue is the bridge's queue, a message leaves it when the remote has acknowledged it, and what one broker has
// stored about a handshake is all that is ever needed to continue it. After the loss of either connection, or a crash of
// either side, both are made again, and each session sends again what it has to [MQTT-4.4.0-1]; the packet identifier
// tells the other broker what it has got already [MQTT-4.3.3-10]. The other direction is the same with the roles changed.
//
// That holds as long as both sessions exist. When one of them is new the identifiers of the other are released first, so
// that no new message is taken for an old one; what was under way then may arrive twice, as with any lost session.
//
// # Nothing circles
//
// A bridge subscribes with No Local, or as a bridge before 5.0, so that it gets nothing back. A message of 5.0 carries the
// brokers that it has left by a bridge in user properties; it does not leave one of them a second time, and not more than
// Config.MaxHops of them if that is set.
//
//	b := bridge.New(bridge.Config{Name: "cloud", Servers: []bridge.Server{{Address: "cloud.example:1883"}},
//		RemoteClientID: "home.cloud", LocalClientID: "local.home.cloud",
//		Topics: []bridge.Topic{{Pattern: "sensors/#", Out: true, QoS: 1, RemotePrefix: "home/"}}}, broker, log)
//	err := b.Run(ctx)
package bridge
