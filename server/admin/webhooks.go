package admin

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/webhook"
)

type webhookSecretsRequest struct {
	Client string `json:"client"`
	Rotate bool   `json:"rotate"`
}

type webhookSecretsResponse struct {
	Secrets []string `json:"secrets"`
}

// WebhookSecrets are what a client's webhooks are signed with now.
func (l LocalClients) WebhookSecrets(ctx context.Context, client string, rotate bool) ([]string, error) {
	known, err := l.known(ctx, client)
	if err != nil {
		return nil, unavailable(err)
	}
	if !known {
		return nil, problem.New(problem.NotFound, "There is no client of this name; promptforge clients list shows them.")
	}
	now := Local{Now: l.Now}.now()
	var secrets [][]byte
	if rotate {
		secrets, err = l.Store.RotateWebhookSecret(ctx, client, now, now.Add(webhook.SecretOverlap))
	} else {
		secrets, err = l.Store.WebhookSecrets(ctx, client, now)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	texts := make([]string, 0, len(secrets))
	for _, s := range secrets {
		texts = append(texts, webhook.SecretText(s))
	}
	return texts, nil
}

func (l LocalClients) known(ctx context.Context, client string) (bool, error) {
	keys, err := l.Store.ListKeys(ctx)
	for _, k := range keys {
		if k.Client == client {
			return true, nil
		}
	}
	return false, err
}

// serveWebhooks adds the verb for webhooks, on the socket only.
func (s *Server) serveWebhooks(clients Clients) {
	s.Handle("POST /clients/webhook-secrets", s.verb(func(r *http.Request) (any, error) {
		var in webhookSecretsRequest
		if err := json.UnmarshalRead(r.Body, &in, json.RejectUnknownMembers(true)); err != nil {
			return nil, problem.New(problem.BadRequest, `The body must be {"client":"…","rotate":false}.`).Because(err)
		}
		secrets, err := clients.WebhookSecrets(r.Context(), in.Client, in.Rotate)
		if err == nil && in.Rotate {
			s.log.InfoContext(r.Context(), "a client's webhook secret was rotated", "client", in.Client)
		}
		return webhookSecretsResponse{secrets}, err
	}))
}

// WebhookSecrets are what a client's webhooks are signed with now.
func (c *Client) WebhookSecrets(ctx context.Context, client string, rotate bool) ([]string, error) {
	var out webhookSecretsResponse
	err := c.Call(ctx, http.MethodPost, "/clients/webhook-secrets", webhookSecretsRequest{client, rotate}, &out)
	return out.Secrets, err
}
