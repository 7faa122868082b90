package k8s

import (
	"context"
	"errors"
	"fmt"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/train"
)

// runtime finds the runtime of a TrainJob, in the namespace first.
func (l *Launcher) runtime(ctx context.Context, s train.Spec, c *compiled) error {
	if c.backend.name != "trainjob" {
		return nil
	}
	name := l.opts.Runtime
	if name == "" {
		switch s.Launch {
		case train.JAX:
			name = "jax-distributed"
		case train.MPI:
			name = "mpi-distributed"
		default:
			name = "torch-distributed"
		}
	}
	if s.TTL > 0 {
		c.warnings = append(c.warnings, "ttl: a TrainJob has none, it stays until Delete")
	}
	c.warnings = append(c.warnings, "retries: a TrainJob is restarted as its runtime says, not as Retry does")
	var found struct{}
	err := l.client.Get(ctx, foreign.Runtimes, l.opts.Namespace, name, &found)
	if err == nil {
		c.params.Runtime = "namespace/" + name
		return nil
	}
	if !errors.Is(err, kube.ErrNotFound) && !errors.Is(err, kube.ErrForbidden) {
		return err
	}
	c.params.Runtime = name
	err = l.client.Get(ctx, foreign.AllRuntimes, "", name, &found)
	if errors.Is(err, kube.ErrNotFound) {
		return fmt.Errorf("k8s: spec %q: the cluster has no training runtime %q: set Options.Runtime: %w", s.Name, name, train.ErrInvalid)
	}
	if err != nil && !errors.Is(err, kube.ErrForbidden) {
		return err
	}
	return nil
}
