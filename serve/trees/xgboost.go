package trees

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/cmath"
	"github.com/millwright-ml/millwright/serve/internal/forest"
	"github.com/millwright-ml/millwright/serve/internal/modeldoc"
)

// xgboost is an XGBoost model on its way to a forest.
type xgboost struct {
	learner  *modeldoc.Value
	booster  *modeldoc.Value // the gbtree inside the booster
	weights  []float32       // dart's, one a tree
	features int
	outputs  int
	base     []float64 // in the space of the sums
	trees    []modeldoc.Value
	info     []int32 // the output of each tree
	used     int     // how many trees are used
	width    int     // numbers answered for a row
	finish   finish[float32]
	words    int // what the sets of categories take so far
}

// loadXGBoost makes a model of a JSON or UBJSON document of XGBoost.
func loadXGBoost(doc *modeldoc.Value, opts *Options) (*Model, error) {
	x := &xgboost{learner: doc.Get("learner")}
	for _, step := range []func(*Options) error{x.readBooster, x.readSizes, x.readObjective, x.readRounds} {
		if err := step(opts); err != nil {
			return nil, err
		}
	}
	b, err := forest.NewBuilder(x.features, x.outputs)
	if err != nil {
		return nil, err
	}
	for i := range x.used {
		if err := x.tree(b, i); err != nil {
			return nil, err
		}
	}
	f, err := forest.Build[float32](b, &forest.Options{Init: x.base})
	if err != nil {
		return nil, err
	}
	return newModel(f, x.width, x.finish, "xgboost", opts), nil
}

func (x *xgboost) readBooster(*Options) error {
	gb := x.learner.Get("gradient_booster")
	switch name := gb.Get("name").Text(); name {
	case "gbtree":
		x.booster = gb.Get("model")
	case "dart":
		x.booster = gb.Get("gbtree", "model")
		w, err := gb.Get("weight_drop").Floats32()
		if err != nil {
			return fmt.Errorf("dart's weights: %w: %w", err, errs.ErrInvalid)
		}
		x.weights = w
	case "gblinear":
		return fmt.Errorf("the booster gblinear has no trees: %w", errs.ErrUnsupported)
	default:
		return fmt.Errorf("the booster %.40q is none of gbtree, dart: %w", name, errs.ErrInvalid)
	}
	x.trees = x.booster.Get("trees").Items()
	info, err := x.booster.Get("tree_info").Ints()
	if err != nil {
		return fmt.Errorf("tree_info: %w: %w", err, errs.ErrInvalid)
	}
	x.info, x.used = info, len(x.trees)
	var f errs.Faults
	f.Check(len(info) == len(x.trees), "tree_info has %d entries for %d trees", len(info), len(x.trees))
	f.Check(x.weights == nil || len(x.weights) == len(x.trees), "weight_drop has %d entries for %d trees", len(x.weights), len(x.trees))
	return f.Err("booster")
}

func (x *xgboost) readSizes(*Options) error {
	param := x.learner.Get("learner_model_param")
	get := func(name string, least int64) int64 {
		if v := param.Get(name); v.Has() {
			if n, err := v.Int(); err == nil {
				return max(n, least)
			}
			return -1
		}
		return least
	}
	features, classes, targets := get("num_feature", 0), get("num_class", 1), get("num_target", 1)
	var f errs.Faults
	f.Check(features >= 0 && features <= forest.MaxFeatures, "num_feature %d", features)
	f.Check(classes >= 1 && classes <= forest.MaxOutputs, "num_class %d", classes)
	f.Check(targets >= 1 && targets <= forest.MaxOutputs, "num_target %d", targets)
	if err := f.Err("learner_model_param"); err != nil {
		return err
	}
	x.features, x.outputs = int(features), int(max(classes, targets))
	return x.readBase(param.Get("base_score").Text())
}

// readBase reads the base score: one number, or since version 3.1 a list of them.
func (x *xgboost) readBase(text string) error {
	var list []float32
	for word := range strings.SplitSeq(strings.Trim(text, "[]"), ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(word), 32)
		if err != nil || math.IsNaN(v) {
			return fmt.Errorf("base_score %.40q: %w", text, errs.ErrInvalid)
		}
		list = append(list, float32(v))
	}
	if len(list) != 1 && len(list) != x.outputs {
		return fmt.Errorf("base_score has %d numbers for %d outputs: %w", len(list), x.outputs, errs.ErrInvalid)
	}
	x.base = make([]float64, x.outputs)
	for i := range x.base {
		x.base[i] = float64(list[i%len(list)])
	}
	return nil
}

// readObjective finds what turns sums into answers, and turns the base score
// into a sum: the file has it as an answer.
func (x *xgboost) readObjective(opts *Options) error {
	name := x.learner.Get("objective", "name").Text()
	link := func(v float32) float32 { return v }
	x.width, x.finish = x.outputs, nil
	switch name {
	case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
		"reg:quantileerror", "rank:pairwise", "rank:ndcg", "rank:map":
	case "binary:logitraw": // Its base score is a sum as it is.
	case "reg:logistic", "binary:logistic":
		link, x.finish = func(v float32) float32 { return -cmath.Log32(1/v - 1) }, each(sigmoid32)
	case "binary:hinge":
		x.finish = each(func(v float32) float32 {
			if v > 0 {
				return 1
			}
			return 0
		})
	case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox":
		link, x.finish = cmath.Log32, each(cmath.Exp32)
	case "survival:aft":
		link, x.finish = cmath.Log32, each(func(v float32) float32 { return float32(cmath.Exp(float64(v))) })
	case "multi:softprob":
		x.finish = softmax32
	case "multi:softmax":
		x.finish, x.width = argmax[float32], 1
	default:
		return fmt.Errorf("the objective %.60q is not known: %w", name, errs.ErrUnsupported)
	}
	for i, v := range x.base {
		x.base[i] = float64(link(float32(v)))
	}
	if opts.Margin {
		x.width, x.finish = x.outputs, nil
	}
	return nil
}

// readRounds limits the trees to the rounds that are asked for.
func (x *xgboost) readRounds(opts *Options) error {
	rounds := int64(opts.Rounds)
	if rounds == 0 {
		if best := x.learner.Get("attributes", "best_iteration"); best.Has() {
			n, err := best.Int()
			if err != nil || n < 0 {
				return fmt.Errorf("best_iteration %.20q: %w", best.Text(), errs.ErrInvalid)
			}
			rounds = n + 1
		}
	}
	if rounds <= 0 {
		return nil
	}
	if starts := x.booster.Get("iteration_indptr"); starts.Has() {
		ptr, err := starts.Ints()
		if err != nil {
			return fmt.Errorf("iteration_indptr: %w: %w", err, errs.ErrInvalid)
		}
		if rounds < int64(len(ptr)) {
			end := int(ptr[rounds])
			if end < 0 || end > len(x.trees) {
				return fmt.Errorf("round %d ends at tree %d of %d: %w", rounds, end, len(x.trees), errs.ErrInvalid)
			}
			x.used = end
		}
		return nil
	}
	parallel, err := x.booster.Get("gbtree_model_param", "num_parallel_tree").Int()
	if err != nil || parallel < 1 || parallel > 1<<20 {
		parallel = 1
	}
	if trees := parallel * int64(x.outputs); rounds < int64(len(x.trees))/trees {
		x.used = int(rounds * trees)
	}
	return nil
}
