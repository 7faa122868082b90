package trees

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/cmath"
	"github.com/millwright-ml/millwright/serve/internal/forest"
	"github.com/millwright-ml/millwright/serve/internal/modeldoc"
)

// catboost is a CatBoost model on its way to a forest.
type catboost struct {
	doc      *modeldoc.Value
	floats   map[int64]catColumn // by float_feature_index
	cats     map[int64]int       // columns by cat_feature_index
	names    map[int32]float64   // the whole numbers behind hashes of categories
	features int
	outputs  int
	scale    float64
	bias     []float64
	finish   finish[float64]
}

// catColumn is a numeric feature.
type catColumn struct {
	column  int
	missing forest.Missing
}

// loadCatBoost makes a model of a JSON document of CatBoost.
func loadCatBoost(doc *modeldoc.Value, opts *Options) (*Model, error) {
	c := &catboost{doc: doc, floats: map[int64]catColumn{}, cats: map[int64]int{}, names: map[int32]float64{}}
	for _, step := range []func() error{c.readFeatures, c.readNames, c.readScale} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if err := c.readLoss(opts); err != nil {
		return nil, err
	}
	b, err := forest.NewBuilder(c.features, c.outputs)
	if err != nil {
		return nil, err
	}
	trees, add := doc.Get("oblivious_trees").Items(), c.oblivious
	if !doc.Get("oblivious_trees").Has() {
		trees, add = doc.Get("trees").Items(), c.nested
	}
	if opts.Rounds > 0 {
		trees = trees[:min(opts.Rounds, len(trees))]
	}
	for i := range trees {
		if err := add(b, &trees[i]); err != nil {
			return nil, fmt.Errorf("tree %d: %w", i, err)
		}
	}
	f, err := forest.Build[float64](b, &forest.Options{Round32: true})
	if err != nil {
		return nil, err
	}
	m := newModel(f, c.outputs, c.finish, "catboost", opts)
	return m.narrow(), nil
}

// readFeatures finds the columns of the features.
func (c *catboost) readFeatures() error {
	info := c.doc.Get("features_info")
	for _, kind := range []string{"text_features", "embedding_features"} {
		if len(info.Get(kind).Items()) > 0 {
			return fmt.Errorf("it has %s: %w", kind, errs.ErrUnsupported)
		}
	}
	column := func(v *modeldoc.Value) (index int64, at int, err error) {
		index, e1 := v.Get("feature_index").Int()
		flat, e2 := v.Get("flat_feature_index").Int()
		if e1 != nil || e2 != nil || index < 0 || flat < 0 || flat >= forest.MaxFeatures {
			return 0, 0, fmt.Errorf("features_info: a feature without a place: %w", errs.ErrInvalid)
		}
		c.features = max(c.features, int(flat)+1)
		return index, int(flat), nil
	}
	list := info.Get("float_features").Items()
	for i := range list {
		index, at, err := column(&list[i])
		if err != nil {
			return err
		}
		// The comparison is x > border, and what it is false for goes left.
		missing := forest.Left
		if list[i].Get("nan_value_treatment").Text() == "AsTrue" {
			missing = forest.Right
		}
		c.floats[index] = catColumn{at, missing}
	}
	list = info.Get("categorical_features").Items()
	for i := range list {
		index, at, err := column(&list[i])
		if err != nil {
			return err
		}
		c.cats[index] = at
	}
	return nil
}

// readNames reads which category is behind a hash. Rows are numbers here, so that
// only whole numbers can be met.
func (c *catboost) readNames() error {
	list := c.doc.Get("features_info", "cat_features_hash").Items()
	for i := range list {
		hash, err := list[i].Get("hash").Int()
		if err != nil || hash < math.MinInt32 || hash > math.MaxUint32 {
			return fmt.Errorf("cat_features_hash: no hash: %w", errs.ErrInvalid)
		}
		v, err := list[i].Get("value").Int()
		if err != nil {
			return fmt.Errorf("the category %.40q is no whole number: %w", list[i].Get("value").Text(), errs.ErrUnsupported)
		}
		c.names[int32(uint32(hash))] = float64(v)
	}
	return nil
}

// readScale reads what the sums are multiplied with and what is added then.
func (c *catboost) readScale() error {
	c.scale = 1
	pair := c.doc.Get("scale_and_bias")
	if pair.Kind() == modeldoc.Numbers { // Before version 1: one bias.
		v, err := pair.Floats64()
		if err != nil || len(v) != 2 {
			return fmt.Errorf("scale_and_bias: %w", errs.ErrInvalid)
		}
		c.scale, c.bias = v[0], v[1:]
	} else if items := pair.Items(); len(items) == 2 {
		scale, e1 := items[0].Float()
		bias, e2 := items[1].Floats64()
		if e1 != nil || e2 != nil {
			return fmt.Errorf("scale_and_bias: %w", errs.ErrInvalid)
		}
		c.scale, c.bias = scale, bias
	} else {
		return fmt.Errorf("scale_and_bias is missing: %w", errs.ErrInvalid)
	}
	c.outputs = max(1, len(c.bias))
	c.bias = append(make([]float64, 0, c.outputs), c.bias...)
	if len(c.bias) == 0 {
		c.bias = append(c.bias, 0)
	}
	for _, v := range append([]float64{c.scale}, c.bias...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("scale_and_bias has %v: %w", v, errs.ErrInvalid)
		}
	}
	return nil
}

// readLoss finds what turns sums into answers.
func (c *catboost) readLoss(opts *Options) error {
	name := c.doc.Get("model_info", "params", "loss_function", "type").Text()
	var after finish[float64]
	switch name {
	case "Logloss", "CrossEntropy", "MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy":
		after = each(sigmoid64(1))
	case "MultiClass":
		after = softmax64
	case "Poisson", "Tweedie":
		after = each(cmath.Exp)
	case "RMSEWithUncertainty":
		if c.outputs != 2 {
			return fmt.Errorf("%s has %d outputs: %w", name, c.outputs, errs.ErrInvalid)
		}
		after = func(out, sums []float64) { out[0], out[1] = sums[0], cmath.Exp(2*sums[1]) }
	}
	if opts.Margin {
		after = nil
	}
	scale, bias := c.scale, c.bias
	identity := scale == 1
	for _, v := range bias {
		identity = identity && v == 0
	}
	c.finish = after
	if identity {
		return nil
	}
	c.finish = func(out, sums []float64) {
		for i, v := range sums {
			out[i] = float64(v*scale) + bias[i]
		}
		if after != nil {
			after(out, out[:len(sums)])
		}
	}
	return nil
}

// split describes a test; what it is true for goes right, or left if flipped.
func (c *catboost) split(b *forest.Builder, node *forest.Node, v *modeldoc.Value) (flipped bool, err error) {
	switch kind := v.Get("split_type").Text(); kind {
	case "FloatFeature":
		index, e1 := v.Get("float_feature_index").Int()
		border, e2 := v.Get("border").Float()
		column, known := c.floats[index]
		if e1 != nil || e2 != nil || !known || math.IsNaN(border) || math.Abs(border) > math.MaxFloat32 {
			return false, fmt.Errorf("a split of no feature: %w", errs.ErrInvalid)
		}
		node.Threshold = forest.Above32(float32(border))
		node.Slot, err = b.Numeric(column.column, column.missing)
		return false, err
	case "OneHotFeature":
		index, e1 := v.Get("cat_feature_index").Int()
		hash, e2 := v.Get("value").Int()
		column, known := c.cats[index]
		if e1 != nil || e2 != nil || !known || hash < math.MinInt32 || hash > math.MaxUint32 {
			return false, fmt.Errorf("a split of no category: %w", errs.ErrInvalid)
		}
		category, known := c.names[int32(uint32(hash))]
		if !known {
			return false, fmt.Errorf("the file does not say which category is behind a hash: save_model needs the pool: %w", errs.ErrUnsupported)
		}
		node.Slot, err = b.Equal(column, category)
		return true, err
	default:
		return false, fmt.Errorf("the split %.40q (statistics of categories): %w", kind, errs.ErrUnsupported)
	}
}
