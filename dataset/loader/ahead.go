package loader

import (
	"context"
	"sync"
	"sync/atomic"
)

// source hands out the windows of a plan in turn, read ahead.
type source struct {
	read  func(ctx context.Context, k int) (*window, error)
	index int // Of the next window.
	end   int

	limit int64         // Bytes that may wait; -1 for no reading ahead.
	held  atomic.Int64  // Bytes that wait.
	freed chan struct{} // Says that held became less.
	ready chan loaded   // Nil without reading ahead.
	wg    sync.WaitGroup
}

type loaded struct {
	window *window
	err    error
}

// waiting is how many windows may wait, however small they are.
const waiting = 64

func (l *Loader) ahead(ctx context.Context, p *plan, epoch int64, from int) *source {
	s := &source{
		read:  func(ctx context.Context, k int) (*window, error) { return l.read(ctx, p, epoch, k) },
		index: from, end: p.windows(), limit: l.opts.Prefetch,
	}
	if s.limit >= 0 && from < s.end {
		s.freed, s.ready = make(chan struct{}, 1), make(chan loaded, waiting)
		s.wg.Go(func() { s.run(ctx, from) })
	}
	return s
}

// run reads the windows until ctx ends.
func (s *source) run(ctx context.Context, from int) {
	defer close(s.ready)
	for k := from; k < s.end; k++ {
		for s.held.Load() >= max(s.limit, 1) {
			select {
			case <-s.freed:
			case <-ctx.Done():
				return
			}
		}
		w, err := s.read(ctx, k)
		if err == nil {
			s.held.Add(w.bytes)
		}
		select {
		case s.ready <- loaded{w, err}:
		case <-ctx.Done():
			if w != nil {
				w.release()
			}
			return
		}
		if err != nil {
			return
		}
	}
}

// next returns the next window, nil after the last one.
func (s *source) next(ctx context.Context) (*window, error) {
	if s.index >= s.end {
		return nil, nil
	}
	if s.ready == nil {
		w, err := s.read(ctx, s.index)
		s.index++
		return w, err
	}
	select {
	case got, ok := <-s.ready:
		if !ok {
			return nil, ctx.Err()
		}
		s.index++
		if got.window != nil {
			s.held.Add(-got.window.bytes)
			select {
			case s.freed <- struct{}{}:
			default:
			}
		}
		return got.window, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close frees what waits. The context of run must have ended.
func (s *source) close() {
	if s.ready == nil {
		return
	}
	for got := range s.ready {
		if got.window != nil {
			got.window.release()
		}
	}
	s.wg.Wait()
}
