package millwright_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/servehook"
	"github.com/millwright-ml/millwright/registry"
	registrysql "github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/tracking"
	trackingsql "github.com/millwright-ml/millwright/tracking/sqlstore"
	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

var schema = arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Float64}}, nil)

// rows gives the numbers as Arrow records.
func rows(xs ...float64) array.RecordReader {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.Float64Builder).AppendValues(xs, nil)
	rec := b.NewRecord()
	defer rec.Release()
	r, err := array.NewRecordReader(schema, []arrow.Record{rec})
	must(err)
	return r
}

// double is a model: it multiplies its input by a factor that a file holds.
type double struct{ factor float64 }

func loadDouble(files fs.FS) *double {
	data, err := fs.ReadFile(files, "factor.json")
	must(err)
	var m double
	must(json.Unmarshal(data, &m.factor))
	return &m
}

func (m *double) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP64, Shape: []int64{-1}}},
		Outputs: []oip.TensorMetadata{{Name: "y", Datatype: oip.FP64, Shape: []int64{-1}}},
	}
}

func (m *double) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	x := req.Input("x").FP64()
	y := make([]float64, len(x))
	for i := range x {
		y[i] = m.factor * x[i]
	}
	resp.Outputs = []oip.Tensor{oip.NewFP64("y", []int64{int64(len(y))}, y)}
	return nil
}

func (m *double) Close() error { return nil }

// reference counts the rows of a dataset version and the model's answers.
func reference(v *dataset.Version, m *double, xs ...float64) *profile.Reference {
	var x, y profile.Column
	for _, value := range xs {
		x.AddFloat(value)
		y.AddFloat(m.factor * value)
	}
	ref := profile.NewReference([]profile.Feature{{Name: "x", Bins: x.Bins(0)}}, y.Bins(0))
	ref.Dataset = v.Digest
	for _, value := range xs {
		must(ref.Observe([]float64{value}, m.factor*value))
	}
	return ref
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// The whole flow, wired by hand: data to version to run to model to answer to
// report.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "millwright")
	must(err)
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := dirblob.Open(filepath.Join(dir, "store"))
	must(err)
	defer func() { _ = store.Close() }()

	// dataset: commit records, get a version with a digest.
	catalog := dataset.New(store, nil)
	numbers, err := catalog.Create(ctx, "numbers", schema, nil)
	must(err)
	v, err := numbers.Append(ctx, rows(1, 2, 3, 4), &dataset.CommitOptions{Message: "first import"})
	must(err)
	fmt.Println(v.Dataset, "version", v.Number, "has", v.Rows, "rows")

	// tracking: record a run and the version that it read.
	runs, err := trackingsql.Open(ctx, "sqlite://"+dir+"/millwright.db", nil)
	must(err)
	tracker := tracking.New(runs, &tracking.Options{Artifacts: store})
	exp, err := tracker.Experiment(ctx, "doubling")
	must(err)
	run, err := tracker.StartRun(ctx, exp.ID, nil)
	must(err)
	must(run.LogInput(ctx, tracking.DatasetInput{Name: v.Dataset, Version: "1", Digest: v.Digest}))
	run.Metric("loss", 0.25, 1)

	// train: launch a process, wait for its exit status.
	launcher, err := local.Open(filepath.Join(dir, "jobs"), nil)
	must(err)
	job, err := launcher.Submit(ctx, train.Spec{Name: "doubling", Command: []string{"sh", "-c", "echo learning"}}, nil)
	must(err)
	result, err := job.Wait(ctx)
	must(err)
	must(run.Finish(ctx, tracking.Finished))
	fmt.Println("training exited with", result.ExitCode)

	// registry: keep the files with digests and lineage, move an alias.
	models, err := registrysql.Open(ctx, "sqlite://"+dir+"/millwright.db", nil)
	must(err)
	reg := registry.New(models, store, nil)
	files := fstest.MapFS{"factor.json": {Data: []byte("2")}}
	version, err := reg.Register(ctx, "double", registry.Draft{Files: files, Run: string(run.ID())})
	must(err)
	must(reg.SetAlias(ctx, "double", "champion", version.Number, &registry.AliasOptions{Expect: 0, By: "me"}))

	// serve: open the verified files, mount a handler.
	version, err = reg.Resolve(ctx, "double@champion")
	must(err)
	verified, err := reg.Open(ctx, version)
	must(err)
	m := loadDouble(verified)
	watch, err := monitor.New(reference(v, m, 1, 2, 3, 4), &monitor.Options{Model: "double", Policy: monitor.Policy{MinRows: 4}})
	must(err)
	hook, err := servehook.New(watch, &servehook.Options{Output: "y"})
	must(err)
	server := serve.New(&serve.Options{Observers: []serve.Observer{hook}})
	must(server.Deploy(ctx, serve.Deployment{Name: "double", Version: "1", Model: m}))
	web := httptest.NewServer(server)
	defer web.Close()

	// A client asks, and the monitor reports.
	client, err := oip.NewClient(web.URL, nil)
	must(err)
	resp, err := client.Infer(ctx, "double", "", &oip.InferRequest{
		ID: "request-1", Inputs: []oip.Tensor{oip.NewFP64("x", []int64{4}, []float64{4, 2, 3, 1})},
	})
	must(err)
	fmt.Println(resp.ModelName, resp.ModelVersion, resp.ID, resp.Output("y").FP64())
	report, err := watch.Cut(ctx)
	must(err)
	fmt.Println(report.Rows, "rows:", report.Verdict)

	must(errors.Join(server.Shutdown(ctx), watch.Shutdown(ctx), tracker.Shutdown(ctx), models.Close(), runs.Close()))
	// Output:
	// numbers version 1 has 4 rows
	// training exited with 0
	// double 1 request-1 [8 4 6 2]
	// 4 rows: ok
}
