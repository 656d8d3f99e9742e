package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestConfigurationPage: the example of docs/configuration.md is one, and has every key.
func TestConfigurationPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```toml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("there is no example")
	}
	c, _, err := Parse(strings.NewReader(example), "configuration.md", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Listeners) != 1 || len(c.Bridges) != 1 || c.Listeners[0].Security.PasswordFile == "" {
		t.Errorf("the example is %+v", c)
	}
	var check func(table string, typ reflect.Type)
	check = func(table string, typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for _, f := range reflect.VisibleFields(typ) {
			key := f.Tag.Get("toml")
			if key == "" {
				continue
			}
			if !regexp.MustCompile(`(?m)(^|[\[{., ])` + regexp.QuoteMeta(key) + `( = |\])`).MatchString(example) {
				t.Errorf("docs/configuration.md lacks %s of %s", key, table)
			}
			if f.Type != reflect.TypeFor[lifetime]() && f.Type != reflect.TypeFor[amount]() {
				check(key, f.Type)
			}
		}
	}
	check("the file", reflect.TypeFor[document]())
}
