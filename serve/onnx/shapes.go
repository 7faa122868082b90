package onnx

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
)

// cast changes the type of the elements.
func cast(to int64) (apply, error) {
	if _, known := datatypes[to]; !known {
		return nil, fmt.Errorf("a Cast to type %d: %w", to, errs.ErrUnsupported)
	}
	return func(in []*value) (*value, error) {
		v := in[0]
		out := &value{elem: to, shape: v.shape}
		for i := range v.length() {
			switch {
			case to == onnxpb.String && v.isText():
				out.str = append(out.str, v.str[i])
			case to == onnxpb.String:
				out.str = append(out.str, []byte(labelKey(v, i)))
			case v.isText():
				x, err := strconv.ParseFloat(string(v.str[i]), 64)
				if err != nil {
					return nil, fmt.Errorf("%.20q is no number: %w", v.str[i], errs.ErrInvalid)
				}
				out.num = append(out.num, x)
			case to == onnxpb.Bool:
				out.num = append(out.num, truth(v.num[i] != 0))
			default:
				out.num = append(out.num, v.num[i])
			}
		}
		return out.round(), nil
	}, nil
}

// concat puts values side by side along an axis.
func concat(axis int) apply {
	return func(in []*value) (*value, error) {
		first := in[0]
		at := axis
		if at < 0 {
			at += len(first.shape)
		}
		if at < 0 || at >= len(first.shape) {
			return nil, fmt.Errorf("axis %d of the shape %v: %w", axis, first.shape, errs.ErrInvalid)
		}
		shape := append([]int{}, first.shape...)
		for _, v := range in[1:] {
			same := v.elem == first.elem && len(v.shape) == len(shape)
			for d := 0; same && d < len(shape); d++ {
				same = d == at || v.shape[d] == shape[d]
			}
			if !same {
				return nil, fmt.Errorf("the shapes %v and %v do not go side by side: %w", first.shape, v.shape, errs.ErrInvalid)
			}
			shape[at] += v.shape[at]
		}
		if _, err := product(shape); err != nil {
			return nil, err
		}
		out := &value{elem: first.elem, shape: shape}
		outer, inner := 1, 1
		for d, n := range shape {
			if d < at {
				outer *= n
			} else if d > at {
				inner *= n
			}
		}
		for o := range outer {
			for _, v := range in {
				n := v.shape[at] * inner
				if v.isText() {
					out.str = append(out.str, v.str[o*n:(o+1)*n]...)
				} else {
					out.num = append(out.num, v.num[o*n:(o+1)*n]...)
				}
			}
		}
		return out, nil
	}
}

// reshaped is the same elements in another shape.
func reshaped(v *value, shape []int) (*value, error) {
	n, err := product(shape)
	if err != nil {
		return nil, err
	}
	if n != v.length() {
		return nil, fmt.Errorf("%d elements in the shape %v: %w", v.length(), shape, errs.ErrInvalid)
	}
	return &value{elem: v.elem, shape: shape, num: v.num, str: v.str}, nil
}

// reshape takes 0 for the dimension that was there, and -1 for what is left.
func reshape(allowZero bool) apply {
	return func(in []*value) (*value, error) {
		shape := make([]int, len(in[1].num))
		rest, n := -1, 1
		for i, d := range in[1].num {
			if d < -1 || d > maxElements {
				return nil, fmt.Errorf("the dimension %v: %w", d, errs.ErrInvalid)
			}
			shape[i] = int(d)
			if d == 0 && !allowZero && i < len(in[0].shape) {
				shape[i] = in[0].shape[i]
			}
			if d == -1 {
				rest = i
			} else if n *= shape[i]; n > maxElements {
				return nil, fmt.Errorf("the shape %v: %w", in[1].num, errs.ErrInvalid)
			}
		}
		if rest >= 0 && n > 0 {
			shape[rest] = in[0].length() / n
		}
		return reshaped(in[0], shape)
	}
}

// flatten makes a table, cut at an axis.
func flatten(axis int) apply {
	return func(in []*value) (*value, error) {
		at := axis
		if at < 0 {
			at += len(in[0].shape)
		}
		if at < 0 || at > len(in[0].shape) {
			return nil, fmt.Errorf("axis %d of the shape %v: %w", axis, in[0].shape, errs.ErrInvalid)
		}
		shape := []int{1, 1}
		for i, d := range in[0].shape {
			if i < at {
				shape[0] *= d
			} else {
				shape[1] *= d
			}
		}
		return reshaped(in[0], shape)
	}
}

// argmax finds the place of the greatest element along an axis.
func argmax(axis int, keep, last bool) apply {
	return func(in []*value) (*value, error) {
		v, at := in[0], axis
		if at < 0 {
			at += len(v.shape)
		}
		if at < 0 || at >= len(v.shape) || v.shape[at] == 0 {
			return nil, fmt.Errorf("axis %d of the shape %v: %w", axis, v.shape, errs.ErrInvalid)
		}
		n, inner := v.shape[at], 1
		for _, d := range v.shape[at+1:] {
			inner *= d
		}
		shape := slices.Clone(v.shape)
		if shape[at] = 1; !keep {
			shape = slices.Delete(shape, at, at+1)
		}
		out, err := numbers(onnxpb.Int64, shape...)
		if err != nil {
			return nil, err
		}
		for i := range out.num {
			from := i/inner*inner*n + i%inner
			best := 0
			for j := range n {
				if x, most := v.num[from+j*inner], v.num[from+best*inner]; x > most || last && x == most {
					best = j
				}
			}
			out.num[i] = float64(best)
		}
		return out, nil
	}
}

// features picks columns by their places.
func features(in []*value) (*value, error) {
	v, places := in[0], in[1].num
	if len(v.shape) == 0 {
		return nil, fmt.Errorf("columns of a single number: %w", errs.ErrInvalid)
	}
	columns := v.shape[len(v.shape)-1]
	rows := 0
	if columns > 0 {
		rows = v.length() / columns
	}
	shape := append(slices.Clone(v.shape[:len(v.shape)-1]), len(places))
	if len(v.shape) == 1 {
		shape = []int{1, len(places)}
	}
	if _, err := product(shape); err != nil {
		return nil, err
	}
	out := &value{elem: v.elem, shape: shape}
	for r := range rows {
		for _, p := range places {
			if p < 0 || p >= float64(columns) {
				return nil, fmt.Errorf("column %v of %d: %w", p, columns, errs.ErrInvalid)
			}
			if v.isText() {
				out.str = append(out.str, v.str[r*columns+int(p)])
			} else {
				out.num = append(out.num, v.num[r*columns+int(p)])
			}
		}
	}
	return out, nil
}

// gather picks places along an axis.
func gather(axis int) apply {
	return func(in []*value) (*value, error) {
		v, places, at := in[0], in[1], axis
		if at < 0 {
			at += len(v.shape)
		}
		if at < 0 || at >= len(v.shape) || places.isText() {
			return nil, fmt.Errorf("axis %d of the shape %v: %w", axis, v.shape, errs.ErrInvalid)
		}
		shape := slices.Concat(v.shape[:at], places.shape, v.shape[at+1:])
		if _, err := product(shape); err != nil {
			return nil, err
		}
		n, outer, inner := v.shape[at], 1, 1
		for i, d := range v.shape {
			if i < at {
				outer *= d
			} else if i > at {
				inner *= d
			}
		}
		out := &value{elem: v.elem, shape: shape}
		for o := range outer {
			for _, p := range places.num {
				if p < 0 {
					p += float64(n)
				}
				if !(p >= 0 && p < float64(n)) {
					return nil, fmt.Errorf("place %v of %d: %w", p, n, errs.ErrInvalid)
				}
				from := (o*n + int(p)) * inner
				if v.isText() {
					out.str = append(out.str, v.str[from:from+inner]...)
				} else {
					out.num = append(out.num, v.num[from:from+inner]...)
				}
			}
		}
		return out, nil
	}
}
