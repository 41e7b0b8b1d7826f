package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/promptforge/promptforge/storage/intake"
)

// input is a prompts file that can be read any number of times.
type input struct {
	name string
	temp bool // spooled from standard input or a pipe
	sum  [sha256.Size]byte
}

// openInput reads the file once, to know it again.
func openInput(p *program, name string) (_ *input, err error) {
	in := &input{name: name}
	f, err := in.source(p)
	if err != nil {
		return nil, err
	}
	if f.length < 0 { // read once only, and this reads it twice
		in.name, err = spool(p.ctx, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		in.temp = true
	} else if err := f.Close(); err != nil {
		return nil, err
	}
	content, err := in.open()
	if err != nil {
		in.close()
		return nil, err
	}
	defer content.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, interruptible{p.ctx, content}); err != nil {
		in.close()
		return nil, fmt.Errorf("the prompts file cannot be read: %w", err)
	}
	hash.Sum(in.sum[:0])
	return in, nil
}

func (in *input) source(p *program) (*promptsReader, error) {
	if in.name == "-" {
		return readPrompts("standard input", io.NopCloser(p.stdin), -1)
	}
	return openPrompts(in.name)
}

// spool copies what can be read once only to a temporary file.
func spool(ctx context.Context, r io.Reader) (string, error) {
	f, err := os.CreateTemp("", "promptforge-*.jsonl")
	if err != nil {
		return "", fmt.Errorf("keeping the prompts: %w", err)
	}
	_, err = io.Copy(f, interruptible{ctx, r})
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name()) //nolint:errcheck // the error that counts is err
		return "", fmt.Errorf("keeping the prompts: %w", err)
	}
	return f.Name(), nil
}

// open reads the prompts, decompressed.
func (in *input) open() (io.ReadCloser, error) {
	f, err := openPrompts(in.name)
	if err != nil {
		return nil, err
	}
	z, err := intake.Decompress(f.encoding, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return unpacked{z, f}, nil
}

// unpacked is a file being read, decompressed where it must be.
type unpacked struct {
	io.ReadCloser
	file *promptsReader
}

func (u unpacked) Close() error { return errors.Join(u.ReadCloser.Close(), u.file.Close()) }

func (in *input) close() {
	if in.temp {
		os.Remove(in.name) //nolint:errcheck // a temporary file
	}
}

// interruptible is a reader that ends when its context does.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}
