package serve

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/serve/oip"
)

// Golden is a request with the answer that a version must give to it, recorded
// when the model was made: Deployment.Golden.
type Golden struct {
	Request  *oip.InferRequest
	Response *oip.InferResponse
}

// DecodeGolden reads a golden case from the JSON of an infer request and of its
// response.
func DecodeGolden(request, response []byte) (Golden, error) {
	var g Golden
	var err error
	if g.Request, err = oip.DecodeRequest(request, nil); err != nil {
		return Golden{}, fmt.Errorf("serve: golden case: %w", err)
	}
	if g.Response, err = oip.DecodeResponse(response, nil); err != nil {
		return Golden{}, fmt.Errorf("serve: golden case: %w", err)
	}
	return g, nil
}

// Tolerance is how far two floats may be apart to count as equal: at most Abs +
// Rel * |want|. NaN is equal to NaN. The zero value, and nil, ask for the same
// number.
type Tolerance struct{ Abs, Rel float64 }

// Difference says how two answers differ.
type Difference struct {
	// Elements is the number of elements that were compared, Unequal of those
	// that differ by more than the tolerance.
	Elements, Unequal int64
	// Largest is the largest difference of two numbers, LargestRel relative
	// to the wanted one; of numbers that are finite.
	Largest, LargestRel float64
	// TopOne of TopOneRows rows of scores have their greatest in the same
	// place: of outputs of floats whose last dimension is 2 or more.
	TopOne, TopOneRows int64
	// First names the first thing that differs, "" for nothing: also an
	// output that is missing or has another shape.
	First string
}

// Equal reports whether nothing differs.
func (d *Difference) Equal() bool { return d.First == "" }

// Compare compares the outputs of two answers by their names. Outputs that only
// have has are left out: want may be of a request for some outputs.
func Compare(want, have *oip.InferResponse, tolerance *Tolerance) Difference {
	var d Difference
	if tolerance == nil {
		tolerance = &Tolerance{}
	}
	for i := range want.Outputs {
		w := &want.Outputs[i]
		h := have.Output(w.Name)
		switch {
		case h == nil:
			d.note(1, "output %q is missing", w.Name)
		case h.Datatype != w.Datatype:
			d.note(1, "output %q is %s, want %s", w.Name, h.Datatype, w.Datatype)
		case !slices.Equal(h.Shape, w.Shape) || h.Len() != w.Len():
			d.note(1, "output %q has shape %s, want %s", w.Name, shapeText(h.Shape), shapeText(w.Shape))
		default:
			d.tensor(w, h, tolerance)
		}
	}
	return d
}

// note counts a difference, and keeps the first in words.
func (d *Difference) note(n int64, format string, args ...any) {
	d.Unequal += n
	if d.First == "" {
		d.First = fmt.Sprintf(format, args...)
	}
}

func (d *Difference) tensor(w, h *oip.Tensor, t *Tolerance) {
	d.Elements += int64(w.Len())
	switch w.Datatype {
	case oip.FP64:
		floats(d, w, w.FP64(), h.FP64(), t)
	case oip.FP32:
		floats(d, w, w.FP32(), h.FP32(), t)
	case oip.FP16:
		floats(d, w, widen(w.FP16(), half), widen(h.FP16(), half), t)
	case oip.BF16:
		floats(d, w, widen(w.BF16(), brain), widen(h.BF16(), brain), t)
	case oip.INT64:
		exactly(d, w.Name, w.INT64(), h.INT64())
	case oip.INT32:
		exactly(d, w.Name, w.INT32(), h.INT32())
	case oip.INT16:
		exactly(d, w.Name, w.INT16(), h.INT16())
	case oip.INT8:
		exactly(d, w.Name, w.INT8(), h.INT8())
	case oip.UINT64:
		exactly(d, w.Name, w.UINT64(), h.UINT64())
	case oip.UINT32:
		exactly(d, w.Name, w.UINT32(), h.UINT32())
	case oip.UINT16:
		exactly(d, w.Name, w.UINT16(), h.UINT16())
	case oip.UINT8:
		exactly(d, w.Name, w.UINT8(), h.UINT8())
	case oip.BOOL:
		exactly(d, w.Name, w.BOOL(), h.BOOL())
	case oip.BYTES:
		ws, hs := w.BYTES(), h.BYTES()
		for i := range ws {
			if !bytes.Equal(ws[i], hs[i]) {
				d.note(1, "output %q element %d is %.40q, want %.40q", w.Name, i, hs[i], ws[i])
			}
		}
	}
}

func floats[T float32 | float64](d *Difference, o *oip.Tensor, want, have []T, t *Tolerance) {
	for i, w := range want {
		h := have[i]
		if w == h || w != w && h != h {
			continue
		}
		off := math.Abs(float64(w) - float64(h))
		// A NaN on one side, or infinities, are never within.
		finite := !math.IsNaN(off) && !math.IsInf(off, 0)
		if finite {
			d.Largest = max(d.Largest, off)
			if w != 0 {
				d.LargestRel = max(d.LargestRel, off/math.Abs(float64(w)))
			}
		}
		if !finite || off > t.Abs+t.Rel*math.Abs(float64(w)) {
			d.note(1, "output %q element %d is %v, want %v", o.Name, i, h, w)
		}
	}
	if len(o.Shape) == 0 || o.Shape[len(o.Shape)-1] < 2 {
		return
	}
	width := int(o.Shape[len(o.Shape)-1])
	for i := 0; i+width <= len(want); i += width {
		d.TopOneRows++
		if greatest(want[i:i+width]) == greatest(have[i:i+width]) {
			d.TopOne++
		}
	}
}

func greatest[T float32 | float64](row []T) int {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
	}
	return best
}

func widen(list []uint16, f func(uint16) float32) []float32 {
	out := make([]float32, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

// brain reads a bfloat16.
func brain(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// half reads an IEEE 754 number of 16 bits.
func half(b uint16) float32 {
	sign, exponent, fraction := 1.0, int(b>>10&0x1f), float64(b&0x3ff)
	if b&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return float32(sign * math.Ldexp(fraction, -24))
	case 0x1f:
		if fraction != 0 {
			return float32(math.NaN())
		}
		return float32(math.Inf(int(sign)))
	}
	return float32(sign * math.Ldexp(1024+fraction, exponent-25))
}

func exactly[T comparable](d *Difference, name string, want, have []T) {
	for i, w := range want {
		if have[i] != w {
			d.note(1, "output %q element %d is %v, want %v", name, i, have[i], w)
		}
	}
}

// Replay sends a logged request to a version, "" for the default one, and
// compares the answer with the one that was logged. Observers are not told, and
// when the server is busy it is an ErrUnavailable.
func (s *Server) Replay(ctx context.Context, name, version string, logged Golden, tolerance *Tolerance) (*oip.InferResponse, Difference, error) {
	if logged.Response == nil {
		return nil, Difference{}, fmt.Errorf("serve: replay on %q: there is no response to compare with: %w", name, ErrInvalid)
	}
	resp, err := s.Do(ctx, &Call{Model: name, Version: version, Request: logged.Request, Shadow: true})
	if err != nil {
		return nil, Difference{}, err
	}
	return resp, Compare(logged.Response, resp, tolerance), nil
}

// reproduce asks the model for its golden answers, before it is deployed.
func (s *Server) reproduce(ctx context.Context, v *deployed, d *Deployment) error {
	for i, g := range d.Golden {
		if g.Request == nil || g.Response == nil {
			return fmt.Errorf("golden case %d has no request or no response: %w", i, ErrInvalid)
		}
		rows, err := v.checkRequest(g.Request)
		if err != nil {
			return fmt.Errorf("golden case %d: %w: %w", i, err, ErrInvalid)
		}
		var resp oip.InferResponse
		if err := s.run(ctx, v, g.Request, &resp); err != nil {
			return fmt.Errorf("golden case %d: %w", i, err)
		}
		if err := v.checkResponse(g.Request, &resp, rows); err != nil {
			return fmt.Errorf("golden case %d: %w", i, &badAnswer{err})
		}
		if diff := Compare(g.Response, &resp, &d.Tolerance); !diff.Equal() {
			return fmt.Errorf("golden case %d is not reproduced, %d of %d elements differ by up to %g: %s: %w", i, diff.Unequal, diff.Elements, diff.Largest, diff.First, ErrInvalid)
		}
	}
	return nil
}
