package onnx

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
)

// many computes all outputs of an operator.
type many func(in []*value) ([]*value, error)

// compile makes an operator of a node. elems are the types of its inputs as far as
// they are known before a run.
func compile(n *onnxpb.Node, opset int64) (many, error) {
	f, needed, err := core(n, opset)
	if n.Domain == "ai.onnx.ml" {
		f, needed, err = ml(n)
		if f == nil && err == nil {
			return several(n)
		}
	}
	if err != nil {
		return nil, err
	}
	if f == nil {
		name := n.Op
		if n.Domain != "" {
			name = n.Domain + "." + n.Op
		}
		return nil, fmt.Errorf("the operator %.60q: %w", name, errs.ErrUnsupported)
	}
	if len(n.Inputs) < needed || len(n.Outputs) != 1 {
		return nil, fmt.Errorf("%s with %d inputs and %d outputs: %w", n.Op, len(n.Inputs), len(n.Outputs), errs.ErrInvalid)
	}
	return func(in []*value) ([]*value, error) {
		for i := range needed {
			if in[i] == nil {
				return nil, fmt.Errorf("an input is missing: %w", errs.ErrInvalid)
			}
		}
		out, err := f(in)
		return []*value{out}, err
	}, nil
}

// onNumbers refuses texts, which arithmetic has no use for.
func onNumbers(f apply) apply {
	return func(in []*value) (*value, error) {
		for _, v := range in {
			if v != nil && v.isText() {
				return nil, fmt.Errorf("text where numbers belong: %w", errs.ErrInvalid)
			}
		}
		return f(in)
	}
}

// core finds an operator of ONNX's own. nil is an unknown one.
func core(n *onnxpb.Node, opset int64) (f apply, inputs int, err error) {
	arith := map[string]func(a, b float64) float64{
		"Add": func(a, b float64) float64 { return a + b }, "Sub": func(a, b float64) float64 { return a - b },
		"Mul": func(a, b float64) float64 { return a * b }, "Pow": math.Pow,
	}
	functions := map[string]func(float64) float64{
		"Relu": func(x float64) float64 { return max(x, 0) }, "Sigmoid": sigmoid, "Tanh": math.Tanh, "Exp": math.Exp,
		"Log": math.Log, "Sqrt": math.Sqrt, "Neg": func(x float64) float64 { return -x }, "Abs": math.Abs,
		"Reciprocal": func(x float64) float64 { return 1 / x }, "Floor": math.Floor, "Ceil": math.Ceil,
	}
	if g := arith[n.Op]; g != nil {
		return onNumbers(binary(g)), 2, nil
	}
	if g := functions[n.Op]; g != nil {
		return onNumbers(unary(g)), 1, nil
	}
	axis := func(fallback int64) int { return int(max(-64, min(64, n.Int("axis", fallback)))) }
	switch n.Op {
	case "Div":
		return onNumbers(func(in []*value) (*value, error) { return binary(divide(in[0].elem))(in) }), 2, nil
	case "Identity":
		return func(in []*value) (*value, error) { return in[0], nil }, 1, nil
	case "Cast":
		f, err := cast(n.Int("to", 0))
		return f, 1, err
	case "Concat":
		return concat(axis(1)), len(n.Inputs), nil
	case "Gather":
		return gather(axis(0)), 2, nil
	case "Gemm":
		return onNumbers(gemm(n)), 2, nil
	case "MatMul":
		return onNumbers(matmul), 2, nil
	case "Softmax", "LogSoftmax":
		fallback := int64(-1)
		if opset < 13 {
			fallback = 1
		}
		return onNumbers(func(in []*value) (*value, error) {
			return softmax(in[0], axis(fallback), opset < 13, n.Op == "LogSoftmax")
		}), 1, nil
	case "ArgMax":
		return onNumbers(argmax(axis(0), n.Int("keepdims", 1) != 0, n.Int("select_last_index", 0) != 0)), 1, nil
	case "Reshape":
		return reshape(n.Int("allowzero", 0) != 0), 2, nil
	case "Flatten":
		return flatten(axis(1)), 1, nil
	}
	return nil, 0, nil
}

// ml finds an operator of ONNX-ML with one output. nil is an unknown one.
func ml(n *onnxpb.Node) (f apply, inputs int, err error) {
	switch n.Op {
	case "Scaler":
		return onNumbers(scaler(n)), 1, nil
	case "Normalizer":
		f, err = normalizer(n.Text("norm", "MAX"))
		return onNumbers(f), 1, err
	case "Imputer":
		f, err = imputer(n)
		return onNumbers(f), 1, err
	case "OneHotEncoder":
		return oneHot(n), 1, nil
	case "LabelEncoder":
		f, err = labelEncoder(n)
		return f, 1, err
	case "ArrayFeatureExtractor":
		return features, 2, nil
	case "Binarizer":
		limit := float64(n.Float("threshold", 0))
		return onNumbers(unary(func(x float64) float64 { return truth(x > limit) })), 1, nil
	case "LinearRegressor":
		post, err := postTransform(n.Text("post_transform", "NONE"))
		if err != nil {
			return nil, 0, err
		}
		f := linear(n.Floats("coefficients"), n.Floats("intercepts"), int(min(n.Int("targets", 1), maxElements)))
		return onNumbers(func(in []*value) (*value, error) {
			v, err := f(in)
			if err != nil {
				return nil, err
			}
			return post(v)
		}), 1, nil
	}
	return nil, 0, nil
}
