package main

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// strictYAML decodes maps, structs and lists of structs, and refuses by its
// whole name what does not belong there.
type strictYAML struct{ file string }

func (s strictYAML) mistake(n *yaml.Node, path, format string, args ...any) error {
	return &settingError{fmt.Sprintf("%s: %s (line %d) ", s.file, path, n.Line) + fmt.Sprintf(format, args...)}
}

func (s strictYAML) decode(n *yaml.Node, into reflect.Value, path string) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if v, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return s.text(n, v, path)
	}
	switch t := into.Type(); {
	case t.Kind() == reflect.Map:
		return s.mapping(n, into, path)
	case t.Kind() == reflect.Struct:
		return s.structure(n, into, path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return s.list(n, into, path)
	}
	if n.Tag == "!!null" || n.Decode(into.Addr().Interface()) != nil {
		return s.mistake(n, path, "needs %s", wanted(into.Type()))
	}
	return nil
}

// text decodes what a flag could hold as well.
func (s strictYAML) text(n *yaml.Node, into encoding.TextUnmarshaler, path string) error {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return s.mistake(n, path, "needs one plain value")
	}
	if err := into.UnmarshalText([]byte(n.Value)); err != nil {
		return s.mistake(n, path, "%s", err)
	}
	return nil
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "a list, such as [a, b]"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	default:
		return "one plain value"
	}
}

func (s strictYAML) mapping(n *yaml.Node, into reflect.Value, path string) error {
	if n.Kind != yaml.MappingNode {
		return s.mistake(n, path, "needs names with settings below them")
	}
	into.Set(reflect.MakeMap(into.Type()))
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if into.MapIndex(reflect.ValueOf(key.Value)).IsValid() {
			return s.mistake(key, path+"."+key.Value, "stands there twice")
		}
		v := reflect.New(into.Type().Elem()).Elem()
		if err := s.decode(n.Content[i+1], v, path+"."+key.Value); err != nil {
			return err
		}
		into.SetMapIndex(reflect.ValueOf(key.Value), v)
	}
	return nil
}

func (s strictYAML) structure(n *yaml.Node, into reflect.Value, path string) error {
	if n.Kind != yaml.MappingNode {
		return s.mistake(n, path, "needs settings below it")
	}
	var known, seen []string
	fields := map[string]int{}
	for i := range into.NumField() {
		name := into.Type().Field(i).Tag.Get("yaml")
		known, fields[name] = append(known, name), i
	}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		index, ok := fields[key.Value]
		if !ok {
			return s.mistake(key, path+"."+key.Value, "is no setting; there are: %s", strings.Join(known, ", "))
		}
		if slices.Contains(seen, key.Value) {
			return s.mistake(key, path+"."+key.Value, "stands there twice")
		}
		seen = append(seen, key.Value)
		if err := s.decode(n.Content[i+1], into.Field(index), path+"."+key.Value); err != nil {
			return err
		}
	}
	return nil
}

func (s strictYAML) list(n *yaml.Node, into reflect.Value, path string) error {
	if n.Kind != yaml.SequenceNode {
		return s.mistake(n, path, "needs a list")
	}
	into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		if err := s.decode(item, into.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}
