package bridges

import (
	"errors"
	"fmt"
	"io"

	"github.com/nightjarmq/nightjar/internal/bridge"
	"github.com/nightjarmq/nightjar/internal/config"
)

// Check reports what would keep the bridges of c from starting: certificates that cannot be read, for example. Nothing is sent.
func Check(c *config.Config) error {
	var all []error
	for i := range c.Bridges {
		_, err := convert(&c.Bridges[i], "")
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Show writes which topics would cross the bridges of a configuration file and under which names, and what becomes of
// the topics in names. Nothing is sent.
func Show(w io.Writer, file string, names []string) error {
	c, _, err := config.Load(file)
	if err != nil {
		return err
	}
	if len(c.Bridges) == 0 {
		return fmt.Errorf("%s: no bridge; one begins with \"connection NAME\", in nightjar.toml with [[bridge]]", file)
	}
	for i := range c.Bridges {
		bc, err := convert(&c.Bridges[i], "")
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "bridge %s to", bc.Name)
		for _, s := range bc.Servers {
			fmt.Fprintf(w, " %s", s.Address)
		}
		fmt.Fprintf(w, ", here as %s, there as %s\n", bc.LocalClientID, bc.RemoteClientID)
		for i := range bc.Topics {
			showTopic(w, &bc.Topics[i])
		}
		for _, name := range names {
			showName(w, bc.Topics, name)
		}
	}
	return nil
}

func showTopic(w io.Writer, t *bridge.Topic) {
	if t.Out {
		fmt.Fprintf(w, "  out  qos %d  %s -> %s\n", t.QoS, t.Local(), t.Remote())
	}
	if t.In {
		fmt.Fprintf(w, "  in   qos %d  %s <- %s\n", t.QoS, t.Local(), t.Remote())
	}
}

func showName(w io.Writer, topics []bridge.Topic, name string) {
	remote, out := bridge.Outward(topics, name)
	local, in := bridge.Inward(topics, name)
	if out {
		fmt.Fprintf(w, "  %s here is %s there\n", name, remote)
	}
	if in {
		fmt.Fprintf(w, "  %s there is %s here\n", name, local)
	}
	if !out && !in {
		fmt.Fprintf(w, "  %s does not cross\n", name)
	}
}
