package admin

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/promptforge/promptforge/server/problem"
)

type listClientsResponse struct {
	Clients []ClientInfo `json:"clients"`
}

type purgeClientRequest struct {
	Client string `json:"client"`
}

// ServeClients adds the verbs for whole clients, on the socket only.
func (s *Server) ServeClients(clients Clients) {
	s.serveWebhooks(clients)
	s.Handle("GET /clients", s.verb(func(r *http.Request) (any, error) {
		list, err := clients.ListClients(r.Context())
		return listClientsResponse{list}, err
	}))
	s.Handle("POST /clients/purge", s.verb(func(r *http.Request) (any, error) {
		var in purgeClientRequest
		if err := json.UnmarshalRead(r.Body, &in, json.RejectUnknownMembers(true)); err != nil {
			return nil, problem.New(problem.BadRequest, `The body must be {"client":"…"}.`).Because(err)
		}
		p, err := clients.PurgeClient(r.Context(), in.Client)
		if p.Keys+p.Jobs > 0 {
			s.log.InfoContext(r.Context(), "a client was purged", "client", in.Client, "keys", p.Keys, "jobs", p.Jobs, "in_flight", len(p.InFlight))
		}
		return p, err
	}))
}

var _ Clients = (*Client)(nil)

// ListClients lists everyone who has or had a key.
func (c *Client) ListClients(ctx context.Context) ([]ClientInfo, error) {
	var out listClientsResponse
	err := c.Call(ctx, http.MethodGet, "/clients", nil, &out)
	return out.Clients, err
}

// PurgeClient removes all of a client.
func (c *Client) PurgeClient(ctx context.Context, client string) (Purged, error) {
	var out Purged
	err := c.Call(ctx, http.MethodPost, "/clients/purge", purgeClientRequest{Client: client}, &out)
	return out, err
}
