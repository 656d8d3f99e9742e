package config

import (
	"path/filepath"
	"strings"
)

// pluginKeywords load plugins. What those of Mosquitto do is built in; others
// cannot be loaded.
func pluginKeywords() []Keyword {
	return []Keyword{
		{Name: "plugin", Scope: Secure, Type: "path", Help: "Load a plugin.", set: addPlugin},
		{Name: "auth_plugin", Scope: Secure, Type: "path", Help: "An older name of plugin.", set: addPlugin},
		{Name: "global_plugin", Scope: Global, Type: "path", Since: "2.1", Help: "Load a plugin for all listeners.", set: addPlugin},
		{Name: "plugin_load", Scope: Global, Type: "name path", Since: "2.1", Help: "Load a plugin for plugin_use.", set: loadPlugin},
		{Name: "plugin_use", Scope: OfListener, Type: "name", Since: "2.1", Help: "Use a loaded plugin at the listener.", Fate: Kept, set: usePlugin},
		{Name: "plugin_opt_*", Scope: OfPlugin, Type: "text", Help: "Option of the plugin above.", Fate: Kept, Secret: true, set: pluginOption},
		{Name: "auth_opt_*", Scope: OfPlugin, Type: "text", Help: "An older name of plugin_opt_*.", Fate: Kept, Secret: true, set: pluginOption},
		{Name: "auth_plugin_deny_special_chars", Scope: OfPlugin, Type: bools, Default: "true", Help: "Refuse + and # in user names and client identifiers.", Fate: Changed,
			Why: "such names are never put into a pattern, whatever is said here", set: func(r *reader, w *words) *Error {
				v, err := w.bool()
				r.cfg.Plugins[r.here.plugin-1].AllowSpecialChars = !v
				return err
			}},
	}
}

// pluginKind tells a plugin by its file name.
func pluginKind(path string) PluginKind {
	base := strings.ReplaceAll(filepath.Base(path), "-", "_")
	for _, k := range []PluginKind{DynamicSecurity, PasswordPlugin, ACLPlugin, PersistPlugin, SparkplugPlugin} {
		if strings.Contains(base, strings.ReplaceAll(string(k), "-", "_")) {
			return k
		}
	}
	return UnknownPlugin
}

// openPlugin notes what becomes of a plugin and makes it the current one.
func (r *reader) openPlugin(name, path string) int {
	p := Plugin{Pos: r.pos, Name: name, Path: path, Kind: pluginKind(path)}
	switch p.Kind {
	case UnknownPlugin:
		r.note(Ignored, "plugins of Mosquitto are machine code for Mosquitto and cannot be loaded")
	case SparkplugPlugin:
		r.note(Ignored, "not built in")
	default:
		r.note(Changed, "nothing is loaded: "+string(p.Kind)+" is built in")
	}
	r.cfg.Plugins = append(r.cfg.Plugins, p)
	r.here.plugin = len(r.cfg.Plugins)
	return r.here.plugin - 1
}

func addPlugin(r *reader, w *words) *Error {
	path := w.next()
	if path == "" {
		return wrong("no value", "write the path of the plugin")
	}
	i := r.openPlugin("", path)
	s := &r.global
	if r.word != "global_plugin" {
		r.trigger()
		s = r.security()
	}
	s.Plugins = append(s.Plugins, i)
	return nil
}

func loadPlugin(r *reader, w *words) *Error {
	name, path := w.next(), w.tail()
	switch {
	case name == "" || path == "":
		return wrong("no name or no path", "write plugin_load NAME PATH")
	case r.pluginNamed(name) >= 0:
		return wrong("a second plugin "+quote(name), "give it another name")
	}
	r.openPlugin(name, path)
	return nil
}

func usePlugin(r *reader, w *words) *Error {
	name, err := w.text()
	if err != nil {
		return err
	}
	i := r.pluginNamed(name)
	if i < 0 {
		return wrong("no plugin "+quote(name)+" was loaded above", "write plugin_load "+name+" PATH before")
	}
	if r.cfg.Plugins[i].Kind == UnknownPlugin {
		r.note(Ignored, "the plugin cannot be loaded")
	}
	l := r.listener()
	l.sec.Plugins = append(l.sec.Plugins, i)
	r.here.plugin = i + 1
	return nil
}

func (r *reader) pluginNamed(name string) int {
	for i := range r.cfg.Plugins {
		if r.cfg.Plugins[i].Name == name {
			return i
		}
	}
	return -1
}

func pluginOption(r *reader, w *words) *Error {
	_, key, _ := strings.Cut(r.word, "_opt_")
	if key == "" {
		return wrong("no name of the option", "write "+r.word+"NAME VALUE")
	}
	value, err := w.text()
	if err != nil {
		return err
	}
	p := &r.cfg.Plugins[r.here.plugin-1]
	p.Options = append(p.Options, PluginOption{key, value})
	if p.Kind == UnknownPlugin || p.Kind == SparkplugPlugin {
		r.note(Ignored, "the plugin is not loaded")
	}
	return nil
}
