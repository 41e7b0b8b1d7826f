package admin

import (
	"context"
	"net/http"
	"path/filepath"

	"github.com/go-json-experiment/json"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage/backup"
)

type backupRequest struct {
	Dir string `json:"dir"`
}

// ServeBackup adds the verb that copies the data folder, on the socket only.
// The copy is written by the server, into a folder of this machine.
func (s *Server) ServeBackup(do func(ctx context.Context, dir string) (backup.Copied, error)) {
	s.Handle("POST /backup", s.verb(func(r *http.Request) (any, error) {
		var in backupRequest
		if err := json.UnmarshalRead(r.Body, &in, json.RejectUnknownMembers(true)); err != nil || !filepath.IsAbs(in.Dir) {
			return nil, problem.New(problem.BadRequest, `The body must be {"dir":"…"} with an absolute path.`).Because(err)
		}
		copied, err := do(r.Context(), in.Dir)
		if err != nil {
			// An operator reads it, and it names a path that he gave.
			return nil, problem.New(problem.Unavailable, "No backup was made: "+err.Error()+".").Because(err)
		}
		s.log.InfoContext(r.Context(), "a backup was made", "dir", in.Dir, "files", copied.Files, "bytes", copied.Bytes, "missing", len(copied.Missing))
		return copied, nil
	}))
}

// Backup has the server copy its data folder into dir, an absolute path.
func (c *Client) Backup(ctx context.Context, dir string) (copied backup.Copied, err error) {
	err = c.Call(ctx, http.MethodPost, "/backup", backupRequest{Dir: dir}, &copied)
	return copied, err
}
