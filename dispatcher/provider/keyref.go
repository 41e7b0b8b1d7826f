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

// read returns the credential and the name of what holds it. Where there is
// none it is empty, and cause says why, the end of a sentence that begins with
// that name. An error is the end of a sentence that begins with the reference's
// own name.
func (ref *KeyRef) read(getenv func(string) string) (key, source, cause string, err error) {
	switch {
	case ref.Env == "" && ref.File == "":
		return "", "", "", errors.New(".env: names no environment variable")
	case ref.Env != "" && ref.File != "":
		return "", "", "", errors.New(": give env or file, not both")
	case ref.Env != "":
		key, source = strings.TrimSpace(getenv(ref.Env)), ref.Env
		if key == "" {
			cause = "is not set"
		}
	default:
		source = ref.File
		if key, cause, err = readKeyFile(ref.File); err != nil {
			return "", "", "", err
		}
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) }) {
		return "", "", "", fmt.Errorf(": what %s holds cannot be sent in a header; it has line breaks or signs that no credential has", source)
	}
	return key, source, cause, nil
}

// lack is a reference that holds no credential, and why: the end of a sentence
// that begins with what it names.
type lack struct {
	ref   KeyRef
	cause string
}

// keyFile is what a caller reads of a file with a credential.
const keyFile = "its credential file"

// remedy says what to do about references that all hold nothing; called is what
// a file is called.
func remedy(unset []lack, called func(path string) string) string {
	var names, remedies []string
	for _, l := range unset {
		if l.ref.Env != "" {
			names = append(names, l.ref.Env)
			continue
		}
		remedies = append(remedies, "write it into "+called(l.ref.File)+", which "+l.cause)
	}
	if len(names) > 0 {
		remedies = append(remedies, "set "+strings.Join(names, " or ")+" for the server")
	}
	return strings.Join(remedies, ", or ")
}

// readKeyFile reads a credential. A file that is not there, or cannot be read
// now, is no mistake in the configuration: cause says what is wrong with it.
func readKeyFile(path string) (key, cause string, err error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxKeyFile {
		return "", "", fmt.Errorf(".file: %s is too long for a credential", path)
	}
	if err == nil && info.IsDir() {
		return "", "", fmt.Errorf(".file: cannot be read: %s is a folder", path)
	}
	text, err := os.ReadFile(path)
	key = strings.TrimSpace(string(text))
	var at *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cause = "is not there"
	case errors.As(err, &at):
		cause = "cannot be read: " + at.Err.Error()
	case err != nil:
		cause = "cannot be read"
	case key == "":
		cause = "is empty"
	}
	return key, cause, nil
}
