package trees_test

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/trees"
)

// file reads a model of a library's cases.
func file(t *testing.T, library, name string) []byte {
	t.Helper()
	z, err := zip.OpenReader("testdata/" + library + ".zip")
	require.NoError(t, err)
	defer func() { _ = z.Close() }() // Only read.
	data, err := fs.ReadFile(z, name)
	require.NoError(t, err)
	return data
}

// A file that ends early is refused, wherever it ends, and one with a byte changed
// is refused or answers.
func TestTruncatedAndChanged(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"xgboost", "aft/model.json"}, {"xgboost", "deep/model.ubj"}, {"lightgbm", "binary/model.txt"},
		{"catboost", "huber/model.json"}, {"onnx", "boosting_regressor/model.onnx"},
	} {
		t.Run(c[0]+"/"+c[1], func(t *testing.T) {
			t.Parallel()
			data := file(t, c[0], c[1])
			_, err := trees.Parse(data, nil)
			require.NoError(t, err)
			const cuts = 97
			for i := range cuts {
				// LightGBM's file ends with notes that nobody needs.
				short := data[:len(data)*i/(cuts+cuts/2)]
				_, err := trees.Parse(short, nil)
				require.Error(t, err, "%d of %d bytes", len(short), len(data))
			}
			for i := range 200 {
				changed := bytes.Clone(data)
				changed[len(data)*i/200] ^= byte(1 + i)
				hostile(t, changed)
			}
		})
	}
}

// What a file claims is checked before memory is taken for it.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ library, file, what, find, put string }{
		{"xgboost", "aft/model.json", "a tree that is its own child", `"left_children":\[\d+`, `"left_children":[0`},
		{"xgboost", "aft/model.json", "a child outside", `"left_children":\[\d+`, `"left_children":[1000000000`},
		{"xgboost", "aft/model.json", "a child shared", `"right_children":\[\d+`, `"right_children":[1`},
		{"xgboost", "aft/model.json", "no number to test", `"split_conditions":\[[^,\]]+`, `"split_conditions":[NaN`},
		{"xgboost", "aft/model.json", "10^9 features", `"num_feature":"\d+","num_target"`, `"num_feature":"1000000000","num_target"`},
		{"xgboost", "aft/model.json", "a feature outside", `"split_indices":\[\d+`, `"split_indices":[1000000000`},
		{"xgboost", "aft/model.json", "too few conditions", `"split_conditions":\[[^\]]+\]`, `"split_conditions":[1]`},
		{"lightgbm", "binary/model.txt", "a tree that is its own child", `left_child=\d+`, `left_child=0`},
		{"lightgbm", "binary/model.txt", "a child outside", `left_child=\d+`, `left_child=1000000000`},
		{"lightgbm", "binary/model.txt", "a leaf outside", `left_child=\d+`, `left_child=-1000000000`},
		{"lightgbm", "binary/model.txt", "no number to test", `threshold=[^ ]+`, `threshold=nan`},
		{"lightgbm", "binary/model.txt", "10^9 features", `max_feature_idx=\d+`, `max_feature_idx=1000000000`},
		{"lightgbm", "binary/model.txt", "10^9 leaves", `num_leaves=\d+`, `num_leaves=1000000000`},
		{"lightgbm", "binary/model.txt", "10^9 trees a round", `num_tree_per_iteration=\d+`, `num_tree_per_iteration=1000000000`},
		{"catboost", "huber/model.json", "no number to test", `"border":\s*[^,}\s]+`, `"border":NaN`},
		{"catboost", "huber/model.json", "a feature of nobody's", `"float_feature_index":\s*\d+`, `"float_feature_index":1000000000`},
		{"catboost", "huber/model.json", "10^9 features", `"flat_feature_index":\s*\d+`, `"flat_feature_index":1000000000`},
		{"catboost", "huber/model.json", "too few leaves", `"leaf_values":\s*\[[^\]]+\]`, `"leaf_values":[1]`},
		{"catboost", "huber/model.json", "a leaf that is no number", `"leaf_values":\s*\[[^,\]]+`, `"leaf_values":[NaN`},
	} {
		t.Run(c.library+"/"+c.what, func(t *testing.T) {
			t.Parallel()
			data := file(t, c.library, c.file)
			at := regexp.MustCompile(c.find).FindIndex(data)
			require.NotNil(t, at, "the file has no %s", c.find)
			changed := append(append(bytes.Clone(data[:at[0]]), c.put...), data[at[1]:]...)
			require.NotEqual(t, data, changed)
			_, err := trees.Parse(changed, nil)
			require.ErrorIs(t, err, trees.ErrInvalid)
		})
	}
}
