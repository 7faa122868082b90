package treeop

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/cmath"
	"github.com/millwright-ml/millwright/serve/internal/forest"
)

// classify makes what turns the sums of a classifier into scores and a label.
func classify[T forest.Float](e *ensemble, p *Parts[T]) error {
	var after func([]T)
	name := e.node.Text("post_transform", "NONE")
	switch name {
	case "NONE":
	case "LOGISTIC":
		after = func(s []T) {
			for i, v := range s {
				s[i] = Logistic(v)
			}
		}
	case "SOFTMAX":
		after = softmax[T]
	default:
		return fmt.Errorf("post_transform %.20q: %w", name, errs.ErrUnsupported)
	}
	if e.classes > 2 {
		several(p, typed[T](e.base), after)
		return nil
	}
	if len(e.base) == 2 {
		return fmt.Errorf("two base values of two classes: %w", errs.ErrUnsupported)
	}
	two(e, p, name, after)
	return nil
}

// several is a classifier of three classes or more.
func several[T forest.Float](p *Parts[T], base []T, after func([]T)) {
	p.Finish = func(out, sums []T) {
		for i, v := range sums {
			if base != nil {
				v += base[i]
			}
			out[i] = v
		}
		if after != nil {
			after(out[:len(sums)])
		}
	}
	p.Label = func(sums []T) int {
		best, most := 0, sums[0]
		for i, v := range sums {
			if base != nil {
				v += base[i]
			}
			if i == 0 || v > most {
				best, most = i, v
			}
		}
		return best
	}
}

// two is a classifier of two classes, which may have weights for one of them only.
func two[T forest.Float](e *ensemble, p *Parts[T], name string, after func([]T)) {
	var base T
	if len(e.base) == 1 {
		base = T(e.base[0])
	}
	ids := map[int64]bool{}
	positive := true
	for i, id := range e.node.Ints("class_ids") {
		ids[id] = true
		positive = positive && e.weights[i] >= 0
	}
	one := len(ids) == 1
	second := ids[1] // The second class has weights of its own.
	limit := T(0)
	if one && positive {
		limit = 0.5
	}
	score := func(sums []T) T {
		if second {
			if one {
				return sums[1] + base
			}
			return sums[1]
		}
		return sums[0] + base
	}
	p.Label = func(sums []T) int {
		if score(sums) > limit {
			return 1
		}
		return 0
	}
	p.Finish = func(out, sums []T) {
		if !one {
			out[0], out[1] = sums[0]+base, sums[1]
			if after != nil {
				after(out[:2])
			}
			return
		}
		s := score(sums)
		switch {
		case positive:
			out[0], out[1] = 1-s, s
			if name == "LOGISTIC" {
				out[0], out[1] = Logistic(-s), Logistic(s)
			}
		case name == "LOGISTIC":
			out[0], out[1] = Logistic(-s), Logistic(s)
		default:
			out[0], out[1] = -s, s
		}
	}
}

// Logistic is ONNX Runtime's, which takes the exponential of negative numbers only.
func Logistic[T forest.Float](x T) T {
	size := x
	if x < 0 {
		size = -x
	}
	v := 1 / (1 + Exp(-size))
	if x < 0 {
		return 1 - v
	}
	return v
}

// Exp is e^x in the type's own precision.
func Exp[T forest.Float](x T) T {
	if v, narrow := any(x).(float32); narrow {
		return T(cmath.Exp32(v))
	}
	return T(cmath.Exp(float64(x)))
}

func softmax[T forest.Float](s []T) {
	top := s[0]
	for _, v := range s {
		top = max(top, v)
	}
	var total T
	for i, v := range s {
		s[i] = Exp(v - top)
		total += s[i]
	}
	for i := range s {
		s[i] /= total
	}
}
