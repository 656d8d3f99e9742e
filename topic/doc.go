// Package topic knows the two languages of MQTT's section 4.7: topic names, which a message carries, and topic
// filters, which a subscription carries. It validates both, takes shared subscription filters apart, and decides
// whether a filter matches a name or covers another filter.
//
// Everything here is a function of its arguments: no state, no I/O, no allocation except for errors. Text may be a
// string or a []byte; bytes are only read during the call and never kept. Whether text is well-formed UTF-8 is for
// the packet codec to decide, since it holds for every string in a packet [MQTT-4.7.3-3]; the functions here compare
// bytes and change nothing [MQTT-4.7.3-4].
//
// The package must never know about packets, sessions, reason codes or who is subscribed: the index of many filters
// is a matter of the router. No function recurses over levels, so the depth of a topic is bounded by memory alone;
// servers should nevertheless bound it, see [DefaultMaxLevels].
//
//	f, err := topic.ParseFilter("$share/workers/plant/+/alarm")
//	// f.Share == "workers", f.Filter == "plant/+/alarm"
//	topic.Match(f.Filter, "plant/7/alarm") // true
package topic
