package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/train"
)

// train submits a job that fits a model on the applications, waits for it, and
// registers what it made. The key makes it one job and one version, however
// often it is asked for: a replica, or a restart, finds what is there.
func (s *service) train(ctx context.Context, key string, list []application) (*registry.Version, error) {
	data, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:6])
	digest := sha256.Sum256(data)
	file, out := filepath.Join(s.dir, "data-"+name+".json"), filepath.Join(s.dir, "model-"+name)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	input := train.Input{Name: "applications", Version: name, Digest: "sha256:" + hex.EncodeToString(digest[:])}
	job, err := s.launcher.Submit(ctx, train.Spec{
		Name: "retrain " + modelName, Command: []string{self, "train", "-data", file, "-out", out},
		Inputs: []train.Input{input}, Output: out, Model: modelName, Deadline: 5 * time.Minute,
	}, &train.SubmitOptions{Key: key})
	if err != nil {
		return nil, err
	}
	for line, err := range job.Logs(ctx, &train.LogOptions{Follow: true}) {
		if err != nil {
			return nil, err
		}
		s.say("    job %s: %s", job.ID(), line.Text)
	}
	if _, err := job.Wait(ctx); err != nil {
		return nil, fmt.Errorf("the training did not succeed, nothing was registered: %w", err)
	}
	reference, err := os.ReadFile(filepath.Join(out, "profile.json"))
	if err != nil {
		return nil, err
	}
	var metrics map[string]float64
	text, err := os.ReadFile(filepath.Join(out, "metrics.json"))
	if err == nil {
		err = json.Unmarshal(text, &metrics)
	}
	if err != nil {
		return nil, err
	}
	contract, err := json.Marshal(signature)
	if err != nil {
		return nil, err
	}
	return s.registry.Register(ctx, modelName, registry.Draft{
		Files: os.DirFS(filepath.Join(out, "model")), Profile: reference, Signature: contract, Framework: "go", User: "drift-retrain",
		Datasets: []registry.Dataset{{Name: input.Name, Version: input.Version, Digest: input.Digest, Context: "training"}},
		Metrics:  metrics, Key: key,
	})
}

// promote asks the gates. The comparison judges both versions on the same recent
// applications, which neither was fitted on.
func (s *service) promote(ctx context.Context, v *registry.Version, recent []application, reason string) error {
	gates := []registry.Gate{registry.MetricAtLeast("auc", 0.65), registry.ProfilePresent(), registry.SignatureCompatible()}
	if recent != nil {
		gates = append(gates, registry.MetricBeats(registry.Comparison{
			Metric: "auc", Margin: 0.01, Dataset: registry.Dataset{Name: "recent applications", Digest: "held out"},
			Evaluate: func(ctx context.Context, v *registry.Version, _ registry.Dataset) (float64, error) {
				files, err := s.registry.Open(ctx, v)
				if err != nil {
					return 0, err
				}
				m, err := load(files)
				if err != nil {
					return 0, err
				}
				return m.auc(recent), nil
			},
		}))
	}
	d, err := s.registry.Promote(ctx, modelName, champion, v.Number, &registry.PromoteOptions{Gates: gates, By: "drift-retrain", Reason: reason})
	if refused, ok := errors.AsType[*registry.RefusedError](err); ok {
		s.say("    refused: %v", refused)
		return err
	}
	if err != nil {
		return err
	}
	for _, g := range d.Gates {
		s.say("    gate %-26s %s", g.Gate, g.Detail)
	}
	return nil
}

// answer is what a trigger sets off: a job, the gates, the rollout, and a monitor
// that compares with the new version's reference from then on.
func (s *service) answer(ctx context.Context, key string, fitting, recent []application) error {
	v, err := s.train(ctx, key, fitting)
	if err == nil {
		err = s.promote(ctx, v, recent, "trigger "+key)
	}
	if _, refused := errors.AsType[*registry.RefusedError](err); refused {
		s.answered("refused")
		return s.monitor.Resolve(key) // People have been told; the old one goes on.
	}
	if err != nil {
		s.answered("failed")
		return err
	}
	if err := s.deploy(ctx, v); err != nil {
		return err
	}
	reference, err := s.reference(ctx, v)
	if err != nil {
		return err
	}
	s.answered("promoted")
	return s.monitor.Reset(reference, strconv.Itoa(v.Number))
}
