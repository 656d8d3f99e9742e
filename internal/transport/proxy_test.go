package transport

import (
	"bytes"
	"io"
	"testing"

	"github.com/pires/go-proxyproto"
)

// Whatever comes, a PROXY header is read to its end and not a byte further.
func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 5000 1883\r\nrest", "PROXY UNKNOWN\r\n", "PROXY TCP6 ::1 ::1 1 2\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00rest", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x13\x88\x07\x5brest",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, second bool) {
		want := Proxy{Version: 1}
		if second {
			want.Version = 2
		}
		r := bytes.NewReader(in)
		via, err := readProxy(r, want)
		if (via == nil) == (err == nil) {
			t.Fatalf("%v and %v", via, err)
		}
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(r)
		header := in[:len(in)-len(rest)]
		if want.Version == 1 && !bytes.HasSuffix(header, []byte("\r\n")) || !second && !bytes.HasPrefix(header, proxyproto.SIGV1) || second && !bytes.HasPrefix(header, proxyproto.SIGV2) {
			t.Fatalf("took %q", header)
		}
		for n := range header { // every prefix is incomplete
			if _, err := readProxy(bytes.NewReader(header[:n]), want); err == nil {
				t.Fatalf("%q is enough", header[:n])
			}
		}
	})
}
