package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/train"
)

// rules are what this service lets jobs be. Put yours here.
type rules struct {
	program     []string // what jobs run that name no command
	params      []string // the environment variables that jobs may set
	open        bool     // they may name any command, variable, image and secret
	image       string   // the container image; empty for local processes
	checkpoints string   // the folder of checkpoints; empty: jobs name their own
}

// admit completes a spec, and refuses what the rules do not allow.
func (r rules) admit(u user, key string, spec *train.Spec) error {
	if !u.admin {
		if spec.Team != "" && spec.Team != u.team {
			return fmt.Errorf("team %q is not yours: %w", spec.Team, train.ErrInvalid)
		}
		spec.Team = u.team
	}
	if len(spec.Command) == 0 {
		spec.Command = slices.Clone(r.program)
	} else if !r.open && !slices.Equal(spec.Command, r.program) {
		return fmt.Errorf("jobs run the service's program here, leave command out: %w", train.ErrInvalid)
	}
	if spec.Image == "" || !r.open {
		spec.Image = r.image
	}
	if spec.Dir != "" && !r.open {
		return fmt.Errorf("jobs run in the service's folder here, leave dir out: %w", train.ErrInvalid)
	}
	for _, v := range spec.Volumes {
		if v.HostPath != "" || (v.Secret != "" && !r.open) {
			return fmt.Errorf("folders of the machine and secrets cannot be mounted here: %w", train.ErrInvalid)
		}
	}
	if !r.open {
		// Whoever may name a secret or a variable of the loader (LD_PRELOAD) has more
		// than the program: so there is a list of what may be set.
		if len(spec.Secrets) > 0 {
			return fmt.Errorf("secrets cannot be read here: %w", train.ErrInvalid)
		}
		for name := range spec.Env {
			if !slices.Contains(r.params, name) {
				return fmt.Errorf("env %s cannot be set here, only %v: %w", name, r.params, train.ErrInvalid)
			}
		}
	}
	if r.checkpoints != "" && (spec.Checkpoint.URI == "" || !r.open) {
		// The same key finds the same checkpoints.
		id := train.JobID(key)
		if key == "" {
			id = strings.ToLower(rand.Text())
		}
		spec.Checkpoint.URI = filepath.Join(r.checkpoints, id)
	}
	return nil
}
