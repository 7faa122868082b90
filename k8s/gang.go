package k8s

import (
	"context"
	"fmt"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/train"
)

// nativeGangs is served where the scheduler of Kubernetes 1.37 or later starts
// groups of pods together.
var nativeGangs = kube.Kind{Group: "scheduling.k8s.io", Version: "v1beta1", Resource: "podgroups", Kind: "PodGroup"}

// gang chooses what starts the job's nodes together.
func (l *Launcher) gang(ctx context.Context, s train.Spec, c *compiled) error {
	p := c.params
	if s.Gang == train.GangOff || s.NodeCount() == 1 {
		return nil
	}
	if p.Queue != "" {
		p.Gang = manifest.GangQueue
		return nil
	}
	if c.backend.name == "job" {
		native, err := l.client.Serves(ctx, nativeGangs)
		if err != nil {
			return err
		}
		if native {
			p.Gang = manifest.GangNative
			return nil
		}
	}
	volcano, err := l.client.Serves(ctx, foreign.PodGroups)
	if err != nil {
		return err
	}
	if volcano && c.backend.gangs {
		p.Gang, p.Scheduler = manifest.GangVolcano, "volcano"
		return nil
	}
	text := "gang: nothing in the cluster starts the nodes of a " + c.backend.source.Kind.Kind + " together (a queue of Kueue, the gang scheduling of Kubernetes 1.37 or Volcano)"
	if s.Gang == train.GangOn {
		return fmt.Errorf("k8s: spec %q: %s: %w", s.Name, text, train.ErrUnsupported)
	}
	c.warnings = append(c.warnings, text+": some may hold their GPUs while others wait")
	return nil
}
