package main

import (
	"fmt"
	"reflect"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/storage"
)

// quotaFlags are the quotas of every client that has none of its own.
type quotaFlags struct {
	QuotaRequestsPerSecond     requestRate `setting:"" help:"Of each client so many requests a second, 0 for no limit." default:"5000" placeholder:"N"`
	QuotaOpenJobs              most        `setting:"" help:"Of each client so many jobs that are not settled, 0 for no limit." default:"10000" placeholder:"N"`
	QuotaUploads               most        `setting:"" help:"Of each client so many uploads at once, 0 for no limit." default:"1000" placeholder:"N"`
	QuotaStreams               most        `setting:"" help:"Of each client so many streams at once, 0 for no limit." default:"10000" placeholder:"N"`
	QuotaBytes                 mostBytes   `setting:"" help:"Of each client so many bytes stored, 0 for no limit." default:"1024GiB" placeholder:"SIZE"`
	QuotaFailedAuthentications most        `setting:"" help:"From each address so many requests a minute without a valid key, 0 for no limit." default:"10" placeholder:"N"`
}

func (f *quotaFlags) limits() quota.Limits {
	return quota.Limits{
		RequestsPerSecond: float64(f.QuotaRequestsPerSecond), OpenJobs: int(f.QuotaOpenJobs),
		Uploads: int(f.QuotaUploads), Streams: int(f.QuotaStreams), Bytes: int64(f.QuotaBytes),
	}
}

// clientConfig is what the configuration file says of one client.
type clientConfig struct {
	Quota clientQuota `yaml:"quota"`
}

// clientQuota is what is said of one client's quota, in the file or on the
// command line.
type clientQuota struct {
	RequestsPerSecond said[requestRate, *requestRate] `yaml:"requests_per_second" help:"So many requests a second, 0 for no limit." placeholder:"N"`
	OpenJobs          said[most, *most]               `yaml:"open_jobs" help:"So many jobs that are not settled, 0 for no limit." placeholder:"N"`
	Uploads           said[most, *most]               `yaml:"uploads" help:"So many uploads at once, 0 for no limit." placeholder:"N"`
	Streams           said[most, *most]               `yaml:"streams" help:"So many streams at once, 0 for no limit." placeholder:"N"`
	Bytes             said[mostBytes, *mostBytes]     `yaml:"bytes" help:"So many bytes stored, 0 for no limit." placeholder:"SIZE"`
}

func (q *clientQuota) quota() storage.Quota {
	return storage.Quota{
		RequestsPerSecond: (*float64)(q.RequestsPerSecond.value), OpenJobs: (*int)(q.OpenJobs.value),
		Uploads: (*int)(q.Uploads.value), Streams: (*int)(q.Streams.value), Bytes: (*int64)(q.Bytes.value),
	}
}

// clients reads the clients of the file.
func (s strictYAML) clients(n *yaml.Node, into *map[string]clientConfig) error {
	if err := s.decode(n, reflect.ValueOf(into).Elem(), clientsKey); err != nil {
		return err
	}
	for name := range *into {
		if err := keys.CheckClient(name); err != nil {
			return &settingError{fmt.Sprintf("%s: %s.%s: %s", s.file, clientsKey, name, err)}
		}
	}
	return nil
}

func (s *settings) clientQuotas() map[string]storage.Quota {
	quotas := map[string]storage.Quota{}
	for name, c := range s.clients {
		quotas[name] = c.Quota.quota()
	}
	return quotas
}

// said is a value that may be left out.
type said[T any, P interface {
	*T
	UnmarshalText(text []byte) error
}] struct{ value *T }

// UnmarshalText reads a value that is not left out.
func (s *said[T, P]) UnmarshalText(text []byte) error {
	var v T
	if err := P(&v).UnmarshalText(text); err != nil {
		return err
	}
	s.value = &v
	return nil
}

// requestRate is requests a second; 0 is without end.
type requestRate float64

func (r *requestRate) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !quota.Valid(storage.Quota{RequestsPerSecond: &v}) {
		return fmt.Errorf("needs 0, or a number from %v to %d such as 0.5 or 20, not %q", quota.MinRequestsPerSecond, quota.MaxRequestsPerSecond, text)
	}
	*r = requestRate(v)
	return nil
}

// most is a whole number; 0 is without end.
type most int

func (m *most) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*m = 0
		return nil
	}
	var c count
	if c.UnmarshalText(text) != nil {
		return fmt.Errorf("needs a whole number, 0 for no limit, not %q", text)
	}
	*m = most(c)
	return nil
}

// mostBytes is a size; 0 is without end.
type mostBytes int64

func (m *mostBytes) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*m = 0
		return nil
	}
	var s size
	if s.UnmarshalText(text) != nil {
		return fmt.Errorf("needs a number of bytes, plain or ending in KiB, MiB or GiB such as 512MiB, or 0 for no limit, not %q", text)
	}
	*m = mostBytes(s)
	return nil
}
