package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/registry"
)

// policy is the file that says what a version must pass. It belongs into the
// repository, beside the pipeline.
type policy struct {
	Alias string     `json:"alias"`
	Gates []gateSpec `json:"gates"`
}

// gateSpec is one gate; which of the fields it takes depends on Gate.
type gateSpec struct {
	Gate string `json:"gate"`

	// "metric": the recorded metric is within bounds.
	Metric  string   `json:"metric"`
	AtLeast *float64 `json:"at_least"`
	AtMost  *float64 `json:"at_most"`

	// "champion": Metric is better than that of the version which has the
	// alias, by Margin, on the dataset version with Digest.
	Dataset       registry.Dataset `json:"dataset"`
	LowerIsBetter bool             `json:"lower_is_better"`
	Margin        float64          `json:"margin"`

	// "golden": Command gives the golden outputs within Tolerance. It runs in
	// the folder of the policy, finds the version's files in $MODEL_DIR, reads
	// one input as JSON and writes one output.
	Command   []string `json:"command"`
	Tolerance float64  `json:"tolerance"`

	// "signed": by one of these keys, PEM files beside the policy.
	Keys []string `json:"keys"`

	// "approvals": Count people, of From if it is not empty.
	Count int      `json:"count"`
	From  []string `json:"from"`

	// "signature" and "profile" take nothing.
}

func readPolicy(path string) (*policy, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the policy: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // a misspelt bound must not be no bound
	p := new(policy)
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("the policy %s: %w", path, err)
	}
	if d.More() {
		return nil, fmt.Errorf("the policy %s: something follows its end", path)
	}
	if len(p.Gates) == 0 {
		return nil, fmt.Errorf("the policy %s has no gates", path)
	}
	return p, nil
}

// gates makes the policy's gates; dir is its folder.
func (p *policy) gates(dir string) (list []registry.Gate, err error) {
	for i, spec := range p.Gates {
		made, fault := spec.gate(dir)
		if fault != nil {
			err = errors.Join(err, fmt.Errorf("the policy's gate %d: %w", i+1, fault))
		}
		list = append(list, made...)
	}
	return list, err
}

func (s *gateSpec) gate(dir string) ([]registry.Gate, error) {
	one := func(g registry.Gate) ([]registry.Gate, error) { return []registry.Gate{g}, nil }
	switch s.Gate {
	case "metric":
		var list []registry.Gate
		if s.AtLeast != nil {
			list = append(list, registry.MetricAtLeast(s.Metric, *s.AtLeast))
		}
		if s.AtMost != nil {
			list = append(list, registry.MetricAtMost(s.Metric, *s.AtMost))
		}
		if s.Metric == "" || len(list) == 0 {
			return nil, errors.New(`"metric" needs metric, and at_least or at_most`)
		}
		return list, nil
	case "champion":
		if s.Metric == "" || s.Dataset.Digest == "" {
			return nil, errors.New(`"champion" needs metric, and dataset with its digest`)
		}
		return one(registry.MetricBeats(registry.Comparison{Metric: s.Metric, Dataset: s.Dataset, LowerIsBetter: s.LowerIsBetter, Margin: s.Margin}))
	case "signature":
		return one(registry.SignatureCompatible())
	case "profile":
		return one(registry.ProfilePresent())
	case "golden":
		if len(s.Command) == 0 {
			return nil, errors.New(`"golden" needs command`)
		}
		return one(registry.GoldenReproduced(command(dir, s.Command), s.Tolerance))
	case "signed":
		var keys []crypto.PublicKey
		for _, name := range s.Keys {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return nil, err
			}
			key, err := registry.ParsePublicKey(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			keys = append(keys, key)
		}
		if len(keys) == 0 {
			return nil, errors.New(`"signed" needs keys`)
		}
		return one(registry.SignedBy(keys...))
	case "approvals":
		if s.Count < 1 {
			return nil, errors.New(`"approvals" needs a count of 1 or more`)
		}
		return one(registry.Approved(s.Count, s.From...))
	}
	return nil, fmt.Errorf("%q is no gate: want metric, champion, signature, profile, golden, signed or approvals", s.Gate)
}

// command runs a model outside of this process: in Python, in a container, as
// it runs in production.
func command(dir string, argv []string) registry.Predict {
	const patience = 2 * time.Minute
	return func(ctx context.Context, files fs.FS, input json.RawMessage) (json.RawMessage, error) {
		model, err := os.MkdirTemp("", "model-*")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(model)
		if err := os.CopyFS(model, files); err != nil { // verified on the way
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir, cmd.Env, cmd.Stdin = dir, append(os.Environ(), "MODEL_DIR="+model), bytes.NewReader(input)
		out, err := cmd.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return nil, fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(string(exit.Stderr)))
		}
		return out, err
	}
}
