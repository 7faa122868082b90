package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// When the log of a run is folded in the background: at so many batches or
// points, since folding many at once costs less a point, or after so long. A
// writer that comes to so many batches folds itself, so that the log cannot
// outgrow the folding.
const (
	foldBatches  = 64
	foldPoints   = 64_000
	foldAfter    = time.Second
	foldAtOnce   = 4 * foldBatches
	foldLeftover = 10_000 // runs whose log an ended process has left
)

// folder folds what this process logs. Its goroutine starts with the first
// batch and ends with the store; what is left then is folded when somebody
// reads it.
type folder struct {
	store *Store

	mu      sync.Mutex
	runs    map[tracking.RunID]*backlog
	full    []tracking.RunID // at their limits
	started bool
	closed  bool
	cancel  context.CancelFunc
	wake    chan struct{}
	done    chan struct{}
}

// backlog is what a run has logged since its last folding.
type backlog struct {
	batches, points int
	since           time.Time
}

// note counts a stored batch.
func (f *folder) note(ctx context.Context, id tracking.RunID, points int) {
	if points == 0 {
		return
	}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	if !f.started {
		f.start()
	}
	b := f.runs[id]
	if b == nil {
		b = &backlog{since: time.Now()}
		f.runs[id] = b
	}
	b.batches++
	wasFull := b.points >= foldPoints || b.batches-1 >= foldBatches
	b.points += points
	if !wasFull && (b.points >= foldPoints || b.batches >= foldBatches) {
		f.full = append(f.full, id)
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	late := b.batches >= foldAtOnce
	if late {
		delete(f.runs, id)
	}
	f.mu.Unlock()
	if late {
		// The batch is stored, whatever becomes of this.
		_, _ = f.store.foldBefore(context.WithoutCancel(ctx), id)
	}
}

// start begins the background work; f.mu is held.
func (f *folder) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.started, f.cancel = true, cancel
	f.runs = map[tracking.RunID]*backlog{}
	f.wake, f.done = make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(f.done)
		f.work(ctx)
	}()
}

func (f *folder) work(ctx context.Context) {
	if rows, err := f.store.waiting(ctx, `SELECT DISTINCT run FROM mw_metric_log LIMIT ?`, foldLeftover); err == nil {
		_ = f.store.foldAll(ctx, rows) // a reader meets the same error, and reports it
	}
	tick := time.NewTicker(foldAfter / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-tick.C:
		}
		f.foldDue(ctx)
	}
}

// foldDue folds the runs that are full or have waited for long enough. After
// an error they wait for their next batch, or for a reader, who reports it.
func (f *folder) foldDue(ctx context.Context) {
	var due []string
	f.mu.Lock()
	for _, id := range f.full {
		if f.runs[id] != nil {
			due = append(due, string(id))
			delete(f.runs, id)
		}
	}
	f.full = f.full[:0]
	now := time.Now()
	for id, b := range f.runs {
		if now.Sub(b.since) >= foldAfter {
			due = append(due, string(id))
			delete(f.runs, id)
		}
	}
	f.mu.Unlock()
	if len(due) == 0 {
		return
	}
	rows, err := f.rows(ctx, due)
	if err == nil {
		_ = f.store.foldAll(ctx, rows)
	}
}

func (f *folder) rows(ctx context.Context, ids []string) ([]int64, error) {
	d := f.store.dialect
	return f.store.waiting(ctx, `SELECT id FROM mw_run WHERE `+d.In("run_id"), d.Texts(ids))
}

// close ends the background work. It may be called twice.
func (f *folder) close() {
	f.mu.Lock()
	started := f.started
	f.closed = true
	f.mu.Unlock()
	if started {
		f.cancel()
		<-f.done
	}
}
