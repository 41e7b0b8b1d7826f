package server

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/pjson"
)

// eventsPattern is the one route of the gateway that stands in no proto file:
// google.api.http has no server-sent events.
const eventsPattern = "/v1/jobs/{job_id}/events"

// route is a method and a path, in whose segments "{…}" takes any one segment.
type route struct {
	method   string
	segments []string
	fields   bool // its request has a body with fields
}

func newRoute(method, pattern string, fields bool) route {
	return route{method: method, segments: strings.Split(pattern[1:], "/"), fields: fields}
}

// matches tells whether a path fits, and how many of its segments had to be
// taken by a "{…}".
func (r route) matches(segments []string) (free int, ok bool) {
	ok = slices.EqualFunc(r.segments, segments, func(pattern, segment string) bool {
		if strings.HasPrefix(pattern, "{") {
			free++
			return true
		}
		return pattern == segment
	})
	return free, ok
}

// routes are all that the gateway serves, read from the proto file so that
// they cannot differ from what it does.
var routes = gatewayRoutes()

func gatewayRoutes() []route {
	all := []route{newRoute(http.MethodGet, eventsPattern, false)}
	methods := promptforgev1.File_promptforge_v1_job_service_proto.Services().ByName("JobService").Methods()
	for i := range methods.Len() {
		rule, ok := proto.GetExtension(methods.Get(i).Options(), annotations.E_Http).(*annotations.HttpRule)
		if !ok || rule == nil {
			continue
		}
		for _, r := range []route{
			newRouteOf(http.MethodGet, rule.GetGet(), rule.GetBody()),
			newRouteOf(http.MethodPut, rule.GetPut(), rule.GetBody()),
			newRouteOf(http.MethodPost, rule.GetPost(), rule.GetBody()),
			newRouteOf(http.MethodDelete, rule.GetDelete(), rule.GetBody()),
			newRouteOf(http.MethodPatch, rule.GetPatch(), rule.GetBody()),
		} {
			if r.segments != nil {
				all = append(all, r)
			}
		}
	}
	return all
}

func newRouteOf(method, pattern, body string) route {
	if pattern == "" {
		return route{}
	}
	return newRoute(method, pattern, body != "")
}

// routesOf lists the routes of a path. A path that a route spells out is that
// route's alone: /v1/jobs/init is no job.
func routesOf(path string) (found []route) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	least := len(segments) + 1
	for _, r := range routes {
		free, ok := r.matches(segments)
		if !ok || free > least {
			continue
		}
		if free < least {
			least, found = free, nil
		}
		found = append(found, r)
	}
	return found
}

// allowed lists the methods of a path for the Allow header, without the one
// that was just refused. Empty where the path has no method.
func allowed(path, refused string) string {
	var methods []string
	for _, r := range routesOf(path) {
		if r.method != refused {
			methods = append(methods, r.method)
		}
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

// checkRoute finds a method that the gateway would take for another path's, and
// a body that it would not read. A GET's body means nothing.
func checkRoute(r *http.Request) error {
	all := routesOf(r.URL.Path)
	at := slices.IndexFunc(all, func(one route) bool { return one.method == r.Method })
	switch {
	case len(all) == 0:
		return nil // for the gateway to say
	case at < 0:
		return methodNotAllowed(r.Method, allowed(r.URL.Path, r.Method))
	case all[at].fields || r.Method == http.MethodGet:
		return nil
	}
	return pjson.CheckNoFields(r.Body)
}
