package bolt

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// OwedHosts lists who is owed a webhook, by one look into the index for each.
func (s *Store) OwedHosts(ctx context.Context) (hosts []storage.OwedHost, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketOwed).Cursor()
		for k, _ := c.First(); k != nil; {
			host, due := splitText(k)
			hosts = append(hosts, storage.OwedHost{Host: string(host), Due: timeOf(due)})
			k, _ = c.Seek(append(key{}.text(string(host)), 0xff)) // beyond all times
		}
		return nil
	})
	slices.SortFunc(hosts, func(a, b storage.OwedHost) int { return strings.Compare(a.Host, b.Host) }) // keys sort by length first
	return hosts, err
}

// OwedDeliveries lists the jobs whose webhook to a host is due.
func (s *Store) OwedDeliveries(ctx context.Context, host string, at time.Time, limit int) (due []*job.Job, next time.Time, err error) {
	prefix := key{}.text(host)
	now := string(slices.Clone(prefix).time(utc(at)))
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		return scan(tx.Bucket(bucketOwed), prefix, func(k, id []byte) (bool, error) {
			if len(due) == limit || string(k[:len(now)]) > now {
				next = timeOf(k[len(prefix):])
				return false, nil
			}
			r, err := read(tx, job.ID(id))
			if storage.Damaged(err) {
				return true, nil // the others still get theirs
			}
			if err != nil {
				return false, err
			}
			due = append(due, r.copy())
			return true, nil
		})
	})
	return due, next, err
}

// splitText undoes key.text.
func splitText(k []byte) (text, rest []byte) {
	n := binary.BigEndian.Uint16(k)
	return k[2 : 2+n], k[2+n:]
}

// timeOf is the time that a key begins with.
func timeOf(k []byte) time.Time {
	seconds := binary.BigEndian.Uint64(k) ^ (1 << 63)
	return time.Unix(int64(seconds), int64(binary.BigEndian.Uint32(k[8:]))).UTC() //nolint:gosec // as key.time wrote it
}

// KeepDelivery says how an attempt went.
func (s *Store) KeepDelivery(ctx context.Context, id job.ID, d job.Delivery) error {
	return s.update(ctx, func(t *tx) error {
		r, err := t.job(id)
		if err != nil {
			return err
		}
		if r.job.Deleted || r.job.Delivery.State != job.DeliveryOwed {
			return storage.ErrNotFound
		}
		d.Due = utc(d.Due)
		r.job.Delivery = d
		t.changed(r)
		return nil
	})
}

// WebhookSecrets are those that sign a client's deliveries at a time.
func (s *Store) WebhookSecrets(ctx context.Context, client string, at time.Time) ([][]byte, error) {
	var c clientRecord
	if err := s.view(ctx, func(tx *bbolt.Tx) error {
		_, err := getJSON(tx.Bucket(bucketClients), key{}.text(client), &c)
		return err
	}); err != nil {
		return nil, err
	}
	if c.WebhookSecrets == nil { // nobody asked before, or is asking just now
		if err := s.update(ctx, func(t *tx) (err error) {
			c, err = t.count(client, func(c *clientRecord) {
				if c.WebhookSecrets == nil {
					c.WebhookSecrets = []webhookSecret{newWebhookSecret()}
				}
			})
			return err
		}); err != nil {
			return nil, err
		}
	}
	return goodSecrets(c.WebhookSecrets, at), nil
}

// RotateWebhookSecret makes a new secret for a client.
func (s *Store) RotateWebhookSecret(ctx context.Context, client string, at, until time.Time) ([][]byte, error) {
	var c clientRecord
	err := s.update(ctx, func(t *tx) (err error) {
		c, err = t.count(client, func(c *clientRecord) {
			kept := []webhookSecret{newWebhookSecret()}
			for _, old := range c.WebhookSecrets {
				if old.Until.IsZero() {
					old.Until = utc(until)
				}
				if old.Until.After(at) {
					kept = append(kept, old)
				}
			}
			c.WebhookSecrets = kept
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return goodSecrets(c.WebhookSecrets, at), nil
}

func newWebhookSecret() webhookSecret {
	secret := make([]byte, storage.WebhookSecretBytes)
	rand.Read(secret)
	return webhookSecret{Secret: secret}
}

func goodSecrets(all []webhookSecret, at time.Time) (good [][]byte) {
	for _, s := range all {
		if s.Until.IsZero() || s.Until.After(at) {
			good = append(good, s.Secret)
		}
	}
	return good
}
