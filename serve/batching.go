package serve

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Batching makes one call of the model for requests that came while it was
// busy. There is no timer in it unless MaxDelay sets one: a request that finds
// the model idle is answered at once, so batching costs no latency, and the
// busier the model the larger the batches. The goroutine of one of the requests
// makes the call for all; there is no dispatcher.
//
// Waiting requests go in the order of their deadlines, those whose deadline has
// passed are dropped before the model sees them. A batch holds requests whose
// tensors have the same dimensions beside the rows, and the same parameters. A
// request of more rows than a batch holds is cut into several calls. When a
// batch fails, each of its requests is tried once by itself, so that one bad
// row fails its own request only; see also RowErrors.
//
// The model's inputs and outputs must all have rows, a first dimension of -1.
type Batching struct {
	// MaxRows is the most rows of one call. Default 64.
	MaxRows int
	// MaxElements is the most input elements of one call; a single row may
	// have more. Default 1,048,576 (1<<20).
	MaxElements int64
	// MaxDelay is how long a request waits for others although the model is
	// idle, for a model whose calls cost more than latency, such as one on a
	// GPU that others use. Default 0: not at all.
	MaxDelay time.Duration
	// Executions is how many calls of the model run at once. Default 1.
	Executions int
	// MaxQueue is how many requests may wait; the next is an ErrUnavailable.
	// Default 1,024.
	MaxQueue int
}

// withDefaults returns the options with their defaults, and notes what is wrong
// with them and with the signature.
func (o Batching) withDefaults(f *errs.Faults, sig Signature) Batching {
	f.Check(o.MaxRows >= 0, "Batching.MaxRows is %d, want at least 0", o.MaxRows)
	f.Check(o.MaxElements >= 0, "Batching.MaxElements is %d, want at least 0", o.MaxElements)
	f.Check(o.MaxDelay >= 0, "Batching.MaxDelay is %v, want at least 0", o.MaxDelay)
	f.Check(o.Executions >= 0, "Batching.Executions is %d, want at least 0", o.Executions)
	f.Check(o.MaxQueue >= 0, "Batching.MaxQueue is %d, want at least 0", o.MaxQueue)
	for _, t := range slices.Concat(sig.Inputs, sig.Outputs) {
		f.Check(len(t.Shape) > 0 && t.Shape[0] == -1, "Batching: tensor %q has shape %s, want a first dimension of -1", t.Name, shapeText(t.Shape))
	}
	if o.MaxRows == 0 {
		o.MaxRows = 64
	}
	if o.MaxElements == 0 {
		o.MaxElements = 1 << 20
	}
	if o.Executions == 0 {
		o.Executions = 1
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = 1024
	}
	return o
}

// RowErrors is an error that a Model returns from Infer when it could answer
// some rows and not others: it holds the row numbers of the batch with what is
// wrong with each, and the outputs are those of all rows, with anything in the
// place of the bad ones. Requests without a bad row are answered, the others
// fail with their errors.
type RowErrors map[int]error

// Error lists the first few rows.
func (e RowErrors) Error() string {
	var list []string
	for _, row := range e.rows() {
		if len(list) == 3 {
			list = append(list, fmt.Sprintf("and %d more rows", len(e)-3))
			break
		}
		list = append(list, fmt.Sprintf("row %d: %v", row, e[row]))
	}
	return strings.Join(list, "; ")
}

// Unwrap gives the errors, for errors.Is.
func (e RowErrors) Unwrap() []error {
	list := make([]error, 0, len(e))
	for _, row := range e.rows() {
		list = append(list, e[row])
	}
	return list
}

func (e RowErrors) rows() []int {
	rows := make([]int, 0, len(e))
	for row := range e {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	return rows
}

// within returns the errors of the rows of one request, numbered from its
// first; nil when it has none.
func (e RowErrors) within(from, rows int64) error {
	var mine RowErrors
	for row, err := range e {
		if at := int64(row) - from; at >= 0 && at < rows {
			if mine == nil {
				mine = RowErrors{}
			}
			mine[int(at)] = err
		}
	}
	if mine == nil {
		return nil
	}
	return mine
}

// share is what decides which requests can be one batch.
type share struct {
	rows int64
	// width is the number of elements of one row.
	width int64
	// plain says that the request can be with any other plain one.
	plain bool
}

// measure looks at a request for batching, after it was checked.
func (v *deployed) measure(req *oip.InferRequest, rows int64) share {
	m := share{rows: rows, plain: v.uniform && ordinary(req.Parameters)}
	for i := range req.Inputs {
		t := &req.Inputs[i]
		n := int64(1)
		for _, d := range t.Shape[1:] {
			n *= d
		}
		m.width += n
		m.plain = m.plain && len(t.Parameters) == 0
	}
	for i := range req.Outputs {
		m.plain = m.plain && len(req.Outputs[i].Parameters) == 0
	}
	return m
}

// transport are the request parameters that speak to the server, not to the
// model.
var transport = [...]string{"timeout", "priority", "binary_data_output"}

// ordinary reports whether no parameter is for the model.
func ordinary(p map[string]any) bool {
	if len(p) == 0 {
		return true
	}
	n := len(p)
	for _, name := range transport {
		if _, ok := p[name]; ok {
			n--
		}
	}
	return n == 0
}

// sameParameters compares what a model can see.
func sameParameters(a, b map[string]any) bool {
	for _, pair := range [][2]map[string]any{{a, b}, {b, a}} {
		for k, v := range pair[0] {
			if slices.Contains(transport[:], k) {
				continue
			}
			if w, ok := pair[1][k]; !ok || !reflect.DeepEqual(v, w) {
				return false
			}
		}
	}
	return true
}

// mergeable reports whether two requests for the version can be one batch.
func (v *deployed) mergeable(a, b *oip.InferRequest) bool {
	if !sameParameters(a.Parameters, b.Parameters) {
		return false
	}
	for i := range a.Inputs {
		t := &a.Inputs[i]
		u := input(b, t.Name, i)
		if !slices.Equal(t.Shape[1:], u.Shape[1:]) || !sameParameters(t.Parameters, u.Parameters) {
			return false
		}
	}
	return slices.EqualFunc(a.Outputs, b.Outputs, func(o, p oip.RequestedOutput) bool {
		return o.Name == p.Name && sameParameters(o.Parameters, p.Parameters)
	})
}

// uniform reports whether only the number of rows varies.
func uniform(sig Signature) bool {
	for _, t := range sig.Inputs {
		if len(t.Shape) > 0 && slices.Contains(t.Shape[1:], -1) {
			return false
		}
	}
	return true
}

// input finds an input of a checked request, which is mostly at its place.
func input(r *oip.InferRequest, name string, at int) *oip.Tensor {
	if at < len(r.Inputs) && r.Inputs[at].Name == name {
		return &r.Inputs[at]
	}
	return r.Input(name)
}
