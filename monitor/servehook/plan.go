package servehook

import (
	"fmt"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/serve/oip"
)

// plan is how the features of one reference are read from requests.
type plan struct {
	encoder  *monitor.Encoder
	features []feature
	single   string // Name of the one tensor with all features, "" for one each.
	fault    string // Why the plan cannot work.
}

// feature reads one feature.
type feature struct {
	column
	name string // Of its tensor.
	hint int    // Where its tensor most likely is.
}

func newPlan(e *monitor.Encoder, inputs []string) *plan {
	p := &plan{encoder: e, features: make([]feature, e.Len())}
	width := len(p.features)
	switch {
	case len(inputs) == 1 && width > 1:
		p.single = inputs[0]
	case len(inputs) != 0 && len(inputs) != width:
		p.fault = fmt.Sprintf("the monitor's reference has %d features now, the hook reads %d inputs", width, len(inputs))
		return p
	}
	for j := range p.features {
		f := &p.features[j]
		f.name, f.hint, f.stride = e.Name(j), j, 1
		switch {
		case p.single != "":
			f.name, f.hint, f.stride, f.offset = p.single, 0, width, j
		case len(inputs) > 0:
			f.name = inputs[j]
		}
		if e.Categorical(j) {
			f.encoder, f.slot = e, j
		}
	}
	return p
}

// tensor returns the feature's tensor, nil when the request has none.
func (f *feature) tensor(req *oip.InferRequest) *oip.Tensor {
	if f.hint < len(req.Inputs) && req.Inputs[f.hint].Name == f.name {
		return &req.Inputs[f.hint]
	}
	return req.Input(f.name)
}

// check returns the number of rows of the request, or why it does not fit.
func (p *plan) check(req *oip.InferRequest) (int, error) {
	if p.fault != "" {
		return 0, fmt.Errorf("%s: %w", p.fault, ErrInvalid)
	}
	rows := -1
	for j := range p.features {
		f := &p.features[j]
		t := f.tensor(req)
		if t == nil {
			return 0, fmt.Errorf("input %q: not in the request: %w", f.name, ErrInvalid)
		}
		if f.encoder == nil && t.Datatype == oip.BYTES {
			return 0, fmt.Errorf("input %q: datatype is BYTES, but feature %q is numeric in the reference: %w", f.name, p.encoder.Name(j), ErrInvalid)
		}
		size := t.Len()
		if p.single != "" {
			if last := lastDim(t); last != int64(len(p.features)) || size%len(p.features) != 0 {
				return 0, fmt.Errorf("input %q: shape %v, want [rows,%d]: %w", f.name, t.Shape, len(p.features), ErrInvalid)
			}
			size /= len(p.features)
		} else if len(t.Shape) > 0 && t.Shape[0] != int64(size) {
			return 0, fmt.Errorf("input %q: shape %v, want [rows] or [rows,1] for one feature: %w", f.name, t.Shape, ErrInvalid)
		}
		if rows < 0 {
			rows = size
		}
		if size != rows {
			return 0, fmt.Errorf("input %q: %d rows, the first input has %d: %w", f.name, size, rows, ErrInvalid)
		}
	}
	return rows, nil
}
