package cli

import (
	"errors"
	"strings"

	"github.com/nightjarmq/nightjar/client"
)

// setProxy takes a SOCKS5 proxy, which resolves names itself.
func (o *options) setProxy(v string) error {
	if !strings.HasPrefix(v, "socks5h://") {
		return errors.New("must begin with socks5h://")
	}
	o.proxy = v
	_, err := client.Proxy(v, nil)
	return err
}
