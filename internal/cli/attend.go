package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/nightjarmq/nightjar/broker"
)

// attend looks after a running broker: signals, files that change, and the log's
// topics. The returned function ends that.
func (v *service) attend(ctx context.Context) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	signals := make(chan os.Signal, 4)
	watched := controlSignals()
	if len(watched) > 0 {
		signal.Notify(signals, watched...)
	}
	work.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				v.heed(s)
			}
		}
	})
	lines := v.log.Topics()
	work.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case l := <-lines:
				v.b.Publish(ctx, broker.Message{Topic: "$SYS/broker/" + l.Topic, Payload: []byte(l.Text)}) // a log that cannot be published has nobody to be told
			}
		}
	})
	work.Go(func() { v.watch(ctx) })
	return func() {
		signal.Stop(signals)
		stop()
		work.Wait()
	}
}

// heed acts on a signal, as Mosquitto does.
func (v *service) heed(s os.Signal) {
	switch signalName(s) {
	case "HUP":
		if err := v.reload(); err != nil {
			v.say.Error("the configuration was not reloaded; everything stays as it was", "err", err)
		}
	case "USR1":
		v.say.Info("there is nothing to save: what was acknowledged is stored already")
	case "USR2":
		v.printSubscriptions()
	}
}

// printSubscriptions writes who is subscribed to what to standard output.
func (v *service) printSubscriptions() {
	for _, s := range v.b.Subscriptions() {
		fmt.Fprintf(v.io.Out, "%s (QoS %d): %s\n", s.Filter, s.QoS, s.ClientID)
	}
}

// reload reads the configuration again. With an error everything is as it was.
func (v *service) reload() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cmd.Config == "" {
		return v.renew()
	}
	v.say.Info("Reloading config.", "event", "reload")
	next, err := v.cmd.plan(v.io, v.say)
	if err != nil {
		return err
	}
	next.rules.Follow(v.plan.rules)
	v.logKeys(next.cfg.Listeners)
	v.offerAPI(next.cfg.Listeners)
	list, err := v.bridges.Plan(v.b, next.conf)
	if err != nil {
		return err
	}
	if err := v.b.Reload(next.cfg); err != nil {
		return err
	}
	v.bridges.Change(list)
	v.tellLater(next)
	v.plan = next
	if err := v.log.Reconfigure(next.log); err != nil { // the rest holds
		v.say.Error("the log stays where it was", "err", err)
	}
	v.say.Info("the configuration was reloaded", "listeners", len(v.b.Addrs()))
	return nil
}

// tellLater says what a reload cannot change.
func (v *service) tellLater(next *plan) {
	was, now := v.plan.conf, next.conf
	for what, changed := range map[string]bool{
		"persistence and its location": was.Persistence != now.Persistence,
		"user":                         was.User != now.User,
		"pid_file":                     was.PIDFile != now.PIDFile,
		"sys_interval":                 was.SysInterval != now.SysInterval,
		"global_max_connections":       was.Limits.MaxConnections != now.Limits.MaxConnections,
	} {
		if changed {
			v.say.Warn("a change of the configuration waits for a restart", "what", what)
		}
	}
}

// renew reads certificates, password and access files again.
func (v *service) renew() error {
	for _, r := range v.plan.certificates {
		if err := r.Reload(); err != nil {
			return err
		}
	}
	if v.plan.conf == nil {
		return nil
	}
	cfg := v.plan.cfg
	cfg.Auth, cfg.Access = nil, nil
	rules, err := admission(&cfg, v.plan.conf)
	if err != nil {
		return err
	}
	rules.Follow(v.plan.rules)
	v.plan.cfg, v.plan.rules = cfg, rules
	return v.b.Reload(cfg)
}

// files are those whose change is taken up.
func (v *service) files() (list []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.plan.certificates {
		list = append(list, r.Files()...)
	}
	if c := v.plan.conf; c != nil {
		for i := range c.Listeners {
			s := &c.Listeners[i].Security
			list = append(list, s.PasswordFile, s.ACLFile)
		}
	}
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(s string) bool { return s == "" })
}

// settle is how long files must rest before they are read: certificate and key
// are written one after the other.
const settle = 300 * time.Millisecond

// watch takes up changed certificates, passwords and access lists.
func (v *service) watch(ctx context.Context) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		v.say.Warn("changed certificates and passwords are taken up by a reload only", "err", err)
		return
	}
	defer w.Close()
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	failed := false // the files could not be read: another owner or mode may help
	for {
		for _, f := range v.files() {
			if err := w.Add(filepath.Dir(f)); err != nil { // again and again is once
				v.say.Warn("the file is not watched for changes", "file", f, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case e := <-w.Events:
			if (failed || e.Op != fsnotify.Chmod) && v.concerns(e) {
				due.Reset(settle)
			}
		case err := <-w.Errors:
			v.say.Warn("watching files for changes", "err", err)
			due.Reset(settle) // events may be lost
		case <-due.C:
			v.mu.Lock()
			err := v.renew()
			v.mu.Unlock()
			failed = err != nil
			if err != nil {
				v.say.Error("changed files were not taken up; the old ones hold", "err", err)
			} else {
				v.say.Info("changed certificates, passwords and access lists were taken up")
			}
		}
	}
}

// concerns reports whether one of our files changed, or the directory of a link to
// it, as Kubernetes does it.
func (v *service) concerns(e fsnotify.Event) bool {
	for _, f := range v.files() {
		if filepath.Clean(f) == filepath.Clean(e.Name) || filepath.Base(e.Name) == "..data" || filepath.Dir(filepath.Clean(e.Name)) == filepath.Clean(f) {
			return true
		}
	}
	return false
}
