package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nightjarmq/nightjar/client"
	"github.com/nightjarmq/nightjar/internal/mosquittotest"
)

const (
	dynTopic = "$CONTROL/dynamic-security/v1"
	dynFile  = `{"defaultACLAccess":{"publishClientSend":false,"publishClientReceive":true,"subscribe":false,"unsubscribe":true},
"clients":[{"username":"admin","textName":"Admin","password":"0IszXlm9KQbctjrmi9Holi1UwFMKiAlenWYwVhxHym+fdYJT/nHMCgZp/doPJoXJ3H+hLBlM1lg95S1W/Lijdw==",
"salt":"3DhiRQpNx/FYuUYe","iterations":101,"roles":[{"rolename":"admin"}]}],
"roles":[{"rolename":"admin","acls":[{"acltype":"publishClientSend","topic":"$CONTROL/dynamic-security/#","allow":true},
{"acltype":"publishClientReceive","topic":"$CONTROL/dynamic-security/#","allow":true},
{"acltype":"subscribePattern","topic":"$CONTROL/dynamic-security/#","allow":true}]}]}`
	dynConf = "listener <a> 127.0.0.1\nallow_anonymous true\nplugin /usr/lib/mosquitto_dynamic_security.so\nplugin_opt_config_file <dir>/d.json\n"
)

// dynHouse is a broker with dynamic security, as its administrator has it.
type dynHouse struct {
	h     *house
	url   string
	admin *client.Client
	heard <-chan string
}

func administer(h *house, url string) *dynHouse {
	h.t.Helper()
	c, err := h.dial(url, client.Options{Username: "admin", Password: []byte("secret")})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return &dynHouse{h, url, c, h.hears(c, dynTopic+"/#", 1)}
}

// ask publishes commands and returns the answer.
func (d *dynHouse) ask(commands string) any {
	d.h.t.Helper()
	if err := d.h.says(d.admin, dynTopic, commands, 1, false); err != nil {
		d.h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-ctx.Done():
		d.h.t.Fatalf("no answer to %s", commands)
	case s := <-d.heard:
		var v any
		if err := json.NewDecoder(strings.NewReader(s[strings.Index(s, "{"):])).Decode(&v); err != nil {
			d.h.t.Fatalf("%s: %v", s, err)
		}
		return v
	}
	return nil
}

// do carries out one command that must succeed.
func (d *dynHouse) do(command string, fields string) {
	d.h.t.Helper()
	answer := fmt.Sprint(d.ask(`{"commands":[{"command":"` + command + `",` + fields + `}]}`))
	if strings.Contains(answer, "error") {
		d.h.t.Fatalf("%s: %s", command, answer)
	}
}

// may reports whether a user can connect.
func (d *dynHouse) may(user, password, id string) (*client.Client, bool) {
	d.h.t.Helper()
	c, err := d.h.dial(d.url, client.Options{Username: user, Password: []byte(password), ClientID: id})
	if err != nil {
		return nil, false
	}
	d.h.t.Cleanup(func() { c.Close() })
	return c, true
}

// dynScript are messages of commands. A role that a group has is not deleted: Mosquitto
// 2.0.11 then shows memory that it has freed.
var dynScript = []string{
	`{"commands":[{"command":"listClients"},{"command":"listGroups"},{"command":"listRoles"}]}`,
	`{"commands":[{"command":"createRole","rolename":"dev","textname":"Devices","textdescription":"all of them","acls":[{"acltype":"publishClientSend","topic":"dev/#","allow":true,"priority":5},{"acltype":"publishClientSend","topic":"dev/x","allow":false,"priority":10},{"acltype":"subscribeLiteral","topic":"dev/in","allow":true}]}]}`,
	`{"commands":[{"command":"createRole","rolename":"dev"},{"command":"getRole","rolename":"dev","correlationData":"17"},{"command":"getRole","rolename":"none"}]}`,
	`{"commands":[{"command":"addRoleACL","rolename":"dev","acltype":"subscribePattern","topic":"out/#","priority":3,"allow":true},{"command":"addRoleACL","rolename":"dev","acltype":"subscribePattern","topic":"out/#"},{"command":"addRoleACL","rolename":"dev","acltype":"nothing","topic":"a"},{"command":"addRoleACL","rolename":"dev","acltype":"subscribePattern"},{"command":"addRoleACL","rolename":"dev","acltype":"subscribePattern","topic":"a#"}]}`,
	`{"commands":[{"command":"addRoleACL","rolename":"dev","acltype":"unsubscribePattern","topic":"keep/#"},{"command":"addRoleACL","rolename":"dev","acltype":"unsubscribeLiteral","topic":"keep","priority":-4},{"command":"addRoleACL","rolename":"dev","acltype":"publishClientReceive","topic":"r"}]}`,
	`{"commands":[{"command":"removeRoleACL","rolename":"dev","acltype":"publishClientReceive","topic":"r"},{"command":"removeRoleACL","rolename":"dev","acltype":"publishClientReceive","topic":"r"},{"command":"removeRoleACL","rolename":"none","acltype":"publishClientReceive","topic":"r"}]}`,
	`{"commands":[{"command":"modifyRole","rolename":"dev","textname":"D"},{"command":"modifyRole","rolename":"none","textname":"D"},{"command":"getRole","rolename":"dev"},{"command":"listRoles","verbose":true}]}`,
	`{"commands":[{"command":"createRole","rolename":"b"},{"command":"createRole","rolename":"a"},{"command":"listRoles","count":2},{"command":"listRoles","count":2,"offset":1},{"command":"listRoles","offset":9},{"command":"listRoles","count":0}]}`,
	`{"commands":[{"command":"createClient","username":"ann","password":"one","textname":"Ann","roles":[{"rolename":"dev","priority":4},{"rolename":"a"}]},{"command":"createClient","username":"ann","password":"two"},{"command":"createClient","password":"two"},{"command":"createClient","username":"x","password":7},{"command":"createClient","username":"x","roles":[{"rolename":"none"}]}]}`,
	`{"commands":[{"command":"getClient","username":"ann"},{"command":"getClient","username":"none"},{"command":"listClients","verbose":true}]}`,
	`{"commands":[{"command":"createClient","username":"bob"},{"command":"disableClient","username":"bob"},{"command":"getClient","username":"bob"},{"command":"enableClient","username":"bob"},{"command":"getClient","username":"bob"},{"command":"enableClient","username":"none"}]}`,
	`{"commands":[{"command":"setClientId","username":"bob","clientid":"b7"},{"command":"getClient","username":"bob"},{"command":"setClientId","username":"bob","clientid":""},{"command":"getClient","username":"bob"},{"command":"setClientId","username":"bob","clientid":5}]}`,
	`{"commands":[{"command":"setClientPassword","username":"bob","password":"new"},{"command":"setClientPassword","username":"bob","password":""},{"command":"setClientPassword","username":"bob"},{"command":"setClientPassword","username":"none","password":"x"}]}`,
	`{"commands":[{"command":"addClientRole","username":"bob","rolename":"b","priority":2},{"command":"addClientRole","username":"bob","rolename":"a","priority":2},{"command":"addClientRole","username":"bob","rolename":"a"},{"command":"addClientRole","username":"bob","rolename":"none"},{"command":"addClientRole","username":"none","rolename":"a"},{"command":"getClient","username":"bob"}]}`,
	`{"commands":[{"command":"removeClientRole","username":"bob","rolename":"b"},{"command":"removeClientRole","username":"bob","rolename":"b"},{"command":"removeClientRole","username":"bob","rolename":"none"},{"command":"getClient","username":"bob"}]}`,
	`{"commands":[{"command":"createGroup","groupname":"g","textname":"G","roles":[{"rolename":"dev"},{"rolename":"a","priority":9}]},{"command":"createGroup","groupname":"g"},{"command":"createGroup"},{"command":"getGroup","groupname":"g"},{"command":"getGroup","groupname":"none"}]}`,
	`{"commands":[{"command":"addGroupClient","groupname":"g","username":"bob","priority":3},{"command":"addGroupClient","groupname":"g","username":"ann"},{"command":"addGroupClient","groupname":"g","username":"ann"},{"command":"addGroupClient","groupname":"none","username":"ann"},{"command":"addGroupClient","groupname":"g","username":"none"},{"command":"getGroup","groupname":"g"},{"command":"getClient","username":"bob"}]}`,
	`{"commands":[{"command":"addGroupRole","groupname":"g","rolename":"b","priority":1},{"command":"addGroupRole","groupname":"g","rolename":"b"},{"command":"addGroupRole","groupname":"none","rolename":"b"},{"command":"addGroupRole","groupname":"g","rolename":"none"},{"command":"removeGroupRole","groupname":"g","rolename":"a"},{"command":"getGroup","groupname":"g"},{"command":"listGroups","verbose":true}]}`,
	`{"commands":[{"command":"createGroup","groupname":"f"},{"command":"modifyGroup","groupname":"f","textdescription":"F","roles":[{"rolename":"b"}],"clients":[{"username":"ann","priority":2}]},{"command":"getGroup","groupname":"f"},{"command":"getClient","username":"ann"},{"command":"modifyGroup","groupname":"none"}]}`,
	`{"commands":[{"command":"removeGroupClient","groupname":"g","username":"ann"},{"command":"removeGroupClient","groupname":"none","username":"ann"},{"command":"getGroup","groupname":"g"}]}`,
	`{"commands":[{"command":"modifyClient","username":"ann","textname":"Anna","textdescription":"x","clientid":"c","roles":[{"rolename":"b"}],"groups":[{"groupname":"g","priority":6}]},{"command":"getClient","username":"ann"},{"command":"modifyClient","username":"none"}]}`,
	`{"commands":[{"command":"getAnonymousGroup"},{"command":"setAnonymousGroup","groupname":"g"},{"command":"getAnonymousGroup"},{"command":"setAnonymousGroup","groupname":"none"}]}`,
	`{"commands":[{"command":"getDefaultACLAccess"},{"command":"setDefaultACLAccess","acls":[{"acltype":"subscribe","allow":true},{"acltype":"unknown","allow":true}]},{"command":"getDefaultACLAccess"},{"command":"setDefaultACLAccess"}]}`,
	`{"commands":[{"command":"deleteGroup","groupname":"f"},{"command":"deleteGroup","groupname":"f"},{"command":"deleteRole","rolename":"b"},{"command":"deleteRole","rolename":"b"},{"command":"getClient","username":"ann"},{"command":"deleteClient","username":"ann"},{"command":"deleteClient","username":"ann"},{"command":"listClients"},{"command":"listGroups"}]}`,
	`{"commands":[{"command":"CREATErole","rolename":"z"},{"command":"nothing"},{"Command":"listRoles"},{},5]}`,
	`{"commands":[{"command":"listRoles","correlationData":5}]}`,
	`{"commands":5}`,
	`{}`,
	`nonsense`,
}

// The same commands have the same answers in Debian's mosquitto, and the files that
// come of them mean the same to both.
func TestDynamicSecurityLikeMosquitto(t *testing.T) {
	const plugin = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so"
	if _, err := os.Stat(plugin); err != nil {
		t.Skip("Mosquitto's plugin is not installed")
	}
	h := furnish(t, dynConf, "d.json", dynFile)
	theirs := filepath.Join(t.TempDir(), "d.json")
	if err := os.WriteFile(theirs, []byte(dynFile), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mosquittotest.Start(t, "plugin "+plugin+"\nplugin_opt_config_file "+theirs)
	us, them := administer(h, h.url("a")), administer(h, m.URL)
	for _, s := range dynScript {
		want, got := them.ask(s), us.ask(s)
		if !reflect.DeepEqual(want, got) {
			w, _ := json.Marshal(want)
			g, _ := json.Marshal(got)
			t.Errorf("%s\n theirs %s\n ours   %s", s, w, g)
		}
	}
	if a, b := bareFile(t, theirs), bareFile(t, filepath.Join(h.dir, "d.json")); !reflect.DeepEqual(a, b) {
		t.Errorf("their file\n%v\nours\n%v", a, b)
	}
}

// bareFile reads a file without what is random in it.
func bareFile(t *testing.T, path string) (v map[string]any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v["clients"].([]any) {
		for _, key := range []string{"salt", "password", "iterations"} {
			delete(c.(map[string]any), key)
		}
	}
	return v
}

// What a command changes is on the disk and holds at once, also for those who are
// connected.
func TestDynamicSecurityActs(t *testing.T) {
	h := furnish(t, dynConf, "d.json", dynFile)
	d := administer(h, h.url("a"))
	if _, ok := d.may("ann", "one", "a1"); ok {
		t.Error("an unknown user comes in")
	}
	d.do("createRole", `"rolename":"dev","acls":[{"acltype":"publishClientSend","topic":"dev/%u/#","allow":true},{"acltype":"subscribePattern","topic":"dev/#","allow":true},{"acltype":"subscribeLiteral","topic":"lit/+","allow":true}]`)
	d.do("createClient", `"username":"ann","password":"one","roles":[{"rolename":"dev"}]`)
	if b, err := os.ReadFile(filepath.Join(h.dir, "d.json")); err != nil || !strings.Contains(string(b), `"ann"`) {
		t.Errorf("not durable: %v", err)
	}
	ann, ok := d.may("ann", "one", "a1")
	if !ok {
		t.Fatal("a new user does not come in")
	}
	got := h.hears(ann, "dev/#", 1)
	h.hears(ann, "lit/+", 1)
	for topic, want := range map[string]bool{"dev/ann/x": true, "dev/bob/x": false, dynTopic: false} {
		if err := h.says(ann, topic, "m", 1, false); (err == nil) != want {
			t.Errorf("publish to %s: %v", topic, err)
		}
	}
	h.want(got, "dev/ann/x m 1")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, filter := range []string{"other/#", "#", "lit/x", "$CONTROL/#"} {
		if _, err := ann.Subscribe(ctx, client.To(filter, 1), nil); err == nil {
			t.Errorf("%s was granted", filter)
		}
	}
	d.do("addRoleACL", `"rolename":"dev","acltype":"publishClientReceive","topic":"dev/ann/secret","allow":false`)
	for _, topic := range []string{"dev/ann/secret", "dev/ann/open"} {
		if err := h.says(ann, topic, "m", 1, false); err != nil {
			t.Error(err)
		}
	}
	h.want(got, "dev/ann/open m 1")
	d.do("disableClient", `"username":"ann"`)
	select {
	case <-ann.Done():
	case <-ctx.Done():
		t.Error("a disabled user stays connected")
	}
	if _, ok := d.may("ann", "one", "a1"); ok {
		t.Error("a disabled user comes in")
	}
	d.do("enableClient", `"username":"ann"`)
	d.do("setClientId", `"username":"ann","clientid":"a2"`)
	if _, ok := d.may("ann", "one", "a1"); ok {
		t.Error("another client identifier comes in")
	}
	ann, ok = d.may("ann", "one", "a2")
	if !ok {
		t.Fatal("the right client identifier is refused")
	}
	h.hears(ann, "lit/+", 1)
	d.do("removeRoleACL", `"rolename":"dev","acltype":"subscribeLiteral","topic":"lit/+"`)
	select { // the subscription is gone, and she hears of it
	case <-ann.Done():
	case <-ctx.Done():
		t.Error("a subscription that is no longer allowed goes on")
	}
}

// Mosquitto's own tool administers this broker.
func TestMosquittoCtrl(t *testing.T) {
	tool := mosquittotest.Program(t, "mosquitto_ctrl")
	h := furnish(t, dynConf, "d.json", dynFile)
	for _, step := range []struct{ args, says string }{
		{"createRole dev", ""}, {"addRoleACL dev publishClientSend a/# allow 5", ""}, {"createGroup g", ""},
		{"addGroupRole g dev 2", ""}, {"getRole dev", "a/#"}, {"listRoles", "dev"}, {"getDefaultACLAccess", "publishClientSend"},
		{"getGroup g", "dev"}, {"addClientRole admin dev", ""}, {"getClient admin", "dev"},
	} {
		args := append([]string{"-h", "127.0.0.1", "-p", h.ports["a"], "-u", "admin", "-P", "secret", "dynsec"}, strings.Fields(step.args)...)
		out, err := exec.Command(tool, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), step.says) {
			t.Errorf("%s: %v: %s", step.args, err, out)
		}
	}
}
