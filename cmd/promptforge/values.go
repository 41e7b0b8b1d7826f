package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The values that flags, variables and the configuration file have in common.
// Each refuses what it does not understand with the end of a sentence that
// begins with the setting's name.

// duration is a time span over 0.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("needs a time span over 0 such as 30s, 10m or 2h, not %q", text)
	}
	*d = duration(v)
	return nil
}

// span is a duration that may be 0.
type span time.Duration

func (d *span) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*d = 0
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("needs a time span such as 0, 50ms or 2s, not %q", text)
	}
	*d = span(v)
	return nil
}

// size is a number of bytes.
type size int64

func (s *size) UnmarshalText(text []byte) error {
	digits, unit := string(text), int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if rest, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, unit = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/unit {
		return fmt.Errorf("needs a number of bytes over 0, plain or ending in KiB, MiB or GiB such as 512MiB, not %q", text)
	}
	*s = size(n * unit)
	return nil
}

// reserve is a size; 0 is none.
type reserve int64

func (r *reserve) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*r = 0
		return nil
	}
	var s size
	if s.UnmarshalText(text) != nil {
		return fmt.Errorf("needs a number of bytes, plain or ending in KiB, MiB or GiB such as 512MiB, or 0 for none, not %q", text)
	}
	*r = reserve(s)
	return nil
}

// count is a whole number from 1 to maxCount.
type count int

const maxCount = 1_000_000_000_000

func (c *count) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > maxCount {
		return fmt.Errorf("needs a whole number from 1 to %s, not %q", number(maxCount), text)
	}
	*c = count(n)
	return nil
}

// retries is a whole number from 0 to 20.
type retries int

func (r *retries) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 || n > 20 {
		return fmt.Errorf("needs a whole number from 0 to 20, not %q", text)
	}
	*r = retries(n)
	return nil
}

// address is host:port; the host may be left out.
type address string

func (a *address) UnmarshalText(text []byte) error {
	_, port, err := net.SplitHostPort(string(text))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("needs an address such as 127.0.0.1:8080 (port 0 picks a free one), not %q", text)
	}
	*a = address(text)
	return nil
}

// baseURL is an absolute http or https URL without a query.
type baseURL string

func (u *baseURL) UnmarshalText(text []byte) error {
	v, err := url.Parse(string(text))
	if err != nil || (v.Scheme != "http" && v.Scheme != "https") || v.Host == "" || v.User != nil || v.RawQuery != "" || v.Fragment != "" {
		return errors.New("needs an absolute http or https URL without a query, such as https://promptforge.example.com")
	}
	*u = baseURL(strings.TrimRight(string(text), "/"))
	return nil
}

// logLevel is how much is logged.
type logLevel slog.Level

func (l *logLevel) UnmarshalText(text []byte) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	v, ok := levels[strings.ToLower(string(text))]
	if !ok {
		return fmt.Errorf("needs debug, info, warn or error, not %q", text)
	}
	*l = logLevel(v)
	return nil
}
