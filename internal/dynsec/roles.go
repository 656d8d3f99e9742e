package dynsec

import (
	"slices"
	"strings"
)

func roleCommands() []command {
	return []command{
		{"createRole", true, (*change).createRole},
		{"deleteRole", true, (*change).deleteRole},
		{"getRole", false, (*change).getRole},
		{"listRoles", false, (*change).listRoles},
		{"modifyRole", true, (*change).modifyRole},
		{"addRoleACL", true, (*change).addRoleACL},
		{"removeRoleACL", true, (*change).removeRoleACL},
	}
}

const whatRole = "Role name"

// aRole finds the role that a command names.
func (c *change) aRole(a *args) (*role, error) {
	name, err := a.name("rolename", whatRole)
	if err != nil {
		return nil, err
	}
	if r := c.doc.role(name); r != nil {
		return r, nil
	}
	return nil, refusal("Role not found")
}

// texts reads the name and the description for people, nil where they are not
// there.
func (a *args) texts() (name, description *string, err error) {
	name, ok := a.text("textname")
	if !ok {
		return nil, nil, refusal("Invalid/missing textname")
	}
	if description, ok = a.text("textdescription"); !ok {
		return nil, nil, refusal("Invalid/missing textdescription")
	}
	return name, description, nil
}

func (c *change) createRole(a *args) (any, error) {
	name, err := a.name("rolename", whatRole)
	if err != nil {
		return nil, err
	}
	r := &role{Name: name}
	if r.TextName, r.Description, err = a.texts(); err != nil {
		return nil, err
	}
	if c.doc.role(name) != nil {
		return nil, refusal("Role already exists")
	}
	if r.ACLs, _, err = a.acls(); err != nil {
		return nil, err
	}
	r.wildcards(a)
	c.doc.Roles = append(c.doc.Roles, r)
	return nil, nil
}

// wildcards takes over whether filters may hold wildcards.
func (r *role) wildcards(a *args) {
	if _, there := a.find("allowwildcardsubs"); there {
		allow := a.bool("allowwildcardsubs")
		r.AllowWildcards = &allow
	}
}

// acls reads the rules of a role. Of two about the same topic the first counts.
func (a *args) acls() (list []acl, there bool, err error) {
	items, there, ok := a.list("acls")
	if !ok || !there {
		return nil, false, nil // as if it were not there, as in Mosquitto
	}
	for i := range items {
		one, err := items[i].acl()
		if err != nil {
			return nil, true, err
		}
		if !slices.ContainsFunc(list, one.same) {
			list = append(list, *one)
		}
	}
	return list, true, nil
}

func (a *acl) same(o acl) bool { return a.Type == o.Type && a.Topic == o.Topic }

// acl reads a rule.
func (a *args) acl() (*acl, error) {
	t, ok := a.text("acltype")
	if !ok || t == nil {
		return nil, refusal("Invalid/missing acltype")
	}
	if kind(*t) < 0 {
		return nil, refusal("Unknown acltype")
	}
	topic, ok := a.text("topic")
	if !ok || topic == nil {
		return nil, refusal("Invalid/missing topic")
	}
	if err := valid(*topic, "Topic"); err != nil {
		return nil, err
	}
	one := &acl{Type: *t, Topic: *topic, Priority: a.number("priority", 0), Allow: a.bool("allow")}
	if one.check() != nil {
		return nil, refusal("Invalid ACL topic")
	}
	return one, nil
}

func (c *change) deleteRole(a *args) (any, error) {
	r, err := c.aRole(a)
	if err != nil {
		return nil, err
	}
	c.doc.Roles = slices.DeleteFunc(c.doc.Roles, func(o *role) bool { return o == r })
	return nil, nil // tidy drops it from clients and groups
}

func (c *change) getRole(a *args) (any, error) {
	r, err := c.aRole(a)
	if err != nil {
		return nil, err
	}
	return map[string]any{"role": r}, nil
}

func (c *change) listRoles(a *args) (any, error) {
	list := []any{}
	for _, r := range page(a, c.doc.Roles) {
		if a.bool("verbose") {
			list = append(list, r)
		} else {
			list = append(list, r.Name)
		}
	}
	return map[string]any{"totalCount": len(c.doc.Roles), "roles": list}, nil
}

func (c *change) modifyRole(a *args) (any, error) {
	r, err := c.aRole(a)
	if err != nil {
		if err == refusal("Role not found") {
			err = refusal("Role does not exist")
		}
		return nil, err
	}
	name, description, err := a.texts()
	if err != nil {
		return nil, err
	}
	list, there, err := a.acls()
	if err != nil {
		return nil, err
	}
	if there {
		r.ACLs = list
	}
	replace(&r.TextName, name)
	replace(&r.Description, description)
	r.wildcards(a)
	return nil, nil
}

func replace(old **string, text *string) {
	if text != nil {
		*old = text
	}
}

func (c *change) addRoleACL(a *args) (any, error) {
	r, err := c.aRole(a)
	if err != nil {
		return nil, err
	}
	one, err := a.acl()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(r.ACLs, one.same) {
		return nil, refusal("ACL with this topic already exists")
	}
	r.ACLs = append(r.ACLs, *one)
	return nil, nil
}

func (c *change) removeRoleACL(a *args) (any, error) {
	r, err := c.aRole(a)
	if err != nil {
		return nil, err
	}
	t, ok := a.text("acltype")
	if !ok || t == nil {
		return nil, refusal("Invalid/missing acltype")
	}
	if kind(*t) < 0 {
		return nil, refusal("Unknown acltype")
	}
	topic, ok := a.text("topic")
	if !ok || topic == nil {
		return nil, refusal("Invalid/missing topic")
	}
	i := slices.IndexFunc(r.ACLs, func(o acl) bool { return strings.EqualFold(o.Type, *t) && o.Topic == *topic })
	if i < 0 {
		return nil, refusal("ACL not found")
	}
	r.ACLs = slices.Delete(r.ACLs, i, i+1)
	return nil, nil
}
