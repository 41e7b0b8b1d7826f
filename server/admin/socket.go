package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// maxSocketPath is what the address of a unix socket may be long: 108 bytes on
// Linux, 104 on macOS, with a zero byte at the end.
const maxSocketPath = 103

// ErrNobodyListens says that no server runs on the data folder (or none that
// this user's commands can find), so the store may be opened directly.
var ErrNobodyListens = errors.New("no server listens on the admin socket")

// Listen opens the admin socket of a data folder, for its owner alone (0600).
// A socket that a dead server left behind is replaced; a live one, or a file
// that is no socket, is an error. Closing the listener removes the socket.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	switch conn, err := dial(dir); {
	case err == nil:
		conn.Close() //nolint:errcheck // nothing was sent over it
		return nil, fmt.Errorf("another server listens on %s already; stop it first, or choose another data folder", path)
	case !errors.Is(err, ErrNobodyListens):
		return nil, err
	}
	// The socket is bound in a folder that nobody else can enter and moved
	// into place with its mode, so that there is no moment in which another
	// user could connect.
	private, err := os.MkdirTemp(dir, ".admin-*")
	if err != nil {
		return nil, fmt.Errorf("make the admin socket %s: %w", path, err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // empty by then; a left-over does no harm
	bound := filepath.Join(private, "s")
	l, err := listenShort(bound)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(bound, 0o600)
	if err == nil {
		err = os.Rename(bound, path)
	}
	if err != nil {
		l.Close() //nolint:errcheck // the error that counts is err
		return nil, fmt.Errorf("make the admin socket %s: %w", path, err)
	}
	return &listener{UnixListener: l, path: path}, nil
}

// listener removes its socket when it is closed.
type listener struct {
	*net.UnixListener
	path string
	once sync.Once
	err  error
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.err = l.UnixListener.Close()
		if err := os.Remove(l.path); !errors.Is(err, fs.ErrNotExist) {
			l.err = errors.Join(l.err, err)
		}
	})
	return l.err
}

func listenShort(path string) (l *net.UnixListener, err error) {
	err = withShortPath(path, func(short string) error {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		if err != nil {
			return fmt.Errorf("listen on the admin socket in %s: %w", filepath.Dir(path), err)
		}
		return nil
	})
	return l, err
}

// dial connects to the socket of a data folder. ErrNobodyListens.
func dial(dir string) (conn net.Conn, err error) {
	path := filepath.Join(dir, SocketName)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNobodyListens
	case err != nil:
		return nil, fmt.Errorf("look at the admin socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is in the way: it is no socket; move it elsewhere", path)
	}
	err = withShortPath(path, func(short string) error {
		conn, err = net.Dial("unix", short)
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
			return ErrNobodyListens
		}
		if err != nil {
			return fmt.Errorf("connect to the server over %s: %w", path, err)
		}
		return nil
	})
	return conn, err
}

// withShortPath calls do with a path to the same socket that fits into a unix
// address: path itself, or one through a symbolic link in the temporary
// folder, which lives only as long as do runs.
func withShortPath(path string, do func(short string) error) error {
	if len(path) <= maxSocketPath {
		return do(path)
	}
	abs, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("find the folder of the admin socket: %w", err)
	}
	tmp, err := os.MkdirTemp("", "pf-*")
	if err != nil {
		return fmt.Errorf("the path %s is too long for a socket (%d bytes at most), and no shortcut could be made: %w", path, maxSocketPath, err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // a link in the temporary folder does no harm
	short := filepath.Join(tmp, "d", filepath.Base(path))
	if len(short) > maxSocketPath {
		return fmt.Errorf("the path %s is too long for a socket (%d bytes at most), and so is the temporary folder's; choose a data folder with a shorter path", path, maxSocketPath)
	}
	if err := os.Symlink(abs, filepath.Join(tmp, "d")); err != nil {
		return fmt.Errorf("the path %s is too long for a socket (%d bytes at most), and no shortcut could be made: %w", path, maxSocketPath, err)
	}
	return do(short)
}
