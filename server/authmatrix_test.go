package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/results"
)

// rpcRequests are what the matrix of authorization sends to each RPC of
// promptforge.v1, about the job with the given id. An RPC that is missing here
// fails the test.
var rpcRequests = map[protoreflect.FullName]func(id string) []proto.Message{
	"promptforge.v1.JobService.InitJob": func(id string) []proto.Message {
		return []proto.Message{&promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini", ContinueFrom: &id}}
	},
	"promptforge.v1.JobService.RenewUploadUrl": func(id string) []proto.Message {
		return []proto.Message{&promptforgev1.RenewUploadUrlRequest{JobId: id}}
	},
	"promptforge.v1.JobService.UploadPrompts": func(id string) []proto.Message {
		return []proto.Message{
			&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_JobId{JobId: id}},
			&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_Data{Data: []byte(prompts(2))}},
		}
	},
	"promptforge.v1.JobService.GetJobStatus": func(id string) []proto.Message {
		return []proto.Message{&promptforgev1.GetJobStatusRequest{JobId: id}}
	},
	"promptforge.v1.JobService.GetJob": func(id string) []proto.Message {
		return []proto.Message{&promptforgev1.GetJobRequest{JobId: id}}
	},
	"promptforge.v1.JobService.ListJobs": func(string) []proto.Message {
		return []proto.Message{&promptforgev1.ListJobsRequest{}}
	},
	"promptforge.v1.JobService.WatchJob": func(id string) []proto.Message {
		return []proto.Message{&promptforgev1.WatchJobRequest{JobId: id}}
	},
	"promptforge.v1.JobService.CancelJob": func(id string) []proto.Message {
		return []proto.Message{&promptforgev1.CancelJobRequest{JobId: id}}
	},
	"promptforge.v1.JobService.DeleteJob": func(id string) []proto.Message {
		return []proto.Message{&promptforgev1.DeleteJobRequest{JobId: id}}
	},
	"promptforge.v1.JobService.GetJobResults": func(id string) []proto.Message {
		return []proto.Message{&promptforgev1.GetJobResultsRequest{JobId: id, Partial: true}}
	},
	"promptforge.v1.JobService.StreamResults": func(id string) []proto.Message {
		return []proto.Message{&promptforgev1.StreamResultsRequest{JobId: id}}
	},
}

// namesNoJob are the RPCs and routes that are about no job in particular:
// another client's job must not show in their answers.
var namesNoJob = map[string]bool{
	"promptforge.v1.JobService.ListJobs": true,
	"GET /v1/jobs":                       true,
}

// restBodies are the bodies of the routes that have one.
var restBodies = map[string]func(id string) string{
	"POST /v1/jobs/init": func(id string) string {
		return `{"provider":"openai","model":"gpt-4o-mini","continue_from":"` + id + `"}`
	},
}

// target is one RPC or route. ask calls it about a job, with pairs of
// credentials; what it answers is the code and everything that a caller could
// tell an error by, or the answer's text.
type target struct {
	name string
	ask  func(e *env, id string, credentials ...string) (code int, answer string)
}

// What the two faces say where the contract has 401 and 404.
type faceCodes struct{ unauthenticated, notFound int }

var (
	grpcCodes = faceCodes{int(codes.Unauthenticated), int(codes.NotFound)}
	restCodes = faceCodes{http.StatusUnauthorized, http.StatusNotFound}
)

// rpcs are all RPCs of the package promptforge.v1 in the program.
func rpcs(t *testing.T) (all []target) {
	t.Helper()
	left := map[protoreflect.FullName]bool{}
	for name := range rpcRequests {
		left[name] = true
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("promptforge.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for k := range methods.Len() {
				m := methods.Get(k)
				delete(left, m.FullName())
				requests := rpcRequests[m.FullName()]
				if requests == nil {
					t.Errorf("%s has no entry in the matrix of authorization", m.FullName())
					continue
				}
				all = append(all, target{string(m.FullName()), func(e *env, id string, credentials ...string) (int, string) {
					return askRPC(e, m, requests(id), credentials)
				}})
			}
		}
		return true
	})
	for name := range left {
		t.Errorf("%s stands in the matrix of authorization, and nowhere else", name)
	}
	return all
}

func askRPC(e *env, m protoreflect.MethodDescriptor, requests []proto.Message, credentials []string) (int, string) {
	e.t.Helper()
	// A stream that is let in would never end.
	ctx, cancel := context.WithTimeout(e.as("", credentials...), 10*time.Second)
	defer cancel()
	stream, err := e.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()))
	must(e.t, err)
	for _, req := range requests {
		_ = stream.SendMsg(req) // a refusal may come first; it is what RecvMsg returns
	}
	_ = stream.CloseSend() // never fails
	answer := ""
	for {
		got := dynamicpb.NewMessage(m.Output())
		if err := stream.RecvMsg(got); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			st := status.Convert(err)
			if err != nil {
				answer += st.Proto().String()
			}
			return int(st.Code()), answer
		}
		answer += got.String()
	}
}

// restRoutes are all routes of the gateway.
func restRoutes(t *testing.T) (all []target) {
	t.Helper()
	for _, r := range routes {
		pattern := "/" + strings.Join(r.segments, "/")
		name := r.method + " " + pattern
		body := restBodies[name]
		if !strings.Contains(pattern, "{job_id}") && body == nil && !namesNoJob[name] {
			t.Errorf("%s has no entry in the matrix of authorization", name)
			continue
		}
		all = append(all, target{name, func(e *env, id string, credentials ...string) (int, string) {
			text := ""
			if body != nil {
				text = body(id)
			}
			resp := e.send(r.method, strings.Replace(pattern, "{job_id}", id, 1), strings.NewReader(text), credentials...)
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			must(e.t, err)
			return resp.StatusCode, string(b)
		}})
	}
	return all
}

// TestEveryRouteIsInTheMatrix: RPCs that have a REST route, and the events, are
// among the routes that are asked.
func TestEveryRouteIsInTheMatrix(t *testing.T) {
	want := map[string]bool{"GET " + eventsPattern: true}
	methods := promptforgev1.File_promptforge_v1_job_service_proto.Services().ByName("JobService").Methods()
	for i := range methods.Len() {
		if proto.HasExtension(methods.Get(i).Options(), annotations.E_Http) {
			want[string(methods.Get(i).Name())] = true
		}
	}
	if got := restRoutes(t); len(got) != len(want) {
		t.Errorf("%d routes are asked, and %d there are", len(got), len(want))
	}
}

// world is everything that a client has: what must not change when another one
// asks for it.
type world struct {
	jobs     []*job.Job
	files    map[string]int64
	outcomes []string
}

func (e *env) world(client string) world {
	e.t.Helper()
	w := world{files: map[string]int64{}}
	jobs, more, err := e.store.ListJobs(e.ctx(), storage.ListQuery{Client: client, Limit: 1000})
	must(e.t, err)
	if more {
		e.t.Fatal("more jobs than fit a page")
	}
	w.jobs = jobs
	must(e.t, filepath.WalkDir(e.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		w.files[path] = info.Size()
		return err
	}))
	for _, j := range jobs {
		for item, err := range results.After(e.ctx(), e.store, e.cfg.Files, j.ID, 0) {
			must(e.t, err)
			w.outcomes = append(w.outcomes, string(item.Outcome.Public))
		}
	}
	return w
}

// TestAuthorizationMatrix asks every RPC and every REST route with every wrong
// credential, about jobs in several states. Refusals that must not be told
// apart are compared to the byte, and nothing of the jobs may change.
func TestAuthorizationMatrix(t *testing.T) {
	e := start(t)
	stranger, gone := e.issue("stranger"), e.revoked()
	unknown, _, err := keys.Issue(e.ctx(), &oneKey{}, "acme", testNow) // in another store
	must(t, err)
	victims := []string{string(e.completed(3)), string(e.claimed(3)), e.init().GetJobId()}
	before, strangers := e.world("acme"), e.world("stranger")
	asked := 0
	for _, face := range []struct {
		codes   faceCodes
		targets []target
		key     string
		bearer  []string
	}{
		{grpcCodes, rpcs(t), apiKeyMetadata, []string{"authorization", "Bearer " + e.key}},
		{restCodes, restRoutes(t), apiKeyHeader, []string{"Authorization", "Bearer " + e.key}},
	} {
		for _, target := range face.targets {
			t.Run(target.name, func(t *testing.T) {
				e.t = t
				for _, id := range append(victims, string(job.NewID()), "nothing") {
					refusal := func(what string, credentials ...string) string {
						t.Helper()
						asked++
						code, answer := target.ask(e, id, credentials...)
						if code != face.codes.unauthenticated {
							t.Errorf("%s: %d %s", what, code, answer)
						}
						return answer
					}
					none := refusal("no key")
					if got := refusal("Bearer alone", face.bearer...); got != none {
						t.Errorf("Bearer alone: %s, but without a key %s", got, none)
					}
					bad := refusal("no key of ours", face.key, "pf_nonsense")
					for what, key := range map[string]string{"an unknown key": unknown, "a revoked key": gone} {
						if got := refusal(what, face.key, key); got != bad {
							t.Errorf("%s: %s, but nonsense %s", what, got, bad)
						}
					}
				}
				if namesNoJob[target.name] {
					code, answer := target.ask(e, "", face.key, stranger)
					for _, id := range victims {
						if code == face.codes.unauthenticated || strings.Contains(answer, id) {
							t.Errorf("another client sees %d %s", code, answer)
						}
					}
					return
				}
				_, want := target.ask(e, string(job.NewID()), face.key, stranger)
				for _, id := range append(victims, string(job.NewID()), "nothing", strings.ToUpper(victims[0])) {
					asked++
					if code, got := target.ask(e, id, face.key, stranger); code != face.codes.notFound || got != want {
						t.Errorf("another client's job: %d %s, but an unknown one %s", code, got, want)
					}
				}
			})
			e.t = t
		}
	}
	if after := e.world("acme"); !reflect.DeepEqual(before, after) {
		t.Errorf("what the client has changed:\n%+v\n%+v", before, after)
	}
	if after := e.world("stranger"); !reflect.DeepEqual(strangers, after) {
		t.Errorf("the stranger has more than before: %+v", after)
	}
	t.Logf("%d refusals", asked)
}

// TestOwnerIsLetIn is the matrix's other half: with the right key no RPC and no
// route refuses, so that the matrix is not true for want of a server.
func TestOwnerIsLetIn(t *testing.T) {
	for _, face := range []struct {
		codes   faceCodes
		targets []target
		key     string
	}{{grpcCodes, rpcs(t), apiKeyMetadata}, {restCodes, restRoutes(t), apiKeyHeader}} {
		e := start(t)
		for _, target := range face.targets {
			id := string(e.completed(2))
			if code, answer := target.ask(e, id, face.key, e.key); code == face.codes.unauthenticated || code == face.codes.notFound {
				t.Errorf("%s: %d %s", target.name, code, answer)
			}
			must(t, e.dropAll())
		}
	}
}

// dropAll deletes the client's jobs, so that the next has its turn.
func (e *env) dropAll() error {
	jobs, _, err := e.store.ListJobs(e.ctx(), storage.ListQuery{Client: "acme", Limit: 1000})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if _, err := e.store.Delete(e.ctx(), "acme", j.ID, e.clock.Now()); err != nil {
			return err
		}
	}
	return nil
}

// TestSignedURLMatrix: a transfer URL that is expired, altered, used with
// another method, or of a client without a key is 403, and changes nothing.
func TestSignedURLMatrix(t *testing.T) {
	e := start(t)
	last := e.issue("leaver")
	id := string(e.completed(3))
	list, err := e.api.GetJobResults(e.as(e.key), &promptforgev1.GetJobResultsRequest{JobId: id})
	must(t, err)
	awaiting := e.init().GetUploadUrl()
	left, err := e.api.InitJob(e.as(last), &promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"})
	must(t, err)
	leftDownload := e.transfers.Signer.DownloadURL("leaver", job.ID(left.GetJobId()), "errors.jsonl", false, e.clock.Now().Add(time.Hour))
	e.revoke(last)
	before, leaver := e.world("acme"), e.world("leaver")
	urls := []struct{ method, url, left string }{{http.MethodPut, awaiting, left.GetUploadUrl()}}
	for _, f := range list.GetFiles() {
		urls = append(urls, struct{ method, url, left string }{http.MethodGet, f.GetUrl(), leftDownload})
	}
	refused := func(what, method, url string) {
		t.Helper()
		// A good key makes a bad URL no better.
		r := e.rest(method, url, prompts(2))
		if r.status != http.StatusForbidden || method != http.MethodHead && !strings.HasPrefix(r.body, `{"detail":"`) {
			t.Errorf("%s: %s %d %s", what, method, r.status, r.body)
		}
	}
	for _, u := range urls {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"} {
			if method != u.method && (method != http.MethodHead || u.method != http.MethodGet) {
				refused("another method", method, u.url)
			}
		}
		altered := strings.Replace(u.url, "client=acme", "client=leaver", 1)
		refused("another client", u.method, altered)
		refused("a longer life", u.method, strings.Replace(u.url, "expires=", "expires=9", 1))
		refused("a shorter signature", u.method, u.url[:len(u.url)-1])
		refused("a detour", u.method, strings.Replace(u.url, "/v1/transfers/", "/v1/transfers/../transfers/", 1))
		refused("another job", u.method, regexp.MustCompile(`loads/[^/]+`).ReplaceAllString(u.url, "loads/"+left.GetJobId()))
		refused("a revoked client", u.method, u.left)
	}
	e.clock.Advance(2 * time.Hour)
	for _, u := range urls {
		refused("expired", u.method, u.url)
	}
	if after := e.world("acme"); !reflect.DeepEqual(before, after) {
		t.Errorf("what the client has changed:\n%+v\n%+v", before, after)
	}
	if after := e.world("leaver"); !reflect.DeepEqual(leaver, after) {
		t.Errorf("what the other client has changed:\n%+v\n%+v", leaver, after)
	}
}
