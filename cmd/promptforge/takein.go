package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/intake"
)

// takeIn checks a prompts file and keeps it. The error is a sentence.
func takeIn(ctx context.Context, m *memory, id job.ID, content io.Reader) (storage.Upload, error) {
	u, err := intake.Read(ctx, m.files, id, interruptible{ctx, content}, intake.Limits{})
	var large *intake.TooLargeError
	var body *intake.BodyError
	switch {
	case err == nil, errors.As(err, &large):
		return u, err
	case errors.As(err, &body):
		return u, fmt.Errorf("the prompts file cannot be read: %w", body.Err)
	default:
		return u, fmt.Errorf("the prompts cannot be kept: %w", err)
	}
}
