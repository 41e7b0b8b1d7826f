package admin_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage/bolt/bolttest"
)

// twoLanes is a process with a lane that works and one that is held.
type twoLanes struct{ resumed []string }

func (l *twoLanes) ListLanes(context.Context) ([]admin.LaneInfo, error) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []admin.LaneInfo{
		{Lane: "a/default/m", Jobs: 2, InFlight: 7, CurrentRPM: 60, BoundBy: "rpm", Credentials: []admin.LaneCredential{{Name: "A"}, {Name: "B", Aside: true}}},
		{Lane: "b/default/m", Hold: "refused", HoldReason: "No.", HeldSince: &since, Credentials: []admin.LaneCredential{}},
	}, nil
}

func (l *twoLanes) ResumeLanes(ctx context.Context, lane string) (found []admin.LaneInfo, err error) {
	l.resumed = append(l.resumed, lane)
	all, err := l.ListLanes(ctx)
	for _, one := range all {
		if lane == "" || one.Lane == lane {
			found = append(found, one)
		}
	}
	return found, err
}

func TestLanes(t *testing.T) {
	dir := shortDir(t)
	lanes := &twoLanes{}
	serve(t, dir, bolttest.Open(t)).ServeLanes(lanes)
	client := dial(t, dir)
	want, err := lanes.ListLanes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.ListLanes(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("listed %+v, %v", got, err)
	}
	if got, err = client.ResumeLanes(t.Context(), "b/default/m"); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want[1]) {
		t.Errorf("resumed %+v, %v", got, err)
	}
	if got, err = client.ResumeLanes(t.Context(), ""); err != nil || len(got) != 2 {
		t.Errorf("resumed all: %+v, %v", got, err)
	}
	var p *problem.Problem
	if _, err = client.ResumeLanes(t.Context(), "c/default/m"); !errors.As(err, &p) || p.Kind != problem.NotFound {
		t.Errorf("a lane that is not there: %v", err)
	}
	if err := client.Call(t.Context(), "POST", "/lanes/resume", map[string]int{"lanes": 1}, nil); !errors.As(err, &p) || p.Kind != problem.BadRequest {
		t.Errorf("a body that is none: %v", err)
	}
}
