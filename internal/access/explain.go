package access

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/nightjarmq/nightjar/internal/auth"
	"github.com/nightjarmq/nightjar/internal/config"
	"github.com/nightjarmq/nightjar/topic"
)

// Question is what somebody wants to have explained.
type Question struct {
	Client string
	// User is the user name; "" is the client identifier if there is such a user, and
	// else nobody.
	User     string
	Listener string // address or port; "" is the first
	Action   auth.Action
	Topic    string // as the client writes it: a filter for Subscribe
	QoS      byte
	Bytes    int // of the payload
	Retain   bool
}

// Answer is an explanation.
type Answer struct {
	Allowed bool
	Lines   []string
}

func (a *Answer) say(format string, args ...any) {
	a.Lines = append(a.Lines, fmt.Sprintf(format, args...))
}

// Explain says whether a client may do something, and which line decides. The
// report, which may be nil, knows where limits were written.
func (r *Rules) Explain(q Question, report *config.Report) (*Answer, error) {
	if b := r.bridge(&q); b != nil {
		return r.explainBridge(b, &q, report)
	}
	l, err := r.at(q.Listener)
	if err != nil {
		return nil, err
	}
	name, err := full(l, &q)
	if err != nil {
		return nil, err
	}
	if q.User == "" && r.known(l, q.Client) {
		q.User = q.Client
	}
	a := new(Answer)
	who := "without a user name"
	if q.User != "" {
		who = fmt.Sprintf("user %q", q.User)
	}
	a.say("client %q, %s, at listener %s", q.Client, who, cmp.Or(l.Address(), "of no address"))
	if l.MountPoint != "" {
		a.say("mount_point %s makes the topic %q", l.MountPoint, name)
	}
	r.entry(a, l, &q)
	d := r.decide(l, &q, name)
	a.Allowed = d.Allowed
	a.say("%s %q: %s", q.Action, q.Topic, d)
	if d.Allowed && q.Action == auth.Subscribe {
		a.say("each message is asked about again, as receive with its own topic")
	}
	if d.Allowed {
		r.limits(a, l, &q, report)
	}
	return a, nil
}

// bridge is the bridge that the question is about. A client with its identifier can
// be meant only if its user or listener is named.
func (r *Rules) bridge(q *Question) *config.Bridge {
	for i := range r.conf.Bridges {
		if b := &r.conf.Bridges[i]; b.LocalClientID == q.Client && q.User == "" && q.Listener == "" {
			return b
		}
	}
	return nil
}

// explainBridge answers for a bridge, which passwords and access control lists are
// not about.
func (r *Rules) explainBridge(b *config.Bridge, q *Question, report *config.Report) (*Answer, error) {
	l := &config.Listener{MaxQoS: 2} // it comes through none
	if _, err := full(l, q); err != nil {
		return nil, err
	}
	a := &Answer{Allowed: true}
	a.say("client %q is the bridge %s, %s", q.Client, b.Name, b.Pos)
	a.say("%s %q: allowed: access control lists are not about bridges; what crosses is what its topics say", q.Action, q.Topic)
	r.limits(a, l, q, report)
	return a, nil
}

// full is the topic behind the listener's mount point, without $share.
func full(l *config.Listener, q *Question) (string, error) {
	if q.Action != auth.Subscribe {
		if err := topic.ValidateName(q.Topic); err != nil {
			return "", fmt.Errorf("%q is not a topic: %w", q.Topic, err)
		}
		return l.MountPoint + q.Topic, nil
	}
	f, err := topic.ParseFilter(q.Topic)
	if err != nil {
		return "", fmt.Errorf("%q is not a topic filter: %w", q.Topic, err)
	}
	return l.MountPoint + f.Filter, nil
}

func (r *Rules) decide(l *config.Listener, q *Question, name string) auth.Decision {
	list := r.lists.ByListener[l.Address()]
	switch {
	case list == nil:
		return auth.Decision{Allowed: true, Why: "the listener has no access control list"}
	case q.Action == auth.Subscribe:
		return list.Subscribe(q.Client, q.User, name)
	}
	return list.Check(q.Client, q.User, q.Action, []byte(name))
}

// known reports whether a password file or dynamic security has a user.
func (r *Rules) known(l *config.Listener, user string) bool {
	e := r.gates.ByListener[l.Address()]
	return e.Users != nil && e.Users.Has(user) || e.Directory != nil && e.Directory.Has(user)
}

// entry says why the client could not be there at all.
func (r *Rules) entry(a *Answer, l *config.Listener, q *Question) {
	e := r.gates.ByListener[l.Address()]
	switch prefix := r.conf.Limits.ClientIDPrefix; {
	case !strings.HasPrefix(q.Client, prefix):
		a.say("it cannot connect: clientid_prefixes wants %q", prefix)
	case e.Identity != auth.NoIdentity: // the certificate decides
	case q.User == "" && !l.Security.AllowAnonymous:
		a.say("it cannot connect: allow_anonymous is false, and it has no user name")
	case q.User != "" && !r.known(l, q.User) && e.Users != nil:
		a.say("it cannot connect: %s has no such user", e.Users.File)
	case q.User != "" && !r.known(l, q.User) && (e.Directory != nil || !l.Security.AllowAnonymous):
		a.say("it cannot connect: there is no such user")
	}
}

// limits says which limit refuses what the rules allow.
func (r *Rules) limits(a *Answer, l *config.Listener, q *Question, report *config.Report) {
	refuse := func(keyword, format string, args ...any) {
		a.Allowed = false
		a.say("refused by %s: %s", written(report, l, keyword), fmt.Sprintf(format, args...))
	}
	c := &r.conf.Limits
	if q.Action != auth.Publish {
		if q.QoS > l.MaxQoS {
			a.say("limited by %s: QoS %d becomes %d", written(report, l, "max_qos"), q.QoS, l.MaxQoS)
		}
		return
	}
	switch {
	case q.QoS > l.MaxQoS:
		refuse("max_qos", "QoS %d is more than %d", q.QoS, l.MaxQoS)
	case c.MessageSizeLimit > 0 && q.Bytes > c.MessageSizeLimit:
		refuse("message_size_limit", "%d bytes are more than %d", q.Bytes, c.MessageSizeLimit)
	case c.MaxPacketSize > 0 && q.Bytes+len(q.Topic) > c.MaxPacketSize:
		refuse("max_packet_size", "%d bytes and their topic are more than %d", q.Bytes, c.MaxPacketSize)
	case q.Retain && c.NoRetain:
		refuse("retain_available", "there are no retained messages")
	}
}

// written is where a limit was written: the last line of the keyword, or the one
// that is about the listener.
func written(report *config.Report, l *config.Listener, keyword string) string {
	text := keyword
	if report == nil {
		return text
	}
	for i := range report.Entries {
		e := &report.Entries[i]
		if e.Pos.File == l.Pos.File && e.Pos.Line > l.Pos.Line && e.Keyword == "listener" && text != keyword {
			break
		}
		if e.Keyword == keyword && (keyword != "max_qos" || e.Pos.File != l.Pos.File || e.Pos.Line >= l.Pos.Line) {
			text = fmt.Sprintf("%s: %s", e.Pos, e.Text)
		}
	}
	return text
}

// ParseAction reads publish, subscribe or receive.
func ParseAction(s string) (auth.Action, error) {
	for _, a := range []auth.Action{auth.Publish, auth.Subscribe, auth.Receive} {
		if s == a.String() {
			return a, nil
		}
	}
	return 0, fmt.Errorf("%q: %w", s, errAction)
}

var errAction = errors.New("write publish, subscribe or receive")
