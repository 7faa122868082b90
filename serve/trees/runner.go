package trees

import (
	"sync"

	"github.com/millwright-ml/millwright/serve/internal/forest"
	"github.com/millwright-ml/millwright/serve/oip"
)

// chunk is how many rows are summed before they are finished.
const chunk = 64

// runner is the engine of one type.
type runner[T float32 | float64] struct {
	forest *forest.Forest[T]
	width  int
	finish finish[T]          // nil: the sums are the answer
	label  func(sums []T) int // nil: there are no classes to choose from
	sums   sync.Pool          // of *[]T
	input  oip.Datatype
}

func newRunner[T float32 | float64](f *forest.Forest[T], width int, fin finish[T]) *runner[T] {
	r := &runner[T]{forest: f, width: width, finish: fin}
	outputs := f.Outputs()
	r.sums.New = func() any {
		s := make([]T, chunk*outputs)
		return &s
	}
	return r
}

func (r *runner[T]) trees() int  { return r.forest.Trees() }
func (r *runner[T]) size() int64 { return r.forest.Size() }

func (r *runner[T]) answers() oip.Datatype {
	var v T
	if _, small := any(v).(float32); small {
		return oip.FP32
	}
	return oip.FP64
}

func (r *runner[T]) native() oip.Datatype {
	if r.input != "" {
		return r.input
	}
	return r.answers()
}

func (r *runner[T]) predict64(dst, rows []float64) { predict(r, dst, nil, rows) }
func (r *runner[T]) predict32(dst, rows []float32) { predict(r, dst, nil, rows) }

func (r *runner[T]) classify(dst []float64, best []int, rows []float64) { predict(r, dst, best, rows) }

// narrow says that the rows are compared in float32 although the sums are not.
func (m *Model) narrow() *Model {
	if r, ok := m.engine.(*runner[float64]); ok {
		r.input = oip.FP32
		m.signature.Inputs[0].Datatype = oip.FP32
	}
	return m
}

// predict sums a chunk of rows, finishes it and goes on to the next. best, unless
// it is nil, gets the classes.
func predict[T, S float32 | float64](r *runner[T], dst []S, best []int, rows []S) {
	features, outputs := r.forest.Features(), r.forest.Outputs()
	n := len(dst) / r.width
	if features > 0 {
		n = min(n, len(rows)/features)
	}
	if direct, ok := any(dst).([]T); ok && r.finish == nil && r.width == outputs {
		forest.Sum(r.forest, direct[:n*outputs], rows)
		return
	}
	memory, _ := r.sums.Get().(*[]T)
	for from := 0; from < n; from += chunk {
		k := min(chunk, n-from)
		sums := (*memory)[:k*outputs]
		forest.Sum(r.forest, sums, rows[from*features:])
		for i := range k {
			row := sums[i*outputs : (i+1)*outputs]
			if best != nil {
				best[from+i] = r.label(row)
			}
			if r.finish != nil {
				r.finish(row, row)
			}
			for j, v := range row[:r.width] {
				dst[(from+i)*r.width+j] = S(v)
			}
		}
	}
	r.sums.Put(memory)
}

// answer computes a request's rows in float64, which holds what either type has,
// and their classes where the model has some.
func (m *Model) answer(in *oip.Tensor, rows int) (out []float64, best []int) {
	out = make([]float64, rows*m.width)
	wide := in.FP64()
	if narrow := in.FP32(); narrow != nil {
		wide = make([]float64, len(narrow))
		for i, v := range narrow {
			wide[i] = float64(v)
		}
	}
	if m.labels != nil {
		best = make([]int, rows)
	}
	m.engine.classify(out, best, wide)
	return out, best
}
