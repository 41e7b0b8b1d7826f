package transfer

import (
	"context"
	"time"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// retryShort is when an upload that found no room may be tried again. Room that
// an operator makes does not come within seconds.
const retryShort = 30 * time.Second

// short refuses uploads while the disk is nearly full. What the disk has is the
// operator's affair, and told to the log.
func (h *Handler) short() error {
	if sentence, _ := h.Room.Short(); sentence == "" {
		return nil
	}
	p := problem.New(problem.Unavailable, "The server's disk is nearly full, and no upload is taken now; the job and its upload URL stay good, so send the file again later.")
	p.RetryAfter = retryShort
	return p
}

// spacious are files that take no more while the disk is nearly full, so that
// one long upload does not eat up the reserve.
type spacious struct {
	storage.Files
	of *Handler
}

func (s *spacious) Create(ctx context.Context, name string) (storage.NewFile, error) {
	f, err := s.Files.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	return &spaciousFile{f, s.of}, nil
}

type spaciousFile struct {
	storage.NewFile
	of *Handler
}

func (f *spaciousFile) Write(p []byte) (int, error) {
	if err := f.of.short(); err != nil {
		return 0, err
	}
	return f.NewFile.Write(p)
}
