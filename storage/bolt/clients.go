package bolt

import "time"

// clientRecord counts what a client has done.
type clientRecord struct {
	Jobs    uint64 `json:"jobs"`    // created
	Uploads uint64 `json:"uploads"` // completed

	Usage usageRecord `json:"usage,omitzero"`

	WebhookSecrets []webhookSecret `json:"webhook_secrets,omitempty"`
}

// webhookSecret signs a client's webhooks.
type webhookSecret struct {
	Secret []byte    `json:"secret"`
	Until  time.Time `json:"until,omitzero"` // zero: it is the newest
}

// usageRecord is storage.Usage as it is kept.
type usageRecord struct {
	Jobs  int   `json:"jobs"`
	Open  int   `json:"open"`
	Bytes int64 `json:"bytes"`
}

// count changes a client's counters and returns them.
func (t *tx) count(client string, change func(c *clientRecord)) (clientRecord, error) {
	b, k := t.bucket(bucketClients), key{}.text(client)
	var c clientRecord
	if _, err := getJSON(b, k, &c); err != nil {
		return c, err
	}
	change(&c)
	return c, t.putJSON(b, k, &c)
}
