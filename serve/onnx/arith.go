package onnx

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
)

// binary makes an operator of two numbers a function of two values that are
// stretched to a common shape.
func binary(f func(a, b float64) float64) func([]*value) (*value, error) {
	return func(in []*value) (*value, error) {
		a, b := in[0], in[1]
		shape, err := common(a.shape, b.shape)
		if err != nil {
			return nil, err
		}
		out, err := numbers(a.elem, shape...)
		if err != nil {
			return nil, err
		}
		sa, sb := strides(a.shape, shape), strides(b.shape, shape)
		index := make([]int, len(shape))
		ia, ib := 0, 0
		for i := range out.num {
			x, y := a.num[ia], b.num[ib]
			out.num[i] = f(x, y)
			for d := len(shape) - 1; d >= 0; d-- {
				index[d]++
				ia, ib = ia+sa[d], ib+sb[d]
				if index[d] < shape[d] {
					break
				}
				ia, ib = ia-sa[d]*shape[d], ib-sb[d]*shape[d]
				index[d] = 0
			}
		}
		return out.round(), nil
	}
}

// common is the shape that two shapes are stretched to.
func common(a, b []int) ([]int, error) {
	out := make([]int, max(len(a), len(b)))
	for i := range out {
		x, y := 1, 1
		if j := i - len(out) + len(a); j >= 0 {
			x = a[j]
		}
		if j := i - len(out) + len(b); j >= 0 {
			y = b[j]
		}
		if x != y && x != 1 && y != 1 {
			return nil, fmt.Errorf("the shapes %v and %v do not go together: %w", a, b, errs.ErrInvalid)
		}
		out[i] = max(x, y)
		if x == 0 || y == 0 {
			out[i] = 0
		}
	}
	return out, nil
}

// strides are the steps through a value that is stretched to a shape.
func strides(have, shape []int) []int {
	out := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		j := i - len(shape) + len(have)
		if j < 0 {
			break
		}
		if have[j] != 1 {
			out[i] = step
		}
		step *= have[j]
	}
	return out
}

// unary makes a function of one number an operator.
func unary(f func(float64) float64) func([]*value) (*value, error) {
	return func(in []*value) (*value, error) {
		out := like(in[0])
		for i, x := range in[0].num {
			out.num[i] = f(x)
		}
		return out.round(), nil
	}
}

func divide(elem int64) func(a, b float64) float64 {
	if elem == onnxpb.Float32 || elem == onnxpb.Float64 {
		return func(a, b float64) float64 { return a / b }
	}
	return func(a, b float64) float64 {
		if b == 0 {
			return 0
		}
		return math.Trunc(a / b)
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// softmax works along an axis; before version 13 over all axes from it on.
func softmax(v *value, axis int, flatten, log bool) (*value, error) {
	if axis < 0 {
		axis += len(v.shape)
	}
	if axis < 0 || axis >= max(1, len(v.shape)) {
		return nil, fmt.Errorf("axis %d of the shape %v: %w", axis, v.shape, errs.ErrInvalid)
	}
	n, inner := 1, 1
	for i, d := range v.shape {
		if i == axis || flatten && i > axis {
			n *= d
		} else if i > axis {
			inner *= d
		}
	}
	out := like(v)
	for from := 0; from+n*inner <= len(v.num) && n*inner > 0; from += n * inner {
		for k := range inner {
			soft(out.num[from+k:], v.num[from+k:], n, inner, log)
		}
	}
	return out.round(), nil
}

// soft is the softmax of n numbers that are step apart.
func soft(out, in []float64, n, step int, log bool) {
	top, total := math.Inf(-1), 0.0
	for i := range n {
		top = max(top, in[i*step])
	}
	for i := range n {
		out[i*step] = math.Exp(in[i*step] - top)
		total += out[i*step]
	}
	for i := range n {
		if log {
			out[i*step] = in[i*step] - top - math.Log(total)
		} else {
			out[i*step] /= total
		}
	}
}

// transpose turns a table over.
func transpose(v *value) *value {
	r, c := v.shape[0], v.shape[1]
	out := &value{elem: v.elem, shape: []int{c, r}, num: make([]float64, len(v.num))}
	for i := range r {
		for j := range c {
			out.num[j*r+i] = v.num[i*c+j]
		}
	}
	return out
}

// gemm is alpha·A·B + beta·C.
func gemm(n *onnxpb.Node) func([]*value) (*value, error) {
	alpha, beta := float64(n.Float("alpha", 1)), float64(n.Float("beta", 1))
	ta, tb := n.Int("transA", 0) != 0, n.Int("transB", 0) != 0
	return func(in []*value) (*value, error) {
		a, b := in[0], in[1]
		if len(a.shape) != 2 || len(b.shape) != 2 {
			return nil, fmt.Errorf("the shapes %v and %v are no tables: %w", a.shape, b.shape, errs.ErrInvalid)
		}
		if ta {
			a = transpose(a)
		}
		if tb {
			b = transpose(b)
		}
		out, err := matmul([]*value{a, b})
		if err != nil {
			return nil, err
		}
		for i := range out.num {
			out.num[i] *= alpha
		}
		if len(in) < 3 || in[2] == nil {
			return out.round(), nil
		}
		if shape, err := common(out.shape, in[2].shape); err != nil || len(shape) != 2 || shape[0] != out.shape[0] || shape[1] != out.shape[1] {
			return nil, fmt.Errorf("the shape %v is not that of what it is added to, %v: %w", in[2].shape, out.shape, errs.ErrInvalid)
		}
		return binary(func(x, c float64) float64 { return x + beta*c })([]*value{out, in[2]})
	}
}
