package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/millwright-ml/millwright/monitor/inferlog"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/tracking"
)

// logSchema gives the inference log one column a tensor of the model.
func logSchema(sig serve.Signature) inferlog.Schema {
	types := map[oip.Datatype]inferlog.Type{oip.BYTES: inferlog.String, oip.FP64: inferlog.Float64, oip.INT64: inferlog.Int64}
	fields := func(tensors []oip.TensorMetadata) (out []inferlog.Field) {
		for _, t := range tensors {
			out = append(out, inferlog.Field{Name: t.Name, Type: types[t.Datatype]})
		}
		return out
	}
	return inferlog.Schema{Inputs: fields(sig.Inputs), Outputs: fields(sig.Outputs)}
}

// recorder writes each answered request to the inference log.
type recorder struct{ log *inferlog.Log }

func (r recorder) Observe(ex *serve.Exchange) {
	if ex.Err != nil {
		return
	}
	r.log.Append(inferlog.Record{
		RequestID: ex.RequestID, Time: ex.Start, Model: ex.Model, Version: ex.Version, Latency: ex.Duration,
		Inputs: columns(signature.Inputs, ex.Request.Inputs), Outputs: columns(signature.Outputs, ex.Response.Outputs),
	})
}

// columns gives the tensors' values in the order of the signature, whatever
// order the client sent them in.
func columns(order []oip.TensorMetadata, tensors []oip.Tensor) []any {
	out := make([]any, len(order))
	for i, want := range order {
		for j := range tensors {
			if tensors[j].Name == want.Name {
				out[i] = tensors[j].Data()
			}
		}
	}
	return out
}

// explainOnly prints the lineage of one request of an earlier run.
func explainOnly(ctx context.Context, cfg config, out *console) (err error) {
	dir, err := filepath.Abs(cfg.dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "millwright.db")); err != nil {
		return fmt.Errorf("folder %s holds no earlier run to explain: %w", cfg.dir, err)
	}
	p, err := openPlatform(ctx, dir, cfg.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close(context.WithoutCancel(ctx))) }()
	l := &loop{platform: p, console: out}
	if l.log, err = inferlog.Open(ctx, l.catalog, inferenceLog, logSchema(signature), nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.log.Shutdown(context.WithoutCancel(ctx))) }()
	return l.explain(ctx, cfg.explain)
}

// explain walks from a request id back to the bytes that trained the model
// that answered it, then answers the logged request again.
func (l *loop) explain(ctx context.Context, requestID string) error {
	rec, err := l.log.Find(ctx, requestID)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(rec.Version)
	if err != nil {
		return fmt.Errorf("the log names version %q of %s: %w", rec.Version, rec.Model, err)
	}
	version, err := l.registry.Version(ctx, rec.Model, number)
	if err != nil {
		return err
	}
	trainedBy, err := l.tracker.Run(ctx, tracking.RunID(version.Run))
	if err != nil {
		return err
	}
	info, err := trainedBy.Info(ctx)
	if err != nil {
		return err
	}
	ds, err := l.catalog.Open(ctx, version.Datasets[0].Name)
	if err != nil {
		return err
	}
	data, err := ds.ByDigest(ctx, version.Datasets[0].Digest)
	if err != nil {
		return err
	}
	rows := len(rec.Outputs[0].([]float64))
	l.line("request   %s, %d rows, answered %s", requestID, rows, rec.Time.Format("2006-01-02 15:04:05.000"))
	l.line("model     %s version %d, %s", version.Name, version.Number, short(version.Digest))
	l.line("run       %s (%s), AUC %.4f", info.Name, info.ID, version.Metrics["auc_holdout"])
	l.line("dataset   %s version %d, %s, %s rows", data.Dataset, data.Number, short(data.Digest), count(data.Rows))
	for _, f := range data.Files {
		l.line("file      %s, sha256:%.12s", f.Path, f.SHA256)
	}
	return l.replay(ctx, rec)
}

// replay answers the logged request with the version that answered it.
func (l *loop) replay(ctx context.Context, rec *inferlog.Record) error {
	m, _, _, err := l.load(ctx, rec.Model+"/"+rec.Version)
	if err != nil {
		return err
	}
	n := len(rec.Inputs[2].([]float64))
	shape := []int64{int64(n)}
	req := &oip.InferRequest{Inputs: []oip.Tensor{
		oip.NewStrings("origin", shape, rec.Inputs[0].([]string)),
		oip.NewStrings("destination", shape, rec.Inputs[1].([]string)),
		oip.NewFP64("distance", shape, rec.Inputs[2].([]float64)),
		oip.NewINT64("hour", shape, rec.Inputs[3].([]int64)),
		oip.NewINT64("weekday", shape, rec.Inputs[4].([]int64)),
	}}
	var resp oip.InferResponse
	if err := m.Infer(ctx, req, &resp); err != nil {
		return err
	}
	was, is := rec.Outputs[0].([]float64), resp.Output("late").FP64()
	if len(was) != len(is) {
		return fmt.Errorf("replay gave %d answers, the log has %d", len(is), len(was))
	}
	for i := range was {
		if math.Float64bits(was[i]) != math.Float64bits(is[i]) {
			return errors.New("replay differs from the log in row " + strconv.Itoa(i))
		}
	}
	l.line("replay    version %s gives the same %d answers, bit for bit (first: %v)", rec.Version, len(is), is[0])
	return nil
}
