package client_test

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/nightjarmq/nightjar/broker"
	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/packet"
)

// join copies both ways until both ends are closed.
func join(a, b net.Conn) {
	var work sync.WaitGroup
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		work.Go(func() {
			io.Copy(pair[0], pair[1])
			pair[0].Close()
		})
	}
	work.Wait()
}

// An HTTP proxy is asked with CONNECT and the credentials, and its refusal is told.
func TestHTTPProxy(t *testing.T) {
	url, _ := nightjar(t, broker.Config{})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Error(r.Method)
		}
		who := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:se:cret"))
		if r.Header.Get("Proxy-Authorization") != who {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		there, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(here, "HTTP/1.1 200 Connection established\r\nX-Nonsense: y\r\n\r\n")
		join(here, there)
	}))
	defer proxy.Close()
	through := func(who, server string) error {
		dial, err := client.Proxy(strings.Replace(proxy.URL, "http://", "http://"+who, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.Dial(deadline(t), server, client.Options{Dial: dial})
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Publish(deadline(t), &packet.Publish{Topic: []byte("a"), QoS: 1})
	}
	if err := through("me:se%3Acret@", url); err != nil {
		t.Error(err)
	}
	if err := through("", url); err == nil || !strings.Contains(err.Error(), "407 Proxy Authentication Required") {
		t.Error(err)
	}
	if err := through("me:se%3Acret@", "mqtt://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "502") {
		t.Error(err)
	}
}

// A SOCKS5 proxy that breaks the protocol is told apart from one that refuses (RFC 1928, RFC 1929).
func TestSOCKSProxyAnswers(t *testing.T) {
	for answer, says := range map[string]string{
		"":                                 "EOF",
		"\x05\xff":                         "another way of authentication",
		"\x05\x02\x01\x01":                 "refuses the user name or password",
		"\x05\x02\x01\x00\x05\x05\x00\x01": "cannot connect to server:1883 (SOCKS5 reply 5)",
		"\x05\x02\x01\x00\x05\x00\x00\x03\x04abcdxx": "without an answer", // the tunnel is there, and then the server hangs up
	} {
		near, far := net.Pipe()
		go func() {
			buf := make([]byte, 300)
			for _, n := range []int{2, 2, 4, 7} { // the proxy's answers, one for each question
				if _, err := far.Read(buf); err != nil || len(answer) == 0 {
					break
				}
				n = min(n, len(answer))
				if len(answer) > n && n == 4 {
					n = len(answer)
				}
				if _, err := io.WriteString(far, answer[:n]); err != nil {
					break
				}
				answer = answer[n:]
			}
			far.Close()
		}()
		dial, err := client.Proxy("socks5h://user:pw@proxy", func(_ context.Context, network, address string) (net.Conn, error) {
			if network != "tcp" || address != "proxy:1080" {
				t.Error(network, address)
			}
			return near, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Dial(deadline(t), "mqtt://server", client.Options{Dial: dial}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// Proxy URLs that cannot work are refused.
func TestProxyURLs(t *testing.T) {
	for url, says := range map[string]string{
		"ftp://x": "scheme", "socks5://": "no host", "http://[": "proxy URL", "socks5://" + strings.Repeat("u", 256) + "@x": "255 bytes",
	} {
		if _, err := client.Proxy(url, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
