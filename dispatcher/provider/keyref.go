package provider

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode"
)

// maxKeyFile is how long a file with a credential may be; a longer one is
// another file.
const maxKeyFile = 64 << 10

// read returns the credential, empty where the variable is not set or the file
// is not there, and the name of what holds it. An error is the end of a
// sentence that begins with the reference's own name.
func (ref *KeyRef) read(getenv func(string) string) (key, source string, err error) {
	switch {
	case ref.Env == "" && ref.File == "":
		return "", "", errors.New(".env: names no environment variable")
	case ref.Env != "" && ref.File != "":
		return "", "", errors.New(": give env or file, not both")
	case ref.Env != "":
		key, source = strings.TrimSpace(getenv(ref.Env)), ref.Env
	default:
		key, err = readKeyFile(ref.File)
		if err != nil {
			return "", "", err
		}
		source = ref.File
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) }) {
		return "", "", fmt.Errorf(": what %s holds cannot be sent in a header; it has line breaks or signs that no credential has", source)
	}
	return key, source, nil
}

// remedy says what to do about references that all hold nothing.
func remedy(unset []KeyRef) string {
	var names, remedies []string
	for _, ref := range unset {
		if ref.Env != "" {
			names = append(names, ref.Env)
			continue
		}
		state := "which is not there"
		if _, err := os.Stat(ref.File); err == nil {
			state = "which is empty"
		}
		remedies = append(remedies, "write it into "+ref.File+", "+state)
	}
	if len(names) > 0 {
		remedies = append(remedies, "set "+strings.Join(names, " or ")+" for the server")
	}
	return strings.Join(remedies, ", or ")
}

func readKeyFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxKeyFile {
		return "", fmt.Errorf(".file: %s is too long for a credential", path)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf(".file: cannot be read: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
