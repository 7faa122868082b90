package servehook

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// ErrInvalid marks options that cannot be used, and exchanges that do not fit
// the monitor's reference.
var ErrInvalid = errs.ErrInvalid

// chunkRows is how many rows are converted at a time.
const chunkRows = 64

// Options configures a Hook. Nil means all defaults.
type Options struct {
	// Model names the deployment to watch; exchanges of others are ignored.
	// Default: the monitor's, and all if that has no name.
	Model string
	// Inputs names the input tensor of each feature, in the reference's order.
	// A single name for several features is one tensor with a column for
	// each. Default: the names of the reference's features.
	Inputs []string
	// Output names the tensor that holds the score. Default: the first output.
	Output string
	// OnError is told why exchanges do not fit, once for each model version
	// in a row, from the goroutine of a request: it must not block. Default
	// none; Stats counts them.
	OnError func(error)
}

// Stats counts what a Hook has done.
type Stats struct {
	// Rows is the number of rows handed to the monitor.
	Rows uint64
	// Observed is the number of exchanges they came from, Failed of those that
	// ended in an error, Mismatched of those that do not fit the reference.
	Observed, Failed, Mismatched uint64
}

// Hook is a serve.Observer that hands the rows of each exchange to a monitor.
// It is a plain value, safe for concurrent use.
type Hook struct {
	monitor *monitor.Monitor
	opts    Options
	plan    atomic.Pointer[plan]
	buffers sync.Pool // Of *buffer.

	rows, observed, failed, mismatched atomic.Uint64

	mu       sync.Mutex
	reported [2]string // Model and version of the last mismatch.
}

// buffer is the room for one chunk of rows.
type buffer struct {
	rows   []float64
	scores [chunkRows]float64
	ids    [chunkRows]monitor.ID
}

// New returns a hook for the monitor. It returns ErrInvalid when the options
// name inputs that cannot be the features of the monitor's reference.
func New(m *monitor.Monitor, opts *Options) (*Hook, error) {
	var f errs.Faults
	if m == nil {
		f.Addf("the monitor is nil")
		return nil, f.Err("servehook: new")
	}
	h := &Hook{monitor: m}
	if opts != nil {
		h.opts = *opts
		h.opts.Inputs = slices.Clone(opts.Inputs)
	}
	if h.opts.Model == "" {
		h.opts.Model = m.Snapshot().Model
	}
	features := m.Encoder().Len()
	n := len(h.opts.Inputs)
	f.Check(n <= 1 || n == features, "Inputs has %d names, want one for each of %d features, or one in all", n, features)
	for i, name := range h.opts.Inputs {
		f.Check(name != "", "Inputs[%d] is empty", i)
		f.Check(!slices.Contains(h.opts.Inputs[:i], name), "Inputs has %q twice", name)
	}
	if err := f.Err("servehook: new"); err != nil {
		return nil, err
	}
	h.buffers.New = func() any { return new(buffer) }
	return h, nil
}

// Stats returns the counters.
func (h *Hook) Stats() Stats {
	return Stats{h.rows.Load(), h.observed.Load(), h.failed.Load(), h.mismatched.Load()}
}

// Observe implements serve.Observer.
func (h *Hook) Observe(ex *serve.Exchange) {
	if h.opts.Model != "" && ex.Model != h.opts.Model {
		return
	}
	if ex.Err != nil || ex.Request == nil || ex.Response == nil {
		h.failed.Add(1)
		return
	}
	p := h.plan.Load()
	if e := h.monitor.Encoder(); p == nil || p.encoder != e {
		p = newPlan(e, h.opts.Inputs)
		h.plan.Store(p)
	}
	buf := h.buffers.Get().(*buffer)
	defer h.buffers.Put(buf)
	n, err := h.observe(p, buf, ex)
	if err != nil {
		h.mismatch(ex, err)
		return
	}
	h.observed.Add(1)
	h.rows.Add(uint64(n))
}

// observe checks the whole exchange, then converts and observes it by chunks.
func (h *Hook) observe(p *plan, buf *buffer, ex *serve.Exchange) (int, error) {
	n, err := p.check(ex.Request)
	if err != nil {
		return 0, err
	}
	score, column, err := h.score(ex.Response, n)
	if err != nil {
		return 0, err
	}
	width := len(p.features)
	if len(buf.rows) < chunkRows*width {
		buf.rows = make([]float64, chunkRows*width)
	}
	id := monitor.NewID(ex.RequestID, 0)
	for from := 0; from < n; from += chunkRows {
		rows := min(chunkRows, n-from)
		for j := range p.features {
			f := &p.features[j]
			f.fill(buf.rows[j:], width, rows, f.tensor(ex.Request), from)
		}
		column.fill(buf.scores[:], 1, rows, score, from)
		for i := range rows {
			buf.ids[i] = id.Row(from + i)
		}
		h.monitor.ObserveBatch(buf.rows[:rows*width], buf.scores[:rows], buf.ids[:rows])
	}
	return n, nil
}

// score finds the tensor of the score and says how to read it.
func (h *Hook) score(resp *oip.InferResponse, rows int) (*oip.Tensor, column, error) {
	var t *oip.Tensor
	switch {
	case h.opts.Output != "":
		t = resp.Output(h.opts.Output)
	case len(resp.Outputs) > 0:
		t = &resp.Outputs[0]
	}
	if t == nil {
		return nil, column{}, fmt.Errorf("output %q: not in the response: %w", h.opts.Output, ErrInvalid)
	}
	if t.Datatype == oip.BYTES {
		return nil, column{}, fmt.Errorf("output %q: datatype is BYTES, want numbers: %w", t.Name, ErrInvalid)
	}
	switch last := lastDim(t); {
	case t.Len() == rows:
		return t, column{stride: 1}, nil
	case t.Len() == 2*rows && last == 2:
		return t, column{stride: 2, offset: 1}, nil
	}
	return nil, column{}, fmt.Errorf("output %q: shape %v for %d rows, want [%d], [%d,1] or [%d,2]: %w", t.Name, t.Shape, rows, rows, rows, rows, ErrInvalid)
}

func lastDim(t *oip.Tensor) int64 {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// mismatch counts an exchange that does not fit, and tells of the first one of
// a model version.
func (h *Hook) mismatch(ex *serve.Exchange, err error) {
	h.mismatched.Add(1)
	if h.opts.OnError == nil {
		return
	}
	h.mu.Lock()
	known := h.reported == [2]string{ex.Model, ex.Version}
	h.reported = [2]string{ex.Model, ex.Version}
	h.mu.Unlock()
	if !known {
		h.opts.OnError(fmt.Errorf("servehook: observe model %q version %q: %w", ex.Model, ex.Version, err))
	}
}
