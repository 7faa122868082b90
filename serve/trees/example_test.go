package trees_test

import (
	"fmt"
	"log"
	"math"
	"testing/fstest"

	"github.com/millwright-ml/millwright/serve/trees"
)

// stump is a model of XGBoost with one split: is the first feature less than 2?
const stump = `{"learner": {
	"attributes": {}, "feature_names": [], "feature_types": [],
	"gradient_booster": {"name": "gbtree", "model": {
		"gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1"},
		"tree_info": [0],
		"trees": [{
			"id": 0, "left_children": [1, -1, -1], "right_children": [2, -1, -1],
			"split_indices": [0, 0, 0], "split_conditions": [2, -0.5, 1.5], "default_left": [1, 0, 0],
			"split_type": [0, 0, 0], "tree_param": {"num_nodes": "3", "size_leaf_vector": "1"}
		}]
	}},
	"learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "2", "num_target": "1"},
	"objective": {"name": "binary:logistic"}
}, "version": [3, 2, 0]}`

func Example() {
	files := fstest.MapFS{"model.json": {Data: []byte(stump)}}
	model, err := trees.Load(files, nil)
	if err != nil {
		log.Fatal(err)
	}
	rows := []float64{
		1, 0, // less than 2
		3, 0,
		math.NaN(), 0, // missing goes left here
	}
	answers := make([]float64, 3*model.Outputs())
	model.Predict(answers, rows)
	fmt.Printf("%.4f\n", answers)
	// Output: [0.3775 0.8176 0.3775]
}

func ExampleOptions() {
	model, err := trees.Parse([]byte(stump), &trees.Options{Margin: true})
	if err != nil {
		log.Fatal(err)
	}
	sums := make([]float64, 1)
	model.Predict(sums, []float64{3, 0})
	fmt.Println(sums)
	// Output: [1.5]
}
