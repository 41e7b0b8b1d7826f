package main

import (
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/promptforge/promptforge/dispatcher/provider"
)

// A flag whose struct tag has setting:"" is also a variable PROMPTFORGE_… and,
// with underscores, a key of the configuration file. The flag goes before the
// variable, and the variable before the file.
const settingTag = "setting"

// The keys of the file that are no flags.
const (
	providersKey = "providers"
	clientsKey   = "clients"
)

// settingError is a sentence that names the variable, or the file and its key.
type settingError struct{ sentence string }

func (e *settingError) Error() string { return e.sentence }

// settings resolves what the command line leaves out.
type settings struct {
	getenv func(string) string
	known  []string // keys of the file
	loaded bool

	file      string // empty: none
	values    map[string]*yaml.Node
	providers map[string]provider.Config
	clients   map[string]clientConfig
}

var _ kong.Resolver = (*settings)(nil)

// Validate is here for kong; what the file holds is checked when it is read.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve finds a flag's value in the environment, else in the file.
func (s *settings) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if !flag.Tag.Has(settingTag) {
		return nil, nil
	}
	if name := envName(flag.Name); s.getenv(name) != "" {
		text := s.getenv(name)
		return text, try(flag, text, name)
	}
	key := fileKey(flag.Name)
	node, ok := s.values[key]
	if !ok {
		return nil, nil
	}
	where := fmt.Sprintf("%s: %s (line %d)", s.file, key, node.Line)
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return nil, &settingError{where + ": needs one plain value"}
	}
	return node.Value, try(flag, node.Value, where)
}

// try tells whether a flag takes a value, so that a refusal can name where it
// came from.
func try(flag *kong.Flag, text, where string) error {
	v, ok := reflect.New(flag.Target.Type()).Interface().(encoding.TextUnmarshaler)
	if !ok {
		return nil
	}
	if err := v.UnmarshalText([]byte(text)); err != nil {
		return &settingError{where + ": " + err.Error()}
	}
	return nil
}

func envName(flag string) string {
	return "PROMPTFORGE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func fileKey(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// knownSettings lists the keys that a file may have, whichever command reads
// it, so that one file serves them all.
func knownSettings(app *kong.Application) []string {
	keys := []string{providersKey, clientsKey}
	for _, command := range app.Children {
		for _, flag := range command.Flags {
			key := fileKey(flag.Name)
			if flag.Tag.Has(settingTag) && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// describeFlag adds to a flag's help its default, which the usage does not
// show beside a placeholder, and a setting's variable.
func describeFlag(v *kong.Value) string {
	var notes []string
	if v.HasDefault && v.Flag != nil && v.Flag.PlaceHolder != "" && v.Default != "0" && v.Default != "" {
		notes = append(notes, "default "+v.Default)
	}
	if v.Tag != nil && v.Tag.Has(settingTag) {
		notes = append(notes, "$"+envName(v.Name))
	}
	if len(notes) == 0 {
		return v.Help
	}
	return strings.TrimSuffix(v.Help, ".") + " (" + strings.Join(notes, ", ") + ")."
}

// configFlag stands in every command that reads the configuration file.
type configFlag struct {
	Config string `help:"Read settings from a YAML file; its keys are the flags with underscores, providers and clients ($PROMPTFORGE_CONFIG)." placeholder:"FILE"`
}

// load reads the configuration file of a command that has --config.
func (s *settings) load(ctx *kong.Context) error {
	if s.loaded {
		return nil
	}
	s.loaded = true
	for _, flag := range ctx.Flags() {
		if flag.Name != "config" {
			continue
		}
		path, _ := ctx.FlagValue(flag).(string)
		if path == "" {
			path = s.getenv(envName("config"))
		}
		if path != "" {
			return s.read(path)
		}
	}
	return nil
}

func (s *settings) read(path string) error {
	s.file = path
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &settingError{path + ": there is no such configuration file"}
	case err != nil:
		return &settingError{fmt.Sprintf("the configuration file cannot be read: %s", err)}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return &settingError{fmt.Sprintf("%s is not valid YAML: %s", path, strings.TrimPrefix(oneLine(err.Error()), "yaml: "))}
	}
	if len(doc.Content) == 0 {
		return nil // empty
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return &settingError{path + ": needs keys with values, such as max_in_flight: 100"}
	}
	s.values = map[string]*yaml.Node{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if !slices.Contains(s.known, key.Value) {
			return &settingError{fmt.Sprintf("%s: %s (line %d) is no setting; there are: %s", path, key.Value, key.Line, strings.Join(s.known, ", "))}
		}
		if _, twice := s.values[key.Value]; twice {
			return &settingError{fmt.Sprintf("%s: %s (line %d) stands there twice", path, key.Value, key.Line)}
		}
		s.values[key.Value] = value
	}
	if node, ok := s.values[providersKey]; ok {
		if err := (strictYAML{file: path}).decode(node, reflect.ValueOf(&s.providers).Elem(), providersKey); err != nil {
			return err
		}
	}
	if node, ok := s.values[clientsKey]; ok {
		return strictYAML{file: path}.clients(node, &s.clients)
	}
	return nil
}
