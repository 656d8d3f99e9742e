package transport

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxRequest is the most bytes of an HTTP request head, unless said otherwise.
const maxRequest = 8 << 10

// errHandover: the connection goes to net/http.
var errHandover = errors.New("an HTTP request")

// upgrade waits for the whole head of an HTTP request in p and answers it. It
// returns how many bytes follow the head; they are at the front of p then.
func (w *wsStage) upgrade(c *Conn, b *Batch, p []byte) (n int, err error) {
	end := bytes.Index(p, []byte("\r\n\r\n"))
	most := cmp.Or(c.l.cfg().MaxHeader, maxRequest)
	if end < 0 && len(p) <= most {
		c.keep(b, p)
		return 0, nil
	}
	if end < 0 || end > most {
		return 0, refuse(c, b, http.StatusRequestHeaderFieldsTooLarge, "request too large")
	}
	r, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(p[:end+4]), 16))
	if err != nil {
		return 0, refuse(c, b, http.StatusBadRequest, "not an HTTP request")
	}
	if c.l.cfg().NoUpgrade || !asks(r.Header, "Connection", "upgrade") || !asks(r.Header, "Upgrade", "websocket") {
		if c.l.cfg().HTTP != nil {
			c.keep(b, p) // the whole request, for net/http to read again
			return 0, errHandover
		}
		return 0, refuse(c, b, http.StatusUpgradeRequired, "this is a WebSocket endpoint")
	}
	protocol, status, why := c.l.checkUpgrade(r)
	if status != 0 {
		return 0, refuse(c, b, status, why)
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		acceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n"
	if protocol != "" {
		answer += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	c.sendRaw(b, []byte(answer+"\r\n"))
	w.upgraded = true
	n = copy(p, p[end+4:])
	b.stash.put(c.tail)
	c.tail = nil
	c.ready(b)
	return n, nil
}

// asks says whether a header that lists words contains one.
func asks(h http.Header, name, word string) bool {
	for _, line := range h.Values(name) {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), word) {
				return true
			}
		}
	}
	return false
}

// checkUpgrade returns the sub-protocol to use, or the status of the refusal.
func (l *Listener) checkUpgrade(r *http.Request) (protocol string, status int, why string) {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || err != nil || len(key) != 16:
		return "", http.StatusBadRequest, "not a WebSocket upgrade"
	case l.cfg().WebSocketPath != "" && r.URL.Path != l.cfg().WebSocketPath:
		return "", http.StatusNotFound, "WebSocket is at " + l.cfg().WebSocketPath
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return "", http.StatusUpgradeRequired, "only version 13 of WebSocket is spoken here"
	case !l.allowsOrigin(r.Header.Get("Origin")):
		return "", http.StatusForbidden, "origin not allowed"
	case len(l.cfg().Subprotocols) == 0:
		return "", 0, ""
	}
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for item := range strings.SplitSeq(line, ",") {
			if item = strings.TrimSpace(item); slices.Contains(l.cfg().Subprotocols, item) {
				return item, 0, "" // [MQTT-6.0.0-4]
			}
		}
	}
	// [MQTT-6.0.0-3]
	return "", http.StatusBadRequest, "offer one of the sub-protocols " + strings.Join(l.cfg().Subprotocols, ", ")
}

// allowsOrigin: only browsers send an Origin, and they send it always.
func (l *Listener) allowsOrigin(origin string) bool {
	return origin == "" || len(l.cfg().AllowedOrigins) == 0 ||
		slices.Contains(l.cfg().AllowedOrigins, "*") || slices.Contains(l.cfg().AllowedOrigins, origin)
}

// acceptKey proves that the key of the request was understood (RFC 6455, 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// refuse answers an HTTP request with an error and returns why.
func refuse(c *Conn, b *Batch, status int, why string) error {
	extra := ""
	if status == http.StatusUpgradeRequired {
		extra = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	}
	c.sendRaw(b, fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n%sConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s\n",
		status, http.StatusText(status), extra, len(why)+1, why))
	return fmt.Errorf("WebSocket upgrade refused with %d: %s", status, why)
}
