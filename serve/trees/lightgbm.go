package trees

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/cmath"
	"github.com/millwright-ml/millwright/serve/internal/forest"
)

// lightgbm is a LightGBM text file on its way to a forest.
type lightgbm struct {
	lines    *bufio.Scanner
	header   map[string]string
	features int
	outputs  int // trees an iteration
	average  bool
	width    int
	finish   finish[float64]
	builder  *forest.Builder
	words    int // what the sets of categories take so far
	rounds   int // how many are used; 0: all
}

// loadLightGBM makes a model of the text that save_model of LightGBM writes.
func loadLightGBM(data []byte, opts *Options) (*Model, error) {
	l := &lightgbm{lines: bufio.NewScanner(bytes.NewReader(data)), rounds: max(opts.Rounds, 0)}
	// A tree's array is one line.
	l.lines.Buffer(nil, len(data)+1)
	if err := l.readHeader(); err != nil {
		return nil, err
	}
	if err := l.readObjective(opts); err != nil {
		return nil, err
	}
	b, err := forest.NewBuilder(l.features, l.outputs)
	if err != nil {
		return nil, err
	}
	b.RoundTiny()
	l.builder = b
	if err := l.readTrees(); err != nil {
		return nil, err
	}
	if b.Trees()%l.outputs != 0 {
		return nil, fmt.Errorf("%d trees are no whole rounds of %d: %w", b.Trees(), l.outputs, errs.ErrInvalid)
	}
	// The library does not divide the raw sums.
	if l.average && b.Trees() > 0 && !opts.Margin {
		l.divide(float64(b.Trees() / l.outputs))
	}
	f, err := forest.Build[float64](b, nil)
	if err != nil {
		return nil, err
	}
	return newModel(f, l.width, l.finish, "lightgbm", opts), nil
}

// divide has the sums divided by the number of rounds, as a forest's are.
func (l *lightgbm) divide(rounds float64) {
	after := l.finish
	l.finish = func(out, sums []float64) {
		for i := range sums {
			sums[i] /= rounds
		}
		if after != nil {
			after(out, sums)
		} else {
			copy(out, sums)
		}
	}
}

// block reads lines of key=value up to an empty one.
func (l *lightgbm) block() (map[string]string, error) {
	fields := map[string]string{}
	for l.lines.Scan() {
		line := strings.TrimSuffix(l.lines.Text(), "\r")
		if line == "" {
			if len(fields) > 0 {
				break
			}
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		if _, twice := fields[key]; twice {
			return nil, fmt.Errorf("%.40q is there twice: %w", key, errs.ErrInvalid)
		}
		fields[key] = value
		if key == "end of trees" {
			break
		}
	}
	return fields, l.lines.Err()
}

func (l *lightgbm) readHeader() error {
	h, err := l.block()
	if err != nil {
		return err
	}
	l.header = h
	_, isTree := h["tree"]
	_, l.average = h["average_output"]
	features, e1 := strconv.Atoi(h["max_feature_idx"])
	outputs, e2 := strconv.Atoi(h["num_tree_per_iteration"])
	version := h["version"]
	var f errs.Faults
	f.Check(isTree, "it does not begin with \"tree\"")
	f.Check(version == "v3" || version == "v4", "version %.20q is neither v3 nor v4", version)
	f.Check(e1 == nil && features >= 0 && features < forest.MaxFeatures, "max_feature_idx %.20q", h["max_feature_idx"])
	f.Check(e2 == nil && outputs >= 1 && outputs <= forest.MaxOutputs, "num_tree_per_iteration %.20q", h["num_tree_per_iteration"])
	l.features, l.outputs = features+1, outputs
	return f.Err("header")
}

// readObjective finds what turns sums into answers.
func (l *lightgbm) readObjective(opts *Options) error {
	name, params, _ := strings.Cut(strings.TrimSpace(l.header["objective"]), " ")
	slope := 1.0
	root := false
	for word := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(word, ":")
		switch key {
		case "sigmoid":
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || v <= 0 {
				return fmt.Errorf("objective %.60q: %w", l.header["objective"], errs.ErrInvalid)
			}
			slope = v
		case "sqrt":
			root = true
		}
	}
	l.width = l.outputs
	switch name {
	case "", "custom", "none", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg":
	case "regression":
		if root {
			l.finish = each(func(x float64) float64 { return sign(x) * x * x })
		}
	case "binary", "multiclassova":
		l.finish = each(sigmoid64(slope))
	case "multiclass":
		l.finish = softmax64
	case "poisson", "gamma", "tweedie":
		l.finish = each(cmath.Exp)
	case "cross_entropy":
		l.finish = each(sigmoid64(1))
	case "cross_entropy_lambda":
		l.finish = each(log1pExp)
	default:
		return fmt.Errorf("the objective %.60q is not known: %w", name, errs.ErrUnsupported)
	}
	if opts.Margin {
		l.finish = nil
	}
	return nil
}

var errTrees = errors.New("the file ends before its trees do")

func (l *lightgbm) readTrees() error {
	for {
		fields, err := l.block()
		if err != nil {
			return err
		}
		if _, end := fields["end of trees"]; end {
			return nil
		}
		if fields["Tree"] == "" {
			return fmt.Errorf("%w: %w", errTrees, errs.ErrInvalid)
		}
		if l.rounds > 0 && l.builder.Trees() >= l.rounds*l.outputs {
			continue
		}
		if err := l.tree(fields); err != nil {
			return err
		}
	}
}
