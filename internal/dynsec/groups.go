package dynsec

import "slices"

func groupCommands() []command {
	return []command{
		{"createGroup", true, (*change).createGroup},
		{"deleteGroup", true, (*change).deleteGroup},
		{"getGroup", false, (*change).getGroup},
		{"listGroups", false, (*change).listGroups},
		{"modifyGroup", true, (*change).modifyGroup},
		{"addGroupClient", true, (*change).addGroupClient},
		{"removeGroupClient", true, (*change).removeGroupClient},
		{"addGroupRole", true, (*change).addGroupRole},
		{"removeGroupRole", true, (*change).removeGroupRole},
		{"setAnonymousGroup", true, (*change).setAnonymousGroup},
		{"getAnonymousGroup", false, (*change).getAnonymousGroup},
	}
}

const whatGroup = "Group name"

// aGroup finds the group that a command names.
func (c *change) aGroup(a *args) (*group, error) {
	name, err := a.name("groupname", whatGroup)
	if err != nil {
		return nil, err
	}
	if g := c.doc.group(name); g != nil {
		return g, nil
	}
	return nil, refusal("Group not found")
}

func (c *change) createGroup(a *args) (any, error) {
	name, err := a.name("groupname", whatGroup)
	if err != nil {
		return nil, err
	}
	g := &group{Name: name}
	if g.TextName, g.Description, err = a.texts(); err != nil {
		return nil, err
	}
	if c.doc.group(name) != nil {
		return nil, refusal("Group already exists")
	}
	if g.Roles, _, err = c.roles(a); err != nil {
		return nil, err
	}
	c.doc.Groups = append(c.doc.Groups, g)
	return nil, nil
}

func (c *change) deleteGroup(a *args) (any, error) {
	g, err := c.aGroup(a)
	if err != nil {
		return nil, err
	}
	if g.Name == c.doc.Anonymous {
		return nil, refusal("Deleting the anonymous group is forbidden")
	}
	c.doc.Groups = slices.DeleteFunc(c.doc.Groups, func(o *group) bool { return o == g })
	return nil, nil
}

// shownGroup is a group as it is answered: without the priorities of its clients.
type shownGroup struct {
	Name        string   `json:"groupname"`
	TextName    *string  `json:"textname,omitempty"`
	Description *string  `json:"textdescription,omitempty"`
	Clients     []member `json:"clients"`
	Roles       []member `json:"roles"`
}

func (g *group) show() shownGroup {
	list := []member{}
	for _, m := range g.Clients {
		list = append(list, member{Client: m.Client})
	}
	return shownGroup{g.Name, g.TextName, g.Description, list, g.Roles}
}

func (c *change) getGroup(a *args) (any, error) {
	g, err := c.aGroup(a)
	if err != nil {
		return nil, err
	}
	return map[string]any{"group": g.show()}, nil
}

func (c *change) listGroups(a *args) (any, error) {
	list := []any{}
	for _, g := range page(a, c.doc.Groups) {
		if a.bool("verbose") {
			list = append(list, g.show())
		} else {
			list = append(list, g.Name)
		}
	}
	return map[string]any{"totalCount": len(c.doc.Groups), "groups": list}, nil
}

func (c *change) modifyGroup(a *args) (any, error) {
	g, err := c.aGroup(a)
	if err != nil {
		return nil, err
	}
	next := *g
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
	items, given, ok := a.list("clients")
	if ok && given {
		next.Clients = nil
		for i := range items {
			name, ok := items[i].text("username")
			switch {
			case !ok || name == nil:
				return nil, refusal("'clients' contains an object with an invalid 'username'")
			case c.doc.client(*name) == nil:
				return nil, refusal("'clients' contains an object with a 'username' that does not exist")
			}
			next.Clients = append(next.Clients, member{Client: *name, Priority: items[i].priority()})
		}
	}
	*g = next
	return nil, nil
}

// groupAndClient finds both that a command names.
func (c *change) groupAndClient(a *args) (*group, *client, error) {
	if _, err := a.name("username", whatClient); err != nil {
		return nil, nil, err
	}
	if _, err := a.name("groupname", whatGroup); err != nil {
		return nil, nil, err
	}
	k, err := c.aClient(a)
	if err != nil {
		return nil, nil, err
	}
	g, err := c.aGroup(a)
	return g, k, err
}

func (c *change) addGroupClient(a *args) (any, error) {
	g, k, err := c.groupAndClient(a)
	if err != nil {
		return nil, err
	}
	if has(g.Clients, k.Name) {
		return nil, refusal("Client is already in this group")
	}
	g.Clients = append(g.Clients, member{Client: k.Name, Priority: a.priority()})
	return nil, nil
}

func (c *change) removeGroupClient(a *args) (any, error) {
	g, k, err := c.groupAndClient(a)
	if err == nil {
		g.Clients = without(g.Clients, k.Name)
	}
	return nil, err
}

// groupAndRole finds both that a command names.
func (c *change) groupAndRole(a *args) (*group, *role, error) {
	if _, err := a.name("groupname", whatGroup); err != nil {
		return nil, nil, err
	}
	if _, err := a.name("rolename", whatRole); err != nil {
		return nil, nil, err
	}
	g, err := c.aGroup(a)
	if err != nil {
		return nil, nil, err
	}
	r, err := c.aRole(a)
	return g, r, err
}

func (c *change) addGroupRole(a *args) (any, error) {
	g, r, err := c.groupAndRole(a)
	if err != nil {
		return nil, err
	}
	if has(g.Roles, r.Name) {
		return nil, refusal("Group is already in this role")
	}
	g.Roles = append(g.Roles, member{Role: r.Name, Priority: a.priority()})
	return nil, nil
}

func (c *change) removeGroupRole(a *args) (any, error) {
	g, r, err := c.groupAndRole(a)
	if err == nil {
		g.Roles = without(g.Roles, r.Name)
	}
	return nil, err
}

func (c *change) setAnonymousGroup(a *args) (any, error) {
	g, err := c.aGroup(a)
	if err == nil {
		c.doc.Anonymous = g.Name
	}
	return nil, err
}

func (c *change) getAnonymousGroup(*args) (any, error) {
	return map[string]any{"group": map[string]string{"groupname": c.doc.Anonymous}}, nil
}
