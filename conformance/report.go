package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// test is a case. Its clause is one of 5.0, or "3.1.1: MQTT-..." if only that version has it.
type test struct {
	name     string
	clause   string
	versions string // those it is played in
	play     func(p *play)
}

const (
	both  = "\x04\x05"
	only4 = "\x04"
	only5 = "\x05"
)

// cases are all there are, by what they are about.
func cases() []group {
	return []group{
		{"CONNECT", connectCases}, {"properties of CONNECT", connectPropertyCases}, {"identifiers", identifierCases},
		{"alive and gone", pingCases}, {"PUBLISH", publishCases}, {"properties of PUBLISH", propertyCases},
		{"retained messages", retainCases}, {"wills", willCases}, {"sessions", sessionCases},
		{"SUBSCRIBE", subscribeCases}, {"options of SUBSCRIBE", optionCases},
	}
}

type group struct {
	name  string
	tests []test
}

// Report is how a broker did.
type Report struct {
	Address string   `json:"address"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	Cases   []Result `json:"cases"`
}

// Result is how one case went in one version.
type Result struct {
	Group      string  `json:"group"`
	Name       string  `json:"name"`
	Clause     string  `json:"clause"`
	Version    string  `json:"version"`
	Result     string  `json:"result"` // "pass", "fail" or "skip"
	Detail     string  `json:"detail,omitempty"`
	Seconds    float64 `json:"seconds"`
	transcript string
}

// atOnce is how many cases are under way. Some wait for seconds to pass.
const atOnce = 16

// playAll plays the cases whose name or clause matches.
func playAll(s *settings, pattern *regexp.Regexp) *Report {
	r := &Report{Address: s.address}
	var todo []func(i int)
	prefix := strings.ToLower(rand.Text()[:8])
	for _, g := range cases() {
		for _, t := range g.tests {
			for _, v := range []byte(t.versions) {
				if !pattern.MatchString(t.name) && !pattern.MatchString(t.clause) {
					continue
				}
				name := fmt.Sprintf("%s%d", prefix, len(todo))
				todo = append(todo, func(i int) {
					r.Cases[i] = playOne(s, t, v, name)
					r.Cases[i].Group = g.name
				})
			}
		}
	}
	r.Cases = make([]Result, len(todo))
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, f := range todo {
		places <- struct{}{}
		wg.Go(func() {
			f(i)
			<-places
		})
	}
	wg.Wait()
	for _, c := range r.Cases {
		switch c.Result {
		case "pass":
			r.Passed++
		case "fail":
			r.Failed++
		default:
			r.Skipped++
		}
	}
	return r
}

func playOne(s *settings, t test, v byte, name string) Result {
	p := &play{s: s, v: v, name: name}
	began := time.Now()
	done := make(chan struct{})
	go func() { // fail ends this goroutine
		defer close(done)
		defer p.end()
		t.play(p)
	}()
	<-done
	r := Result{Name: t.name, Clause: t.clause, Version: versionName(v), Result: "pass", Seconds: time.Since(began).Seconds()}
	switch {
	case p.failed != "":
		r.Result, r.Detail, r.transcript = "fail", p.failed, p.transcript()
	case p.skipped != "":
		r.Result, r.Detail = "skip", p.skipped
	}
	return r
}

func versionName(v byte) string {
	if v == v4 {
		return "3.1.1"
	}
	return "5.0"
}

// print writes the report as a table.
func (r *Report) print(out io.Writer, verbose bool) error {
	var b strings.Builder
	last := ""
	for _, c := range r.Cases {
		if c.Group != last {
			fmt.Fprintf(&b, "\n%s\n", c.Group)
			last = c.Group
		}
		fmt.Fprintf(&b, "  %-4s  %-5s  %-22s  %s\n", c.Result, c.Version, c.Clause, c.Name)
		if c.Detail != "" {
			fmt.Fprintf(&b, "        %s\n", c.Detail)
		}
		if verbose && c.transcript != "" {
			fmt.Fprintf(&b, "          %s\n", strings.ReplaceAll(c.transcript, "\n", "\n          "))
		}
	}
	fmt.Fprintf(&b, "\n%s: %d passed, %d failed, %d skipped\n", r.Address, r.Passed, r.Failed, r.Skipped)
	_, err := io.WriteString(out, b.String())
	return err
}

// failures are the names of the cases that failed, with their versions, in order.
func (r *Report) failures() []string {
	var names []string
	for _, c := range r.Cases {
		if c.Result == "fail" {
			names = append(names, c.Version+" "+c.Name)
		}
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}
