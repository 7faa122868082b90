package serve

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Statistics are the counts of one version since it was deployed. Each count
// is exact; counts that are read while requests run may differ by those.
type Statistics struct {
	Model, Version string
	// LastInference is when the last request was answered, zero for never.
	LastInference time.Time
	// Inferences is the number of rows that were answered, Executions the
	// number of calls of the model: with batching the smaller one.
	Inferences, Executions int64
	// Success and Fail are the requests, with their time in the server.
	Success, Fail Tally
	// Queue is the time that requests waited for the model, Input that for
	// decoding and merging, Infer that in the model, Output that for
	// splitting and encoding; of requests that succeeded.
	Queue, Input, Infer, Output Tally
	// Batches are the executions by their number of rows, in its order.
	Batches []BatchStatistics
	// Size is the memory that the model says it holds, in bytes, 0 if it
	// does not say.
	Size int64
	// InFlight is the number of requests being answered, Waiting of those
	// that wait for the model with Batching.
	InFlight, Waiting int64
}

// Tally is a number of events and the time that they took together.
type Tally struct {
	Count int64
	Total time.Duration
}

// BatchStatistics are the executions of one size.
type BatchStatistics struct {
	// Rows is the number of rows; above 128 it is the next power of two.
	Rows int64
	// Infer counts the calls of the model.
	Infer Tally
}

// exactRows is up to where batch sizes are counted one by one.
const exactRows = 128

// counters are a version's Statistics while it counts.
type counters struct {
	last, inferences            atomic.Int64
	success, fail               counter
	queue, input, infer, output counter
	// batches has a place for each size up to exactRows, and behind it one
	// for each power of two.
	batches [exactRows + 1 + 64]counter
}

type counter struct{ n, ns atomic.Int64 }

func (c *counter) add(d time.Duration) {
	c.n.Add(1)
	c.ns.Add(int64(d))
}

func (c *counter) tally() Tally { return Tally{c.n.Load(), time.Duration(c.ns.Load())} }

// execution counts a call of the model.
func (c *counters) execution(rows int64, d time.Duration) {
	at := rows
	if rows > exactRows {
		at = exactRows + 1 + int64(bits.Len64(uint64(rows-1)))
	}
	c.batches[at].add(d)
}

// request counts a request that has ended.
func (c *counters) request(x *Exchange, rows int64, t *timing) {
	if x.Err != nil {
		c.fail.add(x.Duration)
		return
	}
	c.last.Store(x.Start.Add(x.Duration).UnixNano())
	c.inferences.Add(rows)
	c.success.add(x.Duration)
	c.queue.add(t.queue)
	c.input.add(t.input)
	c.infer.add(t.infer)
	c.output.add(t.output)
}

// Statistics returns the counts of the deployed versions in the order of their
// names: of all for an empty name, of all versions of a model for an empty
// version. ErrNotFound when there is no such model or version.
func (s *Server) Statistics(name, version string) ([]Statistics, error) {
	list, err := s.matching(name, version)
	if err != nil {
		return nil, err
	}
	out := make([]Statistics, len(list))
	for i, v := range list {
		out[i] = v.statistics()
	}
	return out, nil
}

func (v *deployed) statistics() Statistics {
	c := &v.count
	s := Statistics{
		Model: v.name, Version: v.version, Inferences: c.inferences.Load(),
		Success: c.success.tally(), Fail: c.fail.tally(),
		Queue: c.queue.tally(), Input: c.input.tally(), Infer: c.infer.tally(), Output: c.output.tally(),
		Size: v.size, InFlight: max(v.users.Load()-1, 0),
	}
	if v.batcher != nil {
		s.Waiting = v.batcher.waiting()
	}
	if last := c.last.Load(); last != 0 {
		s.LastInference = time.Unix(0, last)
	}
	for i := range c.batches {
		t := c.batches[i].tally()
		if t.Count == 0 {
			continue
		}
		rows := int64(i)
		if i > exactRows {
			rows = 1 << (i - exactRows - 1)
		}
		s.Executions += t.Count
		s.Batches = append(s.Batches, BatchStatistics{Rows: rows, Infer: t})
	}
	return s
}
