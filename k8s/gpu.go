package k8s

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/k8s/gpus"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
	"github.com/millwright-ml/millwright/k8s/internal/manifest"
	"github.com/millwright-ml/millwright/train"
)

// types are the cluster's GPU types; known is false where the launcher may not
// look.
type types struct {
	list  []gpus.Type
	known bool
}

// node is what is kept of a machine.
type node struct {
	gpu  string
	spot bool
}

const factAge = time.Minute

// gpuTypes asks for the cluster's types, once a minute.
func (l *Launcher) gpuTypes(ctx context.Context) (types, error) {
	l.mu.Lock()
	have := l.known.types
	l.mu.Unlock()
	if have.fresh(factAge) {
		return have.value, nil
	}
	list, err := gpus.ReadTypes(ctx, l.config, nil)
	found := types{list: list, known: true}
	switch {
	case errors.Is(err, kube.ErrForbidden):
		found = types{}
	case err != nil:
		return types{}, err
	case list == nil:
		found.list = []gpus.Type{} // known to be none
	}
	l.mu.Lock()
	l.known.types = aged[types]{time.Now(), found}
	l.mu.Unlock()
	return found, nil
}

// matchGPU finds what the pods ask for.
func (l *Launcher) matchGPU(ctx context.Context, s train.Spec, c *compiled) error {
	if s.GPU.Count == 0 {
		return nil
	}
	have, err := l.gpuTypes(ctx)
	if err != nil {
		return err
	}
	rule, err := gpus.Match(s.GPU, have.list)
	if err != nil {
		return fmt.Errorf("k8s: spec %q: %w", s.Name, err)
	}
	if rule.Assumed {
		c.warnings = append(c.warnings, "gpu: the launcher may not list nodes, so the types are guessed from the names of known products")
	}
	c.params.GPU = manifest.GPU{Resource: rule.Resource, Count: rule.Count, Terms: rule.Terms, Preferred: rule.Preferred}
	if rule.Device != nil && rule.Resource == "" {
		c.params.GPU.Device = &manifest.Device{Class: rule.Device.Driver, Selectors: rule.Device.Selectors}
	}
	for _, t := range rule.Types {
		c.types = append(c.types, t.Name)
	}
	if len(c.types) == 0 {
		c.types = s.GPU.Types
	}
	return nil
}

// node looks a machine up, and gives false where the launcher may not.
func (l *Launcher) node(ctx context.Context, name string) (node, bool) {
	l.mu.Lock()
	have, ok := l.known.nodes[name]
	l.mu.Unlock()
	if ok && have.fresh(10*factAge) {
		return have.value, true
	}
	var object corev1.Node
	if err := l.client.Get(ctx, kube.Nodes, "", name, &object); err != nil {
		return have.value, ok // a machine that is gone is remembered
	}
	n := node{spot: manifest.IsSpot(object.Labels)}
	for resource := range object.Status.Capacity {
		if t := gpus.FromLabels(object.Labels, string(resource)); t.Name != "" {
			n.gpu = t.Name
		}
	}
	l.mu.Lock()
	if l.known.nodes == nil {
		l.known.nodes = map[string]aged[node]{}
	}
	l.known.nodes[name] = aged[node]{time.Now(), n}
	l.mu.Unlock()
	return n, true
}
