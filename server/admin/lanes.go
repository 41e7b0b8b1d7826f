package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/promptforge/promptforge/server/problem"
)

// Lanes is what an operator does with the lanes of a running server. Whoever
// wires the server has them; a folder that no server works on has none.
type Lanes interface {
	// ListLanes lists the lanes that are at work or held, by name.
	ListLanes(ctx context.Context) ([]LaneInfo, error)
	// ResumeLanes has the held lanes of a name, or all with "", probed at once,
	// and returns the lanes of that name as they were before.
	ResumeLanes(ctx context.Context, lane string) ([]LaneInfo, error)
}

// LaneInfo is one lane: a provider, a quota group and a model.
type LaneInfo struct {
	Lane     string `json:"lane"` // provider/group/model
	Jobs     int    `json:"jobs"`
	InFlight int    `json:"in_flight"` // requests

	CurrentRPM         int64  `json:"current_rpm"`
	LearnedRPM         int64  `json:"learned_rpm"` // 0: not known, here and below
	LearnedTPM         int64  `json:"learned_tpm"`
	LearnedConcurrency int64  `json:"learned_concurrency"`
	BoundBy            string `json:"bound_by"`

	Hold       string     `json:"hold"` // outage, refused, used_up or day_cap; empty: not held
	HoldReason string     `json:"hold_reason"`
	HeldSince  *time.Time `json:"held_since"`
	HeldUntil  *time.Time `json:"held_until"`
	NextProbe  *time.Time `json:"next_probe"`

	Credentials   []LaneCredential `json:"credentials"`
	RequestsToday int              `json:"requests_today"` // counted only under a cap
	RequestsADay  int              `json:"requests_a_day"` // the operator's cap; 0: none
}

// LaneCredential is a credential of a lane's quota group, by the name of the
// variable or file that holds it.
type LaneCredential struct {
	Name  string `json:"name"`
	Aside bool   `json:"aside"` // refused, while others of the group are used
}

type lanesResponse struct {
	Lanes []LaneInfo `json:"lanes"`
}

type resumeLanesRequest struct {
	Lane string `json:"lane"`
}

// ServeLanes adds the verbs for lanes, on the socket only.
func (s *Server) ServeLanes(lanes Lanes) {
	s.Handle("GET /lanes", s.verb(func(r *http.Request) (any, error) {
		list, err := lanes.ListLanes(r.Context())
		return lanesResponse{some(list)}, err
	}))
	s.Handle("POST /lanes/resume", s.verb(func(r *http.Request) (any, error) {
		var in resumeLanesRequest
		if err := json.UnmarshalRead(r.Body, &in, json.RejectUnknownMembers(true)); err != nil {
			return nil, problem.New(problem.BadRequest, `The body must be {"lane":"…"}, where "" means all.`).Because(err)
		}
		list, err := lanes.ResumeLanes(r.Context(), in.Lane)
		if err == nil && in.Lane != "" && len(list) == 0 {
			err = problem.New(problem.NotFound, "No lane of this name is at work; promptforge lanes list shows them.")
		}
		return lanesResponse{some(list)}, err
	}))
}

// some is a list that is never null.
func some(list []LaneInfo) []LaneInfo {
	if list == nil {
		return []LaneInfo{}
	}
	return list
}

var _ Lanes = (*Client)(nil)

// ListLanes lists the lanes that are at work or held.
func (c *Client) ListLanes(ctx context.Context) ([]LaneInfo, error) {
	var out lanesResponse
	err := c.Call(ctx, http.MethodGet, "/lanes", nil, &out)
	return out.Lanes, err
}

// ResumeLanes has held lanes probed at once.
func (c *Client) ResumeLanes(ctx context.Context, lane string) ([]LaneInfo, error) {
	var out lanesResponse
	err := c.Call(ctx, http.MethodPost, "/lanes/resume", resumeLanesRequest{Lane: lane}, &out)
	return out.Lanes, err
}
