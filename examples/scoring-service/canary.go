package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// rollouts tries each challenger that the registry names, one after the other,
// until ctx ends.
func (s *service) rollouts(ctx context.Context) error {
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for ctx.Err() == nil {
		champion, challenger, err := s.aliases(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.logger.Warn("the registry does not answer", "error", err)
		case err == nil && s.deployed(champion, challenger):
			if err := s.try(ctx, champion, challenger); err != nil && ctx.Err() == nil {
				return err
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// aliases returns the numbers of the two versions, "" for none.
func (s *service) aliases(ctx context.Context) (champion, challenger string, err error) {
	of := func(alias string) (string, error) {
		v, err := s.registry.Resolve(ctx, modelName+"@"+alias)
		if errors.Is(err, registry.ErrNotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return strconv.Itoa(v.Number), nil
	}
	if champion, err = of("champion"); err == nil {
		challenger, err = of("challenger")
	}
	return champion, challenger, err
}

// deployed reports whether there are two versions to compare, and both answer.
func (s *service) deployed(champion, challenger string) bool {
	return champion != "" && challenger != "" && champion != challenger &&
		s.server.ModelReady(modelName, champion) == nil && s.server.ModelReady(modelName, challenger) == nil
}

// try runs one experiment to its end. Several replicas share their counts with a
// rollout.Store in rollout.Options; each is a table or a key of what you have.
func (s *service) try(ctx context.Context, champion, challenger string) error {
	r, err := rollout.New(rollout.Experiment{
		Name: modelName + "-" + champion + "-" + challenger, Model: modelName,
		Champion: champion, Challengers: []rollout.Challenger{{Version: challenger, Share: s.config.share}},
		// A user stays with one version. Who sends no header takes no part.
		Key:  rollout.Header("X-User"),
		Ramp: []rollout.Step{{Share: 0.2}, {Share: 1}},
		Guards: []rollout.Guard{
			{Metric: rollout.Errors, Margin: 0.05},
			{Metric: rollout.Latency, Quantile: 0.9, Margin: 2},
			{Metric: rollout.Score, Name: "certainty", Margin: 0.1, Value: certainty},
		},
		Shadow: &rollout.Shadow{Fraction: 0.1},
	}, &rollout.Options{
		Logger: s.logger, Record: s.record,
		OnEvent: func(e rollout.Event) {
			s.exporter.Event(e)
			if e.Kind == rollout.Decided {
				s.decided(e)
			}
		},
	})
	if err != nil {
		return err
	}
	stop, err := s.exporter.Watch(r)
	if err != nil {
		return err
	}
	defer stop()
	return r.Run(ctx, s.server)
}

// certainty is how far the model's answer is from a coin's, from 0 to 1.
func certainty(x *serve.Exchange) (float64, bool) {
	sum, answers := 0.0, x.Response.Output("malignant").FP32()
	for _, p := range answers {
		sum += max(2*float64(p)-1, 1-2*float64(p))
	}
	return sum / float64(max(len(answers), 1)), len(answers) > 0
}

// record writes a verdict into the registry: a promotion moves the alias, and
// either outcome stands in the audit log with its evidence. The challenger is
// none any more.
func (s *service) record(ctx context.Context, e rollout.Event) error {
	number, err := strconv.Atoi(e.Challenger)
	if err != nil {
		return fmt.Errorf("version %q is no number: %w", e.Challenger, err)
	}
	opts := &registry.PromoteOptions{By: "rollout " + e.Experiment, Reason: e.Reason}
	for _, v := range e.Evidence {
		opts.Gates = append(opts.Gates, registry.Gate{Name: v.Guard, Check: func(context.Context, registry.Candidate) (registry.Verdict, error) {
			return registry.Verdict{Pass: e.Verdict == rollout.Promote && v.Passed(), Detail: v.String(), Numbers: v.Numbers()}, nil
		}})
	}
	if _, err := s.registry.Promote(ctx, e.Model, "champion", number, opts); err != nil {
		if _, refused := errors.AsType[*registry.RefusedError](err); !refused {
			return err
		}
	}
	err = s.registry.DeleteAlias(ctx, e.Model, "challenger", &registry.AliasOptions{Expect: number, By: opts.By, Reason: string(e.Verdict)})
	if errors.Is(err, registry.ErrConflict) || errors.Is(err, registry.ErrNotFound) {
		return nil // It was done before, or another one has been named.
	}
	return err
}
