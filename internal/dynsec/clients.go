package dynsec

import "slices"

func clientCommands() []command {
	return []command{
		{"createClient", true, (*change).createClient},
		{"deleteClient", true, (*change).deleteClient},
		{"enableClient", true, (*change).enableClient},
		{"disableClient", true, (*change).disableClient},
		{"getClient", false, (*change).getClient},
		{"listClients", false, (*change).listClients},
		{"modifyClient", true, (*change).modifyClient},
		{"setClientId", true, (*change).setClientID},
		{"setClientPassword", true, (*change).setClientPassword},
		{"addClientRole", true, (*change).addClientRole},
		{"removeClientRole", true, (*change).removeClientRole},
	}
}

const whatClient = "Username"

// aClient finds the client that a command names.
func (c *change) aClient(a *args) (*client, error) {
	name, err := a.name("username", whatClient)
	if err != nil {
		return nil, err
	}
	if k := c.doc.client(name); k != nil {
		return k, nil
	}
	return nil, refusal("Client not found")
}

// roles reads the roles of a client or group.
func (c *change) roles(a *args) (list []member, there bool, err error) {
	items, there, ok := a.list("roles")
	if !ok {
		return nil, true, refusal("'roles' not an array or missing/invalid rolename")
	}
	for i := range items {
		name, ok := items[i].text("rolename")
		switch {
		case !ok || name == nil:
			return nil, true, refusal("'roles' not an array or missing/invalid rolename")
		case c.doc.role(*name) == nil:
			return nil, true, refusal("Role not found")
		}
		list = append(list, member{Role: *name, Priority: items[i].priority()})
	}
	return list, there, nil
}

func (c *change) createClient(a *args) (any, error) {
	name, err := a.name("username", whatClient)
	if err != nil {
		return nil, err
	}
	k := &client{Name: name}
	password, ok := a.text("password")
	if !ok {
		return nil, refusal("Invalid/missing password")
	}
	id, ok := a.text("clientid")
	if !ok {
		return nil, refusal("Invalid/missing client id")
	}
	if k.TextName, k.Description, err = a.texts(); err != nil {
		return nil, err
	}
	if c.doc.client(name) != nil {
		return nil, refusal("Client already exists")
	}
	if id != nil {
		if err := valid(*id, "Client ID"); err != nil {
			return nil, err
		}
		k.ClientID = *id
	}
	if k.Roles, _, err = c.roles(a); err != nil {
		return nil, err
	}
	groups, _, err := c.groups(a, "Group not found")
	if err != nil {
		return nil, err
	}
	if password != nil && *password != "" {
		if err := k.setPassword(*password); err != nil {
			return nil, refusal("Internal error")
		}
	}
	c.doc.Clients = append(c.doc.Clients, k)
	c.join(name, groups)
	return nil, nil
}

// groups reads the groups of a client. missing is what is said of one that is not
// there.
func (c *change) groups(a *args, missing string) (list []member, there bool, err error) {
	items, there, ok := a.list("groups")
	if !ok {
		return nil, false, nil // as if it were not there, as in Mosquitto
	}
	for i := range items {
		name, ok := items[i].text("groupname")
		if !ok || name == nil {
			return nil, true, refusal("'groups' contains an object with an invalid 'groupname'")
		}
		if c.doc.group(*name) == nil {
			return nil, true, refusal(missing)
		}
		list = append(list, member{Group: *name, Priority: items[i].priority()})
	}
	return list, there, nil
}

// join makes a client a member of groups.
func (c *change) join(name string, groups []member) {
	for _, m := range groups {
		g := c.doc.group(m.Group)
		g.Clients = append(g.Clients, member{Client: name, Priority: m.Priority})
	}
}

// leave takes a client out of all groups.
func (c *change) leave(name string) {
	for _, g := range c.doc.Groups {
		g.Clients = slices.DeleteFunc(g.Clients, func(m member) bool { return m.Client == name })
	}
}

func (c *change) deleteClient(a *args) (any, error) {
	k, err := c.aClient(a)
	if err != nil {
		return nil, err
	}
	c.doc.Clients = slices.DeleteFunc(c.doc.Clients, func(o *client) bool { return o == k })
	c.kick(k.Name)
	return nil, nil // tidy drops it from groups
}

func (c *change) enableClient(a *args) (any, error) {
	k, err := c.aClient(a)
	if err == nil {
		k.Disabled = false
	}
	return nil, err
}

func (c *change) disableClient(a *args) (any, error) {
	k, err := c.aClient(a)
	if err == nil {
		k.Disabled = true
		c.kick(k.Name)
	}
	return nil, err
}

// shown is a client as it is answered: without its password, with its groups.
type shown struct {
	Name        string   `json:"username"`
	ClientID    string   `json:"clientid,omitempty"`
	TextName    *string  `json:"textname,omitempty"`
	Description *string  `json:"textdescription,omitempty"`
	Disabled    bool     `json:"disabled,omitempty"`
	Roles       []member `json:"roles"`
	Groups      []member `json:"groups"`
}

func (c *change) show(k *client) shown {
	return shown{k.Name, k.ClientID, k.TextName, k.Description, k.Disabled, k.Roles, c.doc.groupsOf(k.Name)}
}

func (c *change) getClient(a *args) (any, error) {
	k, err := c.aClient(a)
	if err != nil {
		return nil, err
	}
	return map[string]any{"client": c.show(k)}, nil
}

func (c *change) listClients(a *args) (any, error) {
	list := []any{}
	for _, k := range page(a, c.doc.Clients) {
		if a.bool("verbose") {
			list = append(list, c.show(k))
		} else {
			list = append(list, k.Name)
		}
	}
	return map[string]any{"totalCount": len(c.doc.Clients), "clients": list}, nil
}

func (c *change) modifyClient(a *args) (any, error) {
	k, err := c.aClient(a)
	if err != nil {
		return nil, err
	}
	next := *k
	if id, ok := a.text("clientid"); ok && id != nil {
		if err := valid(*id, "Client ID"); err != nil {
			return nil, err
		}
		next.ClientID = *id
	}
	if text, ok := a.text("textname"); ok {
		replace(&next.TextName, text)
	}
	if text, ok := a.text("textdescription"); ok {
		replace(&next.Description, text)
	}
	roles, given, err := c.roles(a)
	if err != nil {
		return nil, err
	}
	if given {
		next.Roles = roles
	}
	groups, regroup, err := c.groups(a, "'groups' contains an object with a 'groupname' that does not exist")
	if err != nil {
		return nil, err
	}
	password, ok := a.text("password")
	secret := ok && password != nil && *password != ""
	if secret {
		if err := next.setPassword(*password); err != nil {
			return nil, refusal("Internal error")
		}
	}
	if secret || next.ClientID != k.ClientID {
		c.kick(k.Name)
	}
	*k = next
	if regroup {
		c.leave(k.Name)
		c.join(k.Name, groups)
	}
	return nil, nil
}

func (c *change) setClientID(a *args) (any, error) {
	k, err := c.aClient(a)
	if err != nil {
		return nil, err
	}
	id, ok := a.text("clientid")
	if !ok {
		return nil, refusal("Invalid/missing client ID")
	}
	if id == nil {
		id = new(string)
	}
	if err := valid(*id, "Client ID"); err != nil {
		return nil, err
	}
	k.ClientID = *id
	c.kick(k.Name)
	return nil, nil
}

func (c *change) setClientPassword(a *args) (any, error) {
	if _, err := a.name("username", whatClient); err != nil {
		return nil, err
	}
	password, ok := a.text("password")
	switch {
	case !ok || password == nil:
		return nil, refusal("Invalid/missing password")
	case *password == "":
		return nil, refusal("Empty password is not allowed")
	}
	k, err := c.aClient(a)
	if err != nil {
		return nil, err
	}
	if err := k.setPassword(*password); err != nil {
		return nil, refusal("Internal error")
	}
	c.kick(k.Name)
	return nil, nil
}

// clientAndRole finds both that a command names.
func (c *change) clientAndRole(a *args) (*client, *role, error) {
	if _, err := a.name("username", whatClient); err != nil {
		return nil, nil, err
	}
	if _, err := a.name("rolename", whatRole); err != nil {
		return nil, nil, err
	}
	k, err := c.aClient(a)
	if err != nil {
		return nil, nil, err
	}
	r, err := c.aRole(a)
	return k, r, err
}

func (c *change) addClientRole(a *args) (any, error) {
	k, r, err := c.clientAndRole(a)
	if err != nil {
		return nil, err
	}
	if has(k.Roles, r.Name) {
		return nil, refusal("Internal error") // Mosquitto's answer to a role that is there
	}
	k.Roles = append(k.Roles, member{Role: r.Name, Priority: a.priority()})
	return nil, nil
}

func has(list []member, name string) bool {
	return slices.ContainsFunc(list, func(m member) bool { return m.name() == name })
}

func without(list []member, name string) []member {
	return slices.DeleteFunc(list, func(m member) bool { return m.name() == name })
}

func (c *change) removeClientRole(a *args) (any, error) {
	k, r, err := c.clientAndRole(a)
	if err == nil {
		k.Roles = without(k.Roles, r.Name)
	}
	return nil, err
}
