package registry_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// mlmodels are folders that MLflow 3.17.2 wrote: testdata/mlmodel/<name>. For
// pytorch its save_model had a stand-in for torch, which is too large to install.
func mlmodels(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob("testdata/mlmodel/*/MLmodel")
	require.NoError(t, err)
	require.NotEmpty(t, list)
	for i := range list {
		list[i] = filepath.Base(filepath.Dir(list[i]))
	}
	return list
}

func readMLmodel(t testing.TB, name string) (*registry.MLmodel, fs.FS) {
	t.Helper()
	files := os.DirFS(filepath.Join("testdata", "mlmodel", name))
	m, err := registry.ReadMLmodel(files)
	require.NoError(t, err, name)
	return m, files
}

func TestMLmodelOfUpstream(t *testing.T) {
	t.Parallel()
	type want struct{ framework, flavor, signature, example, params string }
	frame := `{"inputs":[{"name":"amount","datatype":"FP64","shape":[-1,1]},{"name":"count of items","datatype":"INT64","shape":[-1,1]},` +
		`{"name":"%","datatype":"FP32","shape":[-1,1]}],"outputs":[{"name":"output-0","datatype":"FP64","shape":[-1]}]}`
	matrix := `{"inputs":[{"name":"input-0","datatype":"FP64","shape":[-1,3]}],"outputs":[{"name":"output-0","datatype":"FP64","shape":[-1]}]}`
	text := `{"name":"%","datatype":"BYTES","shape":[-1,1]}`
	dict := `{"name":"question","datatype":"BYTES","shape":[-1,1]},{"name":"ids","datatype":"array(long)","shape":[-1,1]},` +
		`{"name":"deep","datatype":"object(a: array(double))","shape":[-1,1]}`
	odd := `{"name":"t","datatype":"datetime","shape":[-1,1]},{"name":"s","datatype":"BYTES","shape":[-1,1],"optional":true},` +
		`{"name":"b","datatype":"BOOL","shape":[-1,1]},{"name":"f","datatype":"FP64","shape":[-1,1],"optional":true},` +
		`{"name":"bytes","datatype":"BYTES","shape":[-1,1]}`
	tensors := `{"name":"x","datatype":"FP32","shape":[-1,2]},{"name":"y","datatype":"INT64","shape":[-1]}`
	wants := map[string]want{
		"sklearn-bare":    {"sklearn 1.9.1", "sklearn-skops", "", "", ""},
		"sklearn-columns": {"sklearn 1.9.1", "sklearn-skops", strings.ReplaceAll(frame, "%", "größe"), `{"columns":["amount","count of items","größe"],"data":[[0.5118216247002567,1,1.0],[0.9504636963259353,2,2.0]]}`, ""},
		"sklearn-tensor":  {"sklearn 1.9.1", "sklearn-skops", matrix, `[[0.5118216247002567,1.0,1.0],[0.9504636963259353,2.0,2.0]]`, ""},
		"sklearn-logged":  {"sklearn 1.9.1", "sklearn-skops", matrix, `[[0.5118216247002567,1.0,1.0],[0.9504636963259353,2.0,2.0]]`, ""},
		"sklearn-sparse":  {"sklearn 1.9.1", "sklearn-skops", matrix, "*", ""},
		"xgboost":         {"xgboost 3.2.0", "xgboost-ubj", strings.ReplaceAll(frame, "%", "size"), `{"columns":["amount","count of items","size"],"data":[[0.5118216247002567,1,1.0]]}`, ""},
		"lightgbm":        {"lightgbm 4.7.0", "lightgbm-skops", strings.ReplaceAll(frame, "%", "size"), "", ""},
		"onnx":            {"onnx 1.23.2", "onnx", `{"inputs":[{"name":"x","datatype":"FP32","shape":[-1,2]}],"outputs":[{"name":"y","datatype":"FP32","shape":[-1,2]}]}`, "", ""},
		"pytorch": {"pytorch 2.9.1+cpu", "pytorch", `{"inputs":[{"name":"image","datatype":"FP32","shape":[-1,3]}],"outputs":[{"name":"output-0","datatype":"FP32","shape":[-1,2]}]}`,
			`[[1.0,1.0,1.0],[1.0,1.0,1.0]]`, ""},
		"pyfunc-types": {"python 3.11.7", "python_function", `{"inputs":[{"name":"q","datatype":"BYTES","shape":[-1,1]},{"name":"at","datatype":"datetime","shape":[-1,1]},` +
			`{"name":"blob","datatype":"BYTES","shape":[-1,1]},{"name":"flag","datatype":"BOOL","shape":[-1,1],"optional":true},{"name":"i","datatype":"INT32","shape":[-1,1]},` +
			`{"name":"l","datatype":"INT64","shape":[-1,1]},{"name":"f","datatype":"FP32","shape":[-1,1]},{"name":"arr","datatype":"array(double)","shape":[-1,1]},` +
			`{"name":"arr2","datatype":"array(array(string))","shape":[-1,1]},{"name":"obj","datatype":"object(n?: long, role: string)","shape":[-1,1]},` +
			`{"name":"map","datatype":"map(string)","shape":[-1,1]},{"name":"any","datatype":"any","shape":[-1,1]}],` +
			`"outputs":[{"name":"output-0","datatype":"BYTES","shape":[-1,1]}],` +
			`"parameters":[{"name":"temperature","datatype":"FP64","default":0.5},{"name":"stop","datatype":"BYTES","default":["a","b"],"shape":[-1]},` +
			`{"name":"n","datatype":"INT64","default":3},{"name":"when","datatype":"datetime","default":"2024-01-02T03:04:05"},{"name":"on","datatype":"BOOL","default":true}]}`, "", ""},
		"pyfunc-tensors": {"python 3.11.7", "python_function", `{"inputs":[{"name":"image","datatype":"FP32","shape":[-1,28,28,1]},{"name":"rgb","datatype":"UINT8","shape":[-1,3]},` +
			`{"name":"text","datatype":"BYTES","shape":[-1]},{"name":"obj","datatype":"BYTES","shape":[-1]},{"name":"b","datatype":"BOOL","shape":[-1]},` +
			`{"name":"c","datatype":"complex128","shape":[-1]}],"outputs":[{"name":"output-0","datatype":"INT64","shape":[-1]}]}`, "", ""},
		"pyfunc-dict-example":         {"python 3.11.7", "python_function", `{"inputs":[` + dict + `],"outputs":[` + dict + `]}`, `{"question":"what?","ids":[1,2,3],"deep":{"a":[1.5,null]}}`, ""},
		"pyfunc-frame-odd":            {"python 3.11.7", "python_function", `{"inputs":[` + odd + `],"outputs":[` + odd + `]}`, `{"columns":["t","s","b","f","bytes"],"data":[["2024-01-02T00:00:00","a",true,1.0,"YWI=\n"],["2024-01-03T00:00:00",null,false,null,"/w==\n"]]}`, ""},
		"pyfunc-hints":                {"python 3.11.7", "python_function", `{"inputs":[` + strings.ReplaceAll(text, "%", "input-0") + `],"outputs":[` + strings.ReplaceAll(text, "%", "output-0") + `]}`, `["x"]`, ""},
		"pyfunc-params-example":       {"python 3.11.7", "python_function", `{"inputs":[` + strings.ReplaceAll(text, "%", "input-0") + `],"outputs":[` + strings.ReplaceAll(text, "%", "0") + `],"parameters":[{"name":"temperature","datatype":"FP64","default":0.25},{"name":"stop","datatype":"BYTES","default":["x"],"shape":[-1]}]}`, `["a text","another"]`, `{"temperature": 0.25, "stop": ["x"]}`},
		"pyfunc-tensors-dict-example": {"python 3.11.7", "python_function", `{"inputs":[` + tensors + `],"outputs":[` + tensors + `]}`, `{"x":[[1.0,2.0]],"y":[1]}`, ""},
		"pyfunc-resources":            {"python 3.11.7", "python_function", "", "", ""},
	}
	require.Len(t, mlmodels(t), len(wants))
	for _, name := range mlmodels(t) {
		m, files := readMLmodel(t, name)
		var d registry.Draft
		require.NoError(t, m.Fill(&d), name)
		inputs, params, err := m.ReadExample(files)
		require.NoError(t, err, name)
		w := wants[name]
		require.Equal(t, w.framework, d.Framework, name)
		require.Equal(t, w.flavor, d.Flavor, name)
		require.Equal(t, w.signature, string(d.Signature), name)
		if w.example == "*" {
			require.NotEmpty(t, inputs)
			w.example = string(inputs)
		}
		if w.example == "" {
			require.Empty(t, inputs, name)
		} else {
			require.JSONEq(t, w.example, string(inputs), name)
		}
		require.Equal(t, w.params, string(params), name)
		require.Equal(t, "3.17.2", m.MLflowVersion, name)
		require.WithinDuration(t, time.Date(2026, 11, 21, 19, 0, 0, 0, time.UTC), m.Created, 4*time.Hour, name)
		require.Positive(t, m.Size, name)
	}
}

func TestMLmodelLogged(t *testing.T) {
	t.Parallel()
	m, _ := readMLmodel(t, "sklearn-logged")
	require.True(t, strings.HasPrefix(m.ModelID, "m-"))
	require.Len(t, m.RunID, 32)
	require.Equal(t, "/srv/mlruns/0/models/"+m.ModelID+"/artifacts", m.ArtifactPath)
	require.Equal(t, "python_function", m.Flavors[0].Name)
	require.Equal(t, "sklearn", m.Native().Name)
	require.Equal(t, "model.skops", m.Native().Data)
	require.JSONEq(t, `{"team":"risk","text":"two\nlines: with 'quotes' and \"more\" # no comment","long":"`+strings.Repeat("word ", 60)+`",
		"empty":"","nul":null,"yes":"yes","n":3,"f":1.5,"no":false,"list":[1,"a",{"b":[]}],"ümlaut":"größe ☃ 🌲","k: v":"- x","`+strings.Repeat("x", 140)+`":"long key"}`, string(m.Metadata))

	// What the caller set stays.
	d := registry.Draft{Framework: "mine", Signature: json.RawMessage(`{}`)}
	require.NoError(t, m.Fill(&d))
	require.Equal(t, registry.Draft{Framework: "mine", Signature: json.RawMessage(`{}`), Flavor: "sklearn-skops", Run: m.RunID, LoggedModel: m.ModelID}, d)

	m, _ = readMLmodel(t, "pyfunc-resources")
	require.JSONEq(t, `{"shared":["a","b"],"again":["a","b"]}`, string(m.Metadata))
}

// The documents were written by PyYAML and are what it reads back.
func TestMLmodelYAML(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/mlmodel/pyyaml.json")
	require.NoError(t, err)
	var cases []struct {
		YAML string
		Want json.RawMessage
	}
	require.NoError(t, json.Unmarshal(text, &cases))
	require.Greater(t, len(cases), 100)
	for _, c := range cases {
		m, err := registry.ParseMLmodel([]byte(c.YAML))
		require.NoError(t, err, c.YAML)
		require.JSONEq(t, string(c.Want), string(m.Metadata), c.YAML)
	}
}

func TestMLmodelByHand(t *testing.T) {
	t.Parallel()
	m, err := registry.ParseMLmodel([]byte(strings.ReplaceAll("\ufeff# by hand\n"+`---
utc_time_created: 2024-05-06T07:08:09Z # plain
mlflow_version: 2.10
flavors: {pytorch: {model_data: data, pytorch_version: 2.4.1+cpu,}, "python_function": {env: 'conda.yaml'}}
signature:
    inputs:
    - {name: x, type: tensor, tensor-spec: {dtype: float32, shape: [-1, 2]}}
    -   name: "y"
        type: double
        optional: true
    outputs: null
metadata:
  literal: |
    a: b
      c

    d
  folded: >-
    one
    two

    three
  kept: |+
    x

  plain: several
    lines of

    text # comment
  nested:
  - - 1
    - [2, 3,
       {four: 5}]
  -
    a: 1
  - # nothing
  dates: 2024-01-02
...
`, "\n", "\r\n")))
	require.NoError(t, err)
	require.Equal(t, "2.1", m.MLflowVersion, "as PyYAML reads a number that nobody quoted")
	require.Equal(t, time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC), m.Created)
	require.Equal(t, "pytorch", m.Native().Name)
	require.Equal(t, `{"inputs":[{"name":"x","datatype":"FP32","shape":[-1,2]},{"name":"y","datatype":"FP64","shape":[-1,1],"optional":true}],"outputs":[]}`, string(m.Signature()))
	require.JSONEq(t, `{"literal":"a: b\n  c\n\nd\n","folded":"one two\nthree","kept":"x\n\n","plain":"several lines of\ntext",
		"nested":[[1,[2,3,{"four":5}]],{"a":1},null],"dates":"2024-01-02"}`, string(m.Metadata))
}

func TestMLmodelRefused(t *testing.T) {
	t.Parallel()
	laughs := []string{"a: &a [" + strings.Repeat("x,", 100) + "]\n"}
	for c := 'b'; c < 'h'; c++ {
		laughs = append(laughs, fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat("*"+string(c-1)+",", 10)))
	}
	for why, text := range map[string]string{
		"no mapping":              "- a\n",
		"flavors":                 "run_id: x\n",
		"the tag":                 "flavors: {f: }\nmetadata: !!python/object/apply:os.system ['true']\n",
		"merge":                   "a: &a {b: c}\nflavors:\n  <<: *a\n",
		"twice":                   "flavors: {f: }\nrun_id: a\nrun_id: b\n",
		"a tab":                   "flavors:\n\tf: x\n",
		"names nothing":           "flavors: *a\n",
		"more than 200000 values": strings.Join(laughs, "") + "flavors: {f: }\n",
		"nested more than 50":     "flavors: " + strings.Repeat("[", 60),
		"UTF-8":                   "flavors: \xff\n",
		"more than":               strings.Repeat("#", 5<<20),
		"not closed":              "flavors: {f: [",
		"without an end":          "flavors: 'f",
		"escape":                  `flavors: "\q"`,
		"no character":            `flavors: "\ud800"`,
		"has a colon":             "flavors: a: b",
		"no key":                  "flavors:\n  f: x\nrest",
		"indentation":             "flavors:\n    f: x\n  g: y\n",
		"a directive":             "%YAML 1.1\n---\n",
		"utc_time_created":        "flavors: {f: }\nutc_time_created: yesterday\n",
		"run_id is no text":       "flavors: {f: }\nrun_id: [x]\n",
		"signature is no mapping": "flavors: {f: }\nsignature: x\n",
		"inputs of the signature": "flavors: {f: }\nsignature: {inputs: '[{'}\n",
		"tensor-spec":             `flavors: {f: }` + "\nsignature: {inputs: '[{\"type\": \"tensor\"}]'}\n",
		"of another":              `flavors: {f: }` + "\nsignature: {inputs: '[{\"type\": \"long\",\"name\":\"a\"},{\"type\": \"long\",\"name\":\"a\"}]'}\n",
		"../x":                    "flavors: {f: }\nsaved_input_example_info: {artifact_path: ../x, type: ndarray}\n",
		"line separator":          "flavors: {f: \u2028}\n",
	} {
		_, err := registry.ParseMLmodel([]byte(text))
		require.ErrorIs(t, err, registry.ErrInvalid, why)
		require.ErrorContains(t, err, why)
	}
	_, err := registry.ReadMLmodel(fstest.MapFS{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = registry.ReadMLmodel(fstest.MapFS{"MLmodel": {Data: make([]byte, 5<<20)}})
	require.ErrorIs(t, err, registry.ErrInvalid)
}

func TestMLmodelExampleRefused(t *testing.T) {
	t.Parallel()
	m := &registry.MLmodel{Example: &registry.MLflowExample{Path: "e.json"}}
	_, _, err := m.ReadExample(fstest.MapFS{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, _, err = m.ReadExample(fstest.MapFS{"e.json": {Data: []byte("pickle")}})
	require.ErrorIs(t, err, registry.ErrInvalid)
	inputs, _, err := m.ReadExample(fstest.MapFS{"e.json": {Data: []byte(`{"NaN \" -Infinity":[NaN,-Infinity,Infinity,-1]}`)}})
	require.NoError(t, err)
	require.Equal(t, `{"NaN \" -Infinity":[null,null,null,-1]}`, string(inputs))
	m.Example.Params = true
	_, _, err = m.ReadExample(fstest.MapFS{"e.json": {Data: []byte(`[1]`)}})
	require.ErrorIs(t, err, registry.ErrInvalid)
}

// A file of anyone's is read or refused, and what was read can be registered.
func FuzzMLmodel(f *testing.F) {
	for _, name := range mlmodels(f) {
		text, err := os.ReadFile(filepath.Join("testdata", "mlmodel", name, "MLmodel"))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("flavors: {f: {a: [1, 'x'], b: \"\\x41\"}}\nmetadata: |\n  a\n"))
	f.Add([]byte("flavors: &a {f: *b}\n? >+\n  x\n\n: - - y\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := registry.ParseMLmodel(text)
		if err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
			return
		}
		var d registry.Draft
		if err := m.Fill(&d); err == nil && d.Signature != nil {
			require.True(t, json.Valid(d.Signature), "%s", d.Signature)
		}
		require.True(t, len(m.Metadata) == 0 || json.Valid(m.Metadata))
	})
}

func BenchmarkParseMLmodel(b *testing.B) {
	text, err := os.ReadFile("testdata/mlmodel/sklearn-logged/MLmodel")
	require.NoError(b, err)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := registry.ParseMLmodel(text)
		require.NoError(b, err)
	}
}

// A table of thousands of columns is no reason to read for long.
func BenchmarkParseMLmodelWide(b *testing.B) {
	text := wideMLmodel(10_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := registry.ParseMLmodel(text)
		require.NoError(b, err)
		require.Len(b, m.Inputs, 10_000)
	}
}

// wideMLmodel is a file with a signature of n columns.
func wideMLmodel(n int) []byte {
	var columns []string
	for i := range n {
		columns = append(columns, fmt.Sprintf(`{"type": "double", "name": "c%d", "required": true}`, i))
	}
	return []byte("flavors: {f: }\nsignature:\n  inputs: '[" + strings.Join(columns, ",\n    ") + "]'\n")
}

func TestMLmodelBudget(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of all goroutines
	text, err := os.ReadFile("testdata/mlmodel/sklearn-logged/MLmodel")
	require.NoError(t, err)
	allocs := testing.AllocsPerRun(20, func() {
		if _, err := registry.ParseMLmodel(text); err != nil {
			t.Fatal(err)
		}
	})
	require.LessOrEqual(t, allocs, 400.0)

	m, err := registry.ParseMLmodel(wideMLmodel(10_000))
	require.NoError(t, err)
	var d registry.Draft
	require.NoError(t, m.Fill(&d))
	require.Less(t, len(d.Signature), 1<<20)
	m, err = registry.ParseMLmodel(wideMLmodel(30_000))
	require.NoError(t, err)
	require.NoError(t, m.Fill(&d), "the signature is set already")
	require.ErrorIs(t, m.Fill(&registry.Draft{}), registry.ErrInvalid)
}
