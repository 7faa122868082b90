package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/checkpoint"
)

// state is what the small training program has learnt: a line through points.
type state struct {
	A, B float64
}

// trainDemo is a training program: it reports progress, writes checkpoints,
// resumes from them and stops in time. train.py beside it does the same in
// Python. STEPS and PAUSE come from the job's environment.
func trainDemo(ctx context.Context, getenv func(string) string, out io.Writer) error {
	steps, pause := int64(200), 10*time.Millisecond
	if n, err := strconv.ParseInt(getenv("STEPS"), 10, 64); err == nil && n > 0 {
		steps = n
	}
	if d, err := time.ParseDuration(getenv("PAUSE")); err == nil && d >= 0 {
		pause = d
	}
	k, err := checkpoint.New(getenv, &checkpoint.Options{ReportEvery: 100 * time.Millisecond, Output: out})
	if err != nil {
		return err
	}
	ctx, stop := k.Notify(ctx)
	defer stop()
	var (
		model state
		first int64
	)
	keeps := getenv(train.EnvCheckpointURI) != ""
	if keeps {
		found, err := k.Latest(ctx)
		if err != nil {
			return err
		}
		if found != nil {
			data, err := os.ReadFile(filepath.Join(found.Dir, "model.json"))
			if err == nil {
				err = json.Unmarshal(data, &model)
			}
			if err != nil {
				return err
			}
			first = found.Step
		}
	}
	fmt.Fprintf(out, "training %d steps from step %d as rank %s of %s\n", steps, first, or(getenv("RANK"), "0"), or(getenv("WORLD_SIZE"), "1"))
	save := func(step int64) error {
		if !keeps {
			return nil
		}
		_, err := k.Save(step, func(dir string) error {
			data, err := json.Marshal(model)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "model.json"), data, 0o600)
		}, nil)
		return err
	}
	for step := first + 1; step <= steps; step++ {
		rng := rand.New(rand.NewPCG(7, uint64(step))) // the same points in every attempt
		loss := 0.0
		for range 32 {
			x := rng.Float64()
			diff := model.A*x + model.B - (3*x + 1)
			model.A -= 0.002 * diff * x
			model.B -= 0.002 * diff
			loss += diff * diff / 32
		}
		if err := k.Report(step, steps, map[string]float64{"loss": loss}); err != nil {
			return err
		}
		if step%50 == 0 {
			fmt.Fprintf(out, "step %d: y = %.3f x + %.3f, loss %.2g\n", step, model.A, model.B, loss)
		}
		select {
		case <-ctx.Done():
			fmt.Fprintf(out, "asked to stop at step %d\n", step)
			if err := save(step); err != nil {
				return err
			}
			return errStopped
		case <-time.After(pause):
		}
		if step%100 == 0 || step == steps {
			if err := save(step); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(out, "learnt y = %.3f x + %.3f\n", model.A, model.B)
	return nil
}

var errStopped = errors.New("stopped, and will go on from the checkpoint")

func exitCode(err error) int {
	if errors.Is(err, errStopped) {
		return checkpoint.ExitStopped
	}
	return 1
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
