package onnx

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
)

// apply computes the first output of an operator.
type apply func(in []*value) (*value, error)

// perColumn checks that a list has one entry, or one for each column, and
// returns how to look one up.
func perColumn(name string, list []float32, columns int) (func(c int) float64, error) {
	switch len(list) {
	case 1:
		return func(int) float64 { return float64(list[0]) }, nil
	case columns:
		return func(c int) float64 { return float64(list[c]) }, nil
	}
	return nil, fmt.Errorf("%s has %d entries for %d columns: %w", name, len(list), columns, errs.ErrInvalid)
}

// scaler is (x - offset) · scale for each column.
func scaler(n *onnxpb.Node) apply {
	offsets, scales := n.Floats("offset"), n.Floats("scale")
	return func(in []*value) (*value, error) {
		_, columns := in[0].table()
		offset, err := perColumn("offset", offsets, columns)
		if err != nil {
			return nil, err
		}
		scale, err := perColumn("scale", scales, columns)
		if err != nil {
			return nil, err
		}
		out := like(in[0])
		out.elem = onnxpb.Float32
		for i, x := range in[0].num {
			c := i % columns
			out.num[i] = float64(float32(float32(x)-float32(offset(c))) * float32(scale(c)))
		}
		return out.round(), nil
	}
}

// normalizer divides each row by its length.
func normalizer(norm string) (apply, error) {
	var length func(row []float64) float64
	switch norm {
	case "MAX":
		length = func(row []float64) float64 {
			most := math.Inf(-1)
			for _, x := range row {
				most = max(most, math.Abs(x))
			}
			return most
		}
	case "L1":
		length = func(row []float64) (sum float64) {
			for _, x := range row {
				sum += math.Abs(x)
			}
			return sum
		}
	case "L2":
		length = func(row []float64) (sum float64) {
			for _, x := range row {
				sum += x * x
			}
			return math.Sqrt(sum)
		}
	default:
		return nil, fmt.Errorf("the norm %.20q: %w", norm, errs.ErrInvalid)
	}
	return func(in []*value) (*value, error) {
		out := like(in[0])
		out.elem = onnxpb.Float32
		rows, columns := in[0].table()
		for r := range rows {
			row := in[0].num[r*columns : (r+1)*columns]
			by := length(row)
			if by == 0 {
				by = 1
			}
			for c, x := range row {
				out.num[r*columns+c] = x / by
			}
		}
		return out.round(), nil
	}, nil
}

// linear is one weighted sum of the columns for each target.
func linear(weights, intercepts []float32, targets int) apply {
	return func(in []*value) (*value, error) {
		rows, columns := in[0].table()
		if targets < 1 || len(weights) != targets*columns || len(intercepts) != 0 && len(intercepts) != targets {
			return nil, fmt.Errorf("%d coefficients and %d intercepts for %d columns and %d targets: %w", len(weights), len(intercepts), columns, targets, errs.ErrInvalid)
		}
		out, err := numbers(onnxpb.Float32, rows, targets)
		if err != nil {
			return nil, err
		}
		for r := range rows {
			for t := range targets {
				sum := 0.0
				for c, x := range in[0].num[r*columns : (r+1)*columns] {
					sum += x * float64(weights[t*columns+c])
				}
				if len(intercepts) != 0 {
					sum += float64(intercepts[t])
				}
				out.num[r*targets+t] = sum
			}
		}
		return out.round(), nil
	}
}

// postTransform is what classifiers do with their scores.
func postTransform(name string) (func(*value) (*value, error), error) {
	switch name {
	case "NONE":
		return func(v *value) (*value, error) { return v, nil }, nil
	case "LOGISTIC":
		f := unary(sigmoid)
		return func(v *value) (*value, error) { return f([]*value{v}) }, nil
	case "SOFTMAX":
		return func(v *value) (*value, error) { return softmax(v, 1, false, false) }, nil
	}
	return nil, fmt.Errorf("post_transform %.20q: %w", name, errs.ErrUnsupported)
}

// imputer replaces what is missing.
func imputer(n *onnxpb.Node) (apply, error) {
	fill, missing := n.Floats("imputed_value_floats"), float64(n.Float("replaced_value_float", 0))
	if ints := n.Ints("imputed_value_int64s"); ints != nil {
		missing = float64(n.Int("replaced_value_int64", 0))
		for _, v := range ints {
			fill = append(fill, float32(v))
		}
	}
	if len(fill) == 0 {
		return nil, fmt.Errorf("an Imputer without values: %w", errs.ErrInvalid)
	}
	return func(in []*value) (*value, error) {
		_, columns := in[0].table()
		with, err := perColumn("imputed_value", fill, columns)
		if err != nil {
			return nil, err
		}
		out := like(in[0])
		for i, x := range in[0].num {
			if x == missing || math.IsNaN(x) && math.IsNaN(missing) {
				x = with(i % columns)
			}
			out.num[i] = x
		}
		return out, nil
	}, nil
}

// oneHot makes a column of each category.
func oneHot(n *onnxpb.Node) apply {
	ints, texts := n.Ints("cats_int64s"), n.Strings("cats_strings")
	zeros := n.Int("zeros", 1) != 0
	width := max(len(ints), len(texts))
	return func(in []*value) (*value, error) {
		v := in[0]
		if v.isText() != (texts != nil) {
			return nil, fmt.Errorf("categories of another type than the column: %w", errs.ErrInvalid)
		}
		out, err := numbers(onnxpb.Float32, append(append([]int{}, v.shape...), width)...)
		if err != nil {
			return nil, err
		}
		for i := range v.length() {
			found := false
			for c := range width {
				if texts != nil && bytes.Equal(texts[c], v.str[i]) || texts == nil && math.Trunc(v.num[i]) == float64(ints[c]) {
					out.num[i*width+c], found = 1, true
					break
				}
			}
			if !found && !zeros {
				return nil, fmt.Errorf("a category that the model does not know: %w", errs.ErrInvalid)
			}
		}
		return out, nil
	}
}

// labelEncoder maps keys to values.
func labelEncoder(n *onnxpb.Node) (apply, error) {
	keys, keyElem := labelList(n, "keys")
	values, elem := labelList(n, "values")
	if keys == nil || len(keys) != len(values) {
		return nil, fmt.Errorf("a LabelEncoder with %d keys and %d values: %w", len(keys), len(values), errs.ErrUnsupported)
	}
	places := make(map[string]int, len(keys))
	for i, k := range keys {
		if _, twice := places[k]; !twice {
			places[k] = i
		}
	}
	fallback := "_Unused"
	switch elem {
	case onnxpb.Int64:
		fallback = strconv.FormatInt(n.Int("default_int64", -1), 10)
	case onnxpb.Float32:
		fallback = strconv.FormatFloat(float64(n.Float("default_float", float32(math.Copysign(0, -1)))), 'g', -1, 32)
	default:
		fallback = n.Text("default_string", fallback)
	}
	return func(in []*value) (*value, error) {
		v := in[0]
		if v.isText() != (keyElem == onnxpb.String) {
			return nil, fmt.Errorf("keys of another type than the values looked up: %w", errs.ErrInvalid)
		}
		out := &value{elem: elem, shape: v.shape}
		for i := range v.length() {
			found := fallback
			if at, ok := places[labelKey(v, i)]; ok {
				found = values[at]
			}
			if elem == onnxpb.String {
				out.str = append(out.str, []byte(found))
				continue
			}
			x, err := strconv.ParseFloat(found, 64)
			if err != nil {
				return nil, fmt.Errorf("the label %.20q: %w", found, errs.ErrInvalid)
			}
			out.num = append(out.num, x)
		}
		return out, nil
	}, nil
}

// labelKey is an element as text.
func labelKey(v *value, i int) string {
	switch {
	case v.isText():
		return string(v.str[i])
	case v.elem == onnxpb.Float32:
		return strconv.FormatFloat(v.num[i], 'g', -1, 32)
	}
	return strconv.FormatInt(int64(v.num[i]), 10)
}

func labelList(n *onnxpb.Node, name string) (out []string, elem int64) {
	for _, s := range n.Strings(name + "_strings") {
		out, elem = append(out, string(s)), onnxpb.String
	}
	for _, v := range n.Ints(name + "_int64s") {
		out, elem = append(out, strconv.FormatInt(v, 10)), onnxpb.Int64
	}
	for _, v := range n.Floats(name + "_floats") {
		out, elem = append(out, strconv.FormatFloat(float64(v), 'g', -1, 32)), onnxpb.Float32
	}
	return out, elem
}
