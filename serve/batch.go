package serve

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
)

// single calls the model for one request of the batch.
func (b *batcher) single(list []*waiter, i int) {
	w, start := list[i], time.Now()
	err := b.s.run(w.ctx, b.v, w.req, w.resp)
	w.infer = time.Since(start)
	b.v.count.execution(w.rows, w.infer)
	b.deliver(list, i, err)
}

// deliver tells one request of the batch its result, once: from then on its
// waiter may be another request's. The leader, the first of the list, need not
// be told.
func (b *batcher) deliver(list []*waiter, i int, err error) {
	w := list[i]
	if w == nil {
		return
	}
	list[i], w.err = nil, err
	if i > 0 {
		w.wake <- done
	}
}

// together calls the model once for several requests.
func (b *batcher) together(list []*waiter, all *batch) {
	first := list[0]
	ctx, cancel := context.WithCancel(context.WithoutCancel(first.ctx))
	defer cancel()
	all.cancel = cancel
	var until deadlineContext
	if last := slices.MaxFunc(list, func(a, b *waiter) int { return cmp.Compare(a.deadline, b.deadline) }); last.deadline != math.MaxInt64 {
		until.set(ctx, time.Unix(0, last.deadline))
		defer until.end()
		ctx = &until
	}
	stop := context.AfterFunc(alone(first.ctx), all.leave)
	defer stop()

	reqs := make([]*oip.InferRequest, len(list))
	rows := int64(0)
	for i, w := range list {
		reqs[i] = w.req
		rows += w.rows
	}
	req, resp := joinRequests(reqs), new(oip.InferResponse)
	start := time.Now()
	err := b.s.run(ctx, b.v, req, resp)
	took := time.Since(start)
	b.v.count.execution(rows, took)
	for _, w := range list {
		w.infer = took
	}
	bad, some := errors.AsType[RowErrors](err)
	if err == nil || some {
		if wrong := b.v.checkResponse(req, resp, rows); wrong == nil {
			b.divide(list, resp, bad)
			return
		} else if err == nil {
			err = &badAnswer{wrong}
		}
	}
	if ctx.Err() != nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrClosed) {
		// It is not a row's fault.
		for i := range list {
			b.deliver(list, i, err)
		}
		return
	}
	b.s.opts.Logger.Warn("serve: a batch failed, its requests are tried one by one", "model", b.v.name, "version", b.v.version, "requests", len(list), "error", err)
	for i := range list {
		b.single(list, i)
	}
}

// alone is the context without its deadline, where that is the server's.
func alone(ctx context.Context) context.Context {
	if d, ok := ctx.(*deadlineContext); ok {
		return d.parent
	}
	return ctx
}

// divide gives each request its rows.
func (b *batcher) divide(list []*waiter, resp *oip.InferResponse, bad RowErrors) {
	from := int64(0)
	for i, w := range list {
		to := from + w.rows
		for j := range resp.Outputs {
			w.resp.Outputs = append(w.resp.Outputs, slice(&resp.Outputs[j], from, to))
		}
		w.resp.Parameters = resp.Parameters
		b.deliver(list, i, bad.within(from, w.rows))
		from = to
	}
}
