package executor_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/gofutures/futures/executor"
)

// A small call that comes beside a big map in processes does not wait for it, nor does
// another map.
func TestASmallCallBesideAMapInProcessesHasItsTurn(t *testing.T) {
	const elements = 300
	for name, small := range map[string]func(t *testing.T, ex executor.Executor){
		"a call": func(t *testing.T, ex executor.Executor) { mustTell(t, do(ex, deed{Verb: "tell"})) },
		"a map": func(t *testing.T, ex executor.Executor) {
			if _, err := executor.MapSlice(t.Context(), ex, doDeed, make([]deed, 4)); err == nil {
				t.Error("MapSlice of deeds without a verb succeeds")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := inDir(t, "log")
			ex := newProcesses(t, &executor.ProcessPoolExecutor{MaxWorkers: 2})
			var in []mapItem
			for i := range elements {
				in = append(in, mapItem{N: i, Log: log, Does: "slow"})
			}
			big := executor.Go(t.Context(), &executor.ThreadPerTask{}, func(ctx context.Context) ([]int, error) {
				return executor.MapSlice(ctx, ex, mapMake, in, executor.ChunkSize(elements/2))
			})
			awaitStart(t, log, 0)
			before := len(startsIn(t, log))
			small(t, ex)
			if begun := len(startsIn(t, log)) - before; begun > elements/2 {
				t.Errorf("%d of %d elements have begun before it had its turn", begun, elements)
			}
			if out, err := endOf(t, big); err != nil || len(out) != elements || out[elements-1] != 10*(elements-1) {
				t.Errorf("the map = %d results, %v; want %d, nil", len(out), err, elements)
			}
			for id, pids := range startsIn(t, log) {
				if len(pids) != 1 {
					t.Errorf("element %d started in %v; want one start", id, pids)
				}
			}
		})
	}
}

// Without MaxWorkers, there are as many workers as GOMAXPROCS says, also when that
// changes.
func TestWorkerProcessesFollowGOMAXPROCS(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	log, gate := inDir(t, "log"), inDir(t, "gate")
	ex := newProcesses(t, new(executor.ProcessPoolExecutor))
	hold := func(id int) *executor.Future[told] { return do(ex, deed{Verb: "hold", Log: log, ID: id, Path: gate}) }
	fs := []*executor.Future[told]{hold(0), hold(1), hold(2)}
	awaitStart(t, log, 0)
	if s := ex.Stats(); s.Running != 1 || s.Queued != 2 {
		t.Errorf("with GOMAXPROCS 1: %+v; want one that runs, and two queued", s)
	}
	runtime.GOMAXPROCS(3)
	awaitStart(t, log, 1)
	awaitStart(t, log, 2)
	runtime.GOMAXPROCS(1)
	touch(t, gate)
	for _, f := range fs {
		mustTell(t, f)
	}
	waitUntil(t, "the workers that are too many go", func() bool { return ex.Stats().Workers == 1 })
}
