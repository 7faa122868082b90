package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/train"
)

// trained is a finished training: its run, and the registered model version.
type trained struct {
	run     tracking.RunID
	version *registry.Version
	auc     float64
}

// trainOn launches this program again as a training process on one dataset
// version, passes its log lines to say, and registers what it made.
func (l *loop) trainOn(ctx context.Context, v *dataset.Version, name string, say func(string)) (_ *trained, err error) {
	exp, err := l.tracker.Experiment(ctx, experimentName)
	if err != nil {
		return nil, err
	}
	run, err := l.tracker.StartRun(ctx, exp.ID, &tracking.RunOptions{
		Name: name, Tags: map[string]string{"purpose": name, "program": "examples/quickstart"},
	})
	if err != nil {
		return nil, err
	}
	status := tracking.Failed
	defer func() {
		if ctx.Err() != nil {
			status = tracking.Killed
		}
		// The run must get its end even when ctx is what ended it.
		if ferr := run.Finish(context.WithoutCancel(ctx), status); ferr != nil && err == nil {
			err = ferr
		}
	}()

	out := filepath.Join(l.dir, "models", string(run.ID()))
	if err := os.MkdirAll(filepath.Join(out, "model"), 0o755); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(out) }() // the registry has its own copy by then
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	job, err := l.launcher.Submit(ctx, train.Spec{
		Name: name,
		Command: []string{
			self, "train", "-dir", l.dir, "-store", l.storeURL,
			"-digest", v.Digest, "-run", string(run.ID()), "-out", out,
		},
		Inputs:   []train.Input{{Name: v.Dataset, Version: strconv.FormatInt(v.Number, 10), Digest: v.Digest}},
		Output:   modelName,
		Deadline: 5 * time.Minute,
	}, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if ctx.Err() != nil {
			_ = job.Cancel(context.WithoutCancel(ctx))
		}
	}()
	for line, err := range job.Logs(ctx, &train.LogOptions{Follow: true}) {
		if err != nil {
			return nil, err
		}
		say(line.Text)
	}
	result, err := job.Wait(ctx)
	if err != nil {
		return nil, fmt.Errorf("training %q did not succeed, nothing was registered: %w", name, err)
	}
	status = tracking.Finished
	say(fmt.Sprintf("exit status %d after %.1f s", result.ExitCode, result.Finished.Sub(result.Started).Seconds()))
	return l.register(ctx, v, run, out)
}

// register stores the files of a finished training as a new model version.
func (l *loop) register(ctx context.Context, v *dataset.Version, run *tracking.Run, out string) (*trained, error) {
	info, err := run.Info(ctx)
	if err != nil {
		return nil, err
	}
	auc, ok := info.Metrics["auc_holdout"]
	if !ok {
		return nil, errors.New("the training process ended well but recorded no auc_holdout")
	}
	reference, err := os.ReadFile(filepath.Join(out, "profile.json"))
	if err != nil {
		return nil, err
	}
	version, err := l.registry.Register(ctx, modelName, registry.Draft{
		Files:     os.DirFS(filepath.Join(out, "model")),
		Signature: signatureJSON(), Profile: reference, Framework: "go", Flavor: "quickstart",
		Run:      string(run.ID()),
		Datasets: []registry.Dataset{{Name: v.Dataset, Version: strconv.FormatInt(v.Number, 10), Digest: v.Digest, Context: "training"}},
		Metrics:  map[string]float64{"auc_holdout": auc.Value},
	})
	if err != nil {
		return nil, err
	}
	return &trained{run: run.ID(), version: version, auc: auc.Value}, nil
}
