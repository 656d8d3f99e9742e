package crash

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that the broker owes.
const patience = 60 * time.Second

// build makes the program, as a release has it or with build tags.
func build(t *testing.T, root string, tags string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "nightjar")
	cmd := exec.Command("go", "build", "-tags", tags, "-o", bin, "./cmd/nightjar")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return bin
}

// process is a running broker.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	ready chan string // its address, once; closed when it has ended
	ended chan struct{}
	state error // how it ended, when ended is closed
}

// start starts the broker on the directory; what it says is added to log.
func start(bin, data string, log *os.File, env ...string) (*process, error) {
	return serve(bin, []string{"--listen", "mqtt://127.0.0.1:0", "--data", data}, log, env...)
}

// serve starts the broker with the arguments.
func serve(bin string, args []string, log *os.File, env ...string) (*process, error) {
	p := &process{
		cmd:   exec.Command(bin, append([]string{"serve"}, args...)...),
		began: time.Now(), ready: make(chan string, 1), ended: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), env...)
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	go func() {
		defer close(p.ended)
		defer close(p.ready)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Fprintln(log, lines.Text())
			addr, listens := strings.CutPrefix(lines.Text(), "listening on mqtt://")
			if !listens && !strings.HasSuffix(lines.Text(), " running") { // which it says when it was configured
				continue
			}
			select {
			case p.ready <- addr:
			default:
			}
		}
		p.state = p.cmd.Wait()
	}()
	return p, nil
}

// address waits for it.
func (p *process) address() (string, error) {
	select {
	case addr, ok := <-p.ready:
		if ok {
			return addr, nil
		}
		<-p.ended
		return "", fmt.Errorf("the broker does not start: %v", p.state)
	case <-time.After(patience):
		return "", errors.New("the broker does not start in time")
	}
}

// kill ends the process with no chance to do anything.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stop ends the process as an operator does.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		if p.state != nil {
			return fmt.Errorf("the broker ends with %w", p.state)
		}
		return nil
	case <-time.After(patience):
		p.kill()
		return errors.New("the broker does not end in time")
	}
}
