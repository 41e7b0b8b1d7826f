package client

import "io"

// source is the reader of an upload, and what is needed to read it again.
type source struct {
	r       io.Reader
	seeker  io.Seeker // nil: it cannot be read again
	start   int64     // where it stood at first
	touched bool
	err     error // of Read, but for io.EOF
}

func newSource(r io.Reader) *source {
	s := &source{r: r}
	if seeker, ok := r.(io.Seeker); ok {
		// A pipe is an *os.File that cannot seek.
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			s.seeker, s.start = seeker, start
		}
	}
	return s
}

// Read reads, and remembers how that went.
func (s *source) Read(p []byte) (int, error) {
	s.touched = true
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *source) repeatable() bool { return !s.touched || s.seeker != nil }

// rewind goes back to where the source stood at first.
func (s *source) rewind() error {
	if !s.touched {
		return nil
	}
	_, err := s.seeker.Seek(s.start, io.SeekStart)
	return err
}
