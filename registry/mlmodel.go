package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// MLmodelPath is the file by which a folder is a model of MLflow's.
const MLmodelPath = "MLmodel"

// MLmodel is what the file of that name says about a model that an MLflow
// client logged. Reading it runs nothing: pickles, code and requirements that
// lie beside it are not looked at.
type MLmodel struct {
	// ModelID and RunID are the tracking server's, ArtifactPath is where in the
	// run it was logged. Each may be empty.
	ModelID, RunID, ArtifactPath string
	// MLflowVersion wrote it, at Created.
	MLflowVersion string
	Created       time.Time
	// Size of the model's files in bytes, 0 when it is not told.
	Size int64
	// Flavors are the ways to load it, in byte order of their names.
	Flavors []MLflowFlavor
	// Inputs, Outputs and Params are the signature, nil where it has none.
	Inputs, Outputs []MLflowSpec
	Params          []MLflowParam
	// Example is nil when the model has no input example.
	Example *MLflowExample
	// Metadata is what the caller of log_model gave, as a JSON object; empty
	// for none. Numbers that JSON has no form for are texts.
	Metadata json.RawMessage
}

// MLflowFlavor is one way to load a model.
type MLflowFlavor struct {
	// Name is "python_function" or that of a framework: "sklearn".
	Name string
	// Version of the framework, or of Python.
	Version string
	// Format of the file or folder Data, where the flavor tells them.
	Format, Data string
	// Settings is all of it as a JSON object.
	Settings json.RawMessage
}

// MLflowExample is where the input example is among the model's files.
type MLflowExample struct {
	// Path is the example, ServingPath the same as a body for the scoring
	// server, empty when there is none.
	Path, ServingPath string
	// Type is "dataframe", "ndarray", "json_object", "sparse_matrix_csr" or
	// "sparse_matrix_csc"; Orient that of a data frame: "split".
	Type, Orient string
	// Params says that the example is an object of inputs and params.
	Params bool
}

const maxMLmodel = 4 << 20

// ReadMLmodel reads the file MLmodel of a model's folder. Errors match
// fs.ErrNotExist when it has none, ErrInvalid when that is not what an MLflow
// client writes.
func ReadMLmodel(files fs.FS) (*MLmodel, error) {
	text, err := readBounded(files, MLmodelPath, maxMLmodel)
	if err != nil {
		return nil, fmt.Errorf("registry: read MLmodel: %w", err)
	}
	return ParseMLmodel(text)
}

// readBounded reads a file of at most limit bytes.
func readBounded(files fs.FS, path string, limit int64) ([]byte, error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%q has more than %d bytes: %w", path, limit, errs.ErrInvalid)
	}
	return b, nil
}

// ParseMLmodel reads the text of a file MLmodel, at most 4 MiB. ErrInvalid
// lists every fault.
func ParseMLmodel(text []byte) (*MLmodel, error) {
	if len(text) > maxMLmodel {
		return nil, fmt.Errorf("registry: MLmodel: more than %d bytes: %w", maxMLmodel, errs.ErrInvalid)
	}
	tree, err := parseYAML(text)
	if err != nil {
		return nil, fmt.Errorf("registry: MLmodel: %w", err)
	}
	root, ok := tree.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("registry: MLmodel: it is no mapping: %w", errs.ErrInvalid)
	}
	var faults errs.Faults
	r := mlmodelReader{&faults}
	m := &MLmodel{
		ModelID: r.text(root, "model_id"), RunID: r.text(root, "run_id"), ArtifactPath: r.text(root, "artifact_path"),
		MLflowVersion: r.text(root, "mlflow_version"), Created: r.time(root, "utc_time_created"),
	}
	if size, ok := root["model_size_bytes"].(int64); ok && size > 0 {
		m.Size = size
	}
	m.Flavors = r.flavors(root)
	if sig := r.object(root, "signature"); sig != nil {
		m.Inputs = r.specs(sig, "inputs")
		m.Outputs = r.specs(sig, "outputs")
		m.Params = r.params(sig)
	}
	m.Example = r.example(root)
	if meta := r.object(root, "metadata"); len(meta) > 0 {
		m.Metadata = r.json("metadata", meta)
	}
	if err := faults.Err("registry: MLmodel"); err != nil {
		return nil, err
	}
	return m, nil
}

// mlmodelReader collects the faults of a file.
type mlmodelReader struct{ *errs.Faults }

// text returns a text or a number, "" when there is none.
func (r mlmodelReader) text(m map[string]any, key string) string {
	switch v := m[key].(type) {
	case nil:
		return ""
	case string:
		return v
	case int64, bool:
		return fmt.Sprint(v)
	case float64: // a version like 2.10 that nobody quoted
		return fmt.Sprint(v)
	}
	r.Addf("%s is no text", key)
	return ""
}

func (r mlmodelReader) object(m map[string]any, key string) map[string]any {
	switch v := m[key].(type) {
	case nil:
		return nil
	case map[string]any:
		return v
	}
	r.Addf("%s is no mapping", key)
	return nil
}

// time reads the time that MLflow writes without a zone, which is UTC.
func (r mlmodelReader) time(m map[string]any, key string) time.Time {
	text := r.text(m, key)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	r.Addf("%s is %q, want a time like 2026-01-31 15:04:05", key, cut(text))
	return time.Time{}
}

// json encodes a value of the tree.
func (r mlmodelReader) json(what string, v any) json.RawMessage {
	b, err := json.Marshal(finite(v))
	if err != nil {
		r.Addf("%s: %v", what, err)
	}
	return b
}

// finite replaces the numbers that JSON has no form for by texts.
func finite(v any) any {
	switch v := v.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			return "NaN"
		case math.IsInf(v, 0):
			return strings.Replace(fmt.Sprint(v), "Inf", "Infinity", 1)
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = finite(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = finite(v[k])
		}
		return out
	}
	return v
}

func (r mlmodelReader) flavors(root map[string]any) []MLflowFlavor {
	const most = 100
	all := r.object(root, "flavors")
	if len(all) == 0 || len(all) > most {
		r.Addf("it has %d flavors, want 1 to %d", len(all), most)
		return nil
	}
	out := make([]MLflowFlavor, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		settings, ok := all[name].(map[string]any)
		if !ok && all[name] != nil {
			r.Addf("flavor %q is no mapping", cut(name))
			continue
		}
		f := MLflowFlavor{Name: name, Settings: r.json("flavor", orEmpty(settings))}
		for _, key := range slices.Sorted(maps.Keys(settings)) {
			text, _ := settings[key].(string)
			if f.Version == "" && strings.HasSuffix(key, "_version") && key != "cloudpickle_version" {
				f.Version = r.text(settings, key)
			}
			switch key {
			case "model_format", "serialization_format":
				f.Format = text
			case "data", "model_data", "model_path", "pickled_model", "model_filename":
				f.Data = text
			}
		}
		out = append(out, f)
	}
	return out
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

func (r mlmodelReader) example(root map[string]any) *MLflowExample {
	info := r.object(root, "saved_input_example_info")
	if info == nil {
		return nil
	}
	e := &MLflowExample{
		Path: r.text(info, "artifact_path"), ServingPath: r.text(info, "serving_input_path"),
		Type: r.text(info, "type"), Orient: r.text(info, "pandas_orient"),
	}
	switch v := info["params"].(type) {
	case nil:
	case bool:
		e.Params = v
	case string:
		e.Params = v == "true"
	default:
		r.Addf("params of the input example is neither true nor false")
	}
	if e.Path == "" {
		return nil
	}
	checkPath(r.Faults, e.Path)
	if e.ServingPath != "" {
		checkPath(r.Faults, e.ServingPath)
	}
	return e
}

// Native is the flavor of the framework that made the model, or else
// python_function.
func (m *MLmodel) Native() MLflowFlavor {
	var out MLflowFlavor
	for _, f := range m.Flavors {
		switch {
		case out.Name == "", out.Name == "python_function", out.Version == "" && f.Version != "" && f.Name != "python_function":
			out = f
		}
	}
	return out
}

// Fill sets those fields of d that are empty and that the file tells:
// Signature, Framework ("sklearn 1.9.1"), Flavor ("sklearn-skops": the native
// flavor with its format), Run and LoggedModel. ErrInvalid when the signature
// does not fit into a Draft; the other fields are set then.
func (m *MLmodel) Fill(d *Draft) error {
	native := m.Native()
	set := func(field *string, value string) {
		if *field == "" && len(value) <= maxName {
			*field = value
		}
	}
	framework := native.Name
	if framework == "python_function" {
		framework = "python"
	}
	set(&d.Framework, strings.TrimSpace(framework+" "+native.Version))
	flavor := native.Name
	if native.Format != "" {
		flavor += "-" + native.Format
	}
	set(&d.Flavor, flavor)
	set(&d.Run, m.RunID)
	set(&d.LoggedModel, m.ModelID)
	if len(d.Signature) > 0 {
		return nil
	}
	sig := m.Signature()
	if len(sig) > maxJSON {
		return fmt.Errorf("registry: MLmodel: the signature has %d bytes, want at most %d: %w", len(sig), maxJSON, errs.ErrInvalid)
	}
	d.Signature = sig
	return nil
}

// ReadExample reads the input example of a model from its files, at most
// 16 MiB of JSON. Numbers that JSON has no form for, which upstream writes as
// NaN, are null. With Params the example's params come apart from its inputs.
// nil when the model has none.
func (m *MLmodel) ReadExample(files fs.FS) (inputs, params json.RawMessage, err error) {
	if m.Example == nil {
		return nil, nil, nil
	}
	text, err := readBounded(files, m.Example.Path, maxGolden)
	if err != nil {
		return nil, nil, fmt.Errorf("registry: input example: %w", err)
	}
	text = nullNaN(text)
	if !json.Valid(text) {
		return nil, nil, fmt.Errorf("registry: input example: %q is not JSON: %w", m.Example.Path, errs.ErrInvalid)
	}
	if m.Example.Params {
		var both struct{ Inputs, Params json.RawMessage }
		if err := json.Unmarshal(text, &both); err != nil || len(both.Inputs) == 0 {
			return nil, nil, fmt.Errorf("registry: input example: %q has no inputs beside its params: %w", m.Example.Path, errs.ErrInvalid)
		}
		return both.Inputs, both.Params, nil
	}
	return bytes.TrimSpace(text), nil, nil
}

// nullNaN replaces the words NaN, Infinity and -Infinity outside of texts.
func nullNaN(b []byte) []byte {
	out := make([]byte, 0, len(b))
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\' && i+1 < len(b):
			out = append(out, b[i])
			i++
		case b[i] == '"':
			quoted = !quoted
		case !quoted && (b[i] == 'N' || b[i] == 'I' || b[i] == '-'):
			if word := numberWord(b[i:]); word > 0 {
				out = append(out, "null"...)
				i += word - 1
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

// numberWord is the length of the word that b begins with.
func numberWord(b []byte) int {
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(b, []byte(word)) {
			return len(word)
		}
	}
	return 0
}
