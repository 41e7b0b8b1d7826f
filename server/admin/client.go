package admin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// Client speaks to the server that runs on a data folder. Its calls take as
// long as their contexts let them.
type Client struct{ http *http.Client }

var _ Keys = (*Client)(nil)

// Dial finds the server that runs on a data folder. ErrNobodyListens if there
// is none.
func Dial(dir string) (*Client, error) {
	conn, err := dial(dir)
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	return &Client{http: &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial(dir) },
		},
	}}, nil
}

// Call sends a request with in as its JSON body (nil: none) and reads the
// answer into out (nil: ignored). The server's refusal comes back as a problem
// with its sentence.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server over its admin socket: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return refusal(resp.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// refusal reads back what problem.Write wrote.
func refusal(status int, body []byte) error {
	var e struct {
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Detail == "" {
		return fmt.Errorf("the server answered with status %d", status)
	}
	for _, kind := range []problem.Kind{problem.BadRequest, problem.NotFound, problem.MethodNotAllowed, problem.JobState, problem.Unavailable} {
		if kind.HTTPStatus() == status {
			return problem.New(kind, e.Detail)
		}
	}
	return problem.New(problem.Internal, e.Detail)
}

// CreateKey makes a key.
func (c *Client) CreateKey(ctx context.Context, client string) (string, storage.Key, error) {
	var out createKeyResponse
	if err := c.Call(ctx, http.MethodPost, "/keys", createKeyRequest{Client: client}, &out); err != nil {
		return "", storage.Key{}, err
	}
	return out.Plain, out.Key.key(), nil
}

// ListKeys lists all keys.
func (c *Client) ListKeys(ctx context.Context) ([]storage.Key, error) {
	var out listKeysResponse
	if err := c.Call(ctx, http.MethodGet, "/keys", nil, &out); err != nil {
		return nil, err
	}
	list := make([]storage.Key, len(out.Keys))
	for i, w := range out.Keys {
		list[i] = w.key()
	}
	return list, nil
}

// RevokeKey revokes a key.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	return c.Call(ctx, http.MethodPost, "/keys/"+url.PathEscape(id)+"/revoke", nil, nil)
}
