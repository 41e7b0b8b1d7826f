package transfer

import (
	"net/http"
	"strconv"
	"strings"
)

// span is the bytes of a file that a download sends.
type span struct {
	start, length int64
	partial       bool // 206
}

// rangeOf reads the Range of a GET (RFC 9110, 14.2). ok is false for a range
// that is outside the file. What asks for several ranges, for another unit, or
// cannot be read is passed over, and gets the whole.
func rangeOf(field string, size int64) (s span, ok bool) {
	whole := span{length: size}
	spec, isBytes := strings.CutPrefix(field, "bytes=")
	if !isBytes || strings.Contains(spec, ",") {
		return whole, true
	}
	first, last, dash := strings.Cut(strings.Trim(spec, " \t"), "-")
	if !dash || !digits(first) || !digits(last) || first+last == "" {
		return whole, true
	}
	if first == "" {
		n := atMost(last, size)
		if size == 0 && last != "0" {
			return whole, true
		}
		return span{start: size - n, length: n, partial: true}, n > 0
	}
	start, end := atMost(first, size), size-1
	if last != "" {
		if less(last, first) {
			return whole, true
		}
		end = min(end, atMost(last, size))
	}
	if size == 0 && start == 0 && first == "0" {
		// Some clients ask everything from byte 0 on with a range, and there
		// is nothing wrong with an empty file.
		return whole, true
	}
	return span{start: start, length: end - start + 1, partial: true}, start < size
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// atMost reads digits; a number over limit, of whatever length, is limit.
func atMost(s string, limit int64) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > limit {
		return limit
	}
	return n
}

// less compares two numbers of whatever length.
func less(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// Which entity tags a field lists; strong comparison leaves out weak ones.
func matches(fields []string, etag string, strong bool) bool {
	for _, field := range fields {
		for _, tag := range strings.Split(field, ",") {
			tag = strings.TrimSpace(tag)
			if !strong {
				tag = strings.TrimPrefix(tag, "W/")
			}
			if tag == etag || tag == "*" {
				return true
			}
		}
	}
	return false
}

// precondition evaluates If-Match and If-None-Match (RFC 9110, 13.2.2). 0
// means that the download goes on.
func precondition(h http.Header, etag string) int {
	if want := h.Values("If-Match"); len(want) > 0 && !matches(want, etag, true) {
		return http.StatusPreconditionFailed
	}
	if known := h.Values("If-None-Match"); len(known) > 0 && matches(known, etag, false) {
		return http.StatusNotModified
	}
	return 0
}

// ranged tells whether the request's Range counts: it is a GET, and If-Range,
// where it has one, names the file as it is. A date never does, since a
// results file has none.
func ranged(r *http.Request, etag string) bool {
	if r.Method != http.MethodGet || r.Header.Get("Range") == "" {
		return false
	}
	only := r.Header.Get("If-Range")
	return only == "" || only == etag
}
