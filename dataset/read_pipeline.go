package dataset

import (
	"context"
	"runtime"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
)

// fetchesInFlight is how many files are fetched side by side at most.
const fetchesInFlight = 8

// pipeline fetches runs and decodes their row groups ahead of the reader, in
// order. Two things bound it: the bytes of the files that are in memory, and
// the number of row groups that are decoded or being decoded.
type pipeline struct {
	ctx    context.Context
	cancel context.CancelFunc
	plan   *readPlan
	bytes  budget
	slots  chan struct{} // One for each row group from its decoding to consumed.
	runs   chan *task
	pieces chan *piece
	work   sync.WaitGroup
}

// task is a run on its way.
type task struct {
	run
	cost   int64
	ready  chan struct{}
	loaded *loaded
	err    error
}

// piece is a row group on its way.
type piece struct {
	ready   chan struct{}
	records []arrow.Record
	err     error
}

func start(ctx context.Context, plan *readPlan, runs []run) *pipeline {
	ctx, cancel := context.WithCancel(ctx)
	p := &pipeline{
		ctx: ctx, cancel: cancel, plan: plan, bytes: budget{free: plan.prefetch, whole: plan.prefetch, freed: make(chan struct{}, 1)},
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)+1), runs: make(chan *task, fetchesInFlight-2), pieces: make(chan *piece, 1),
	}
	p.work.Go(func() { p.fetch(runs) })
	p.work.Go(p.decode)
	return p
}

// fetch begins to load one run after the other.
func (p *pipeline) fetch(runs []run) {
	defer close(p.runs)
	for _, r := range runs {
		if p.plan.skipsFile(r.file) {
			continue
		}
		t := &task{run: r, cost: p.plan.cost(r), ready: make(chan struct{})}
		if !p.bytes.take(p.ctx, t.cost) {
			return
		}
		p.work.Go(func() {
			defer close(t.ready)
			t.loaded, t.err = p.plan.load(p.ctx, t.run)
		})
		select {
		case p.runs <- t:
		case <-p.ctx.Done():
			return
		}
	}
}

// decode begins to decode one row group after the other.
func (p *pipeline) decode() {
	defer close(p.pieces)
	for t := range p.runs {
		<-t.ready
		if t.err != nil {
			p.send(func(out *piece) { out.err = t.err })
			return
		}
		var left sync.WaitGroup
		for _, g := range t.loaded.groups {
			left.Add(1)
			sent := p.send(func(out *piece) {
				defer left.Done()
				out.records, out.err = p.plan.decode(p.ctx, t.loaded, g)
			})
			if !sent {
				left.Done()
				return
			}
		}
		p.work.Go(func() {
			left.Wait()
			t.loaded = nil
			p.bytes.give(t.cost)
		})
	}
}

// send puts a piece into the order and fills it on a goroutine of its own.
func (p *pipeline) send(fill func(*piece)) bool {
	select {
	case p.slots <- struct{}{}:
	case <-p.ctx.Done():
		return false
	}
	out := &piece{ready: make(chan struct{})}
	select {
	case p.pieces <- out:
	case <-p.ctx.Done():
		return false
	}
	p.work.Go(func() {
		defer close(out.ready)
		fill(out)
	})
	return true
}

// next waits for the next row group; false at the end.
func (p *pipeline) next() (*piece, bool) {
	out, ok := <-p.pieces
	if ok {
		<-out.ready
	}
	return out, ok
}

// consumed says that the records of a piece are no longer ahead of the reader.
func (p *pipeline) consumed() { <-p.slots }

// drain ends the pipeline and frees what nobody took.
func (p *pipeline) drain() {
	p.cancel()
	for out := range p.pieces {
		<-out.ready
		for _, rec := range out.records {
			rec.Release()
		}
	}
	p.work.Wait()
}

// budget is a number of bytes that one goroutine takes from and many give back
// to.
type budget struct {
	mu    sync.Mutex
	free  int64
	whole int64
	freed chan struct{}
}

// take waits until n bytes are free, or all of them: what is larger than the
// budget goes alone.
func (b *budget) take(ctx context.Context, n int64) bool {
	for {
		b.mu.Lock()
		ok := b.free >= n || b.free == b.whole
		if ok {
			b.free -= n
		}
		b.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-b.freed:
		case <-ctx.Done():
			return false
		}
	}
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	b.free += n
	b.mu.Unlock()
	select {
	case b.freed <- struct{}{}:
	default:
	}
}
