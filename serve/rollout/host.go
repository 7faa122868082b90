package rollout

import (
	"context"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Host is where an experiment runs: a *serve.Server is one, and serve/llm/trial has
// one for a gateway to language models.
type Host interface {
	// SetRouter lets r choose the version of a model's requests, nil nobody.
	SetRouter(model string, r serve.Router) error
	// Attach tells an observer of exchanges until detach is called.
	Attach(o serve.Observer) (detach func())
	// SetDefault makes a version the one that answers without a router.
	SetDefault(model, version string) error
	// Do answers a copy of a request, for Experiment.Shadow.
	Do(ctx context.Context, c *serve.Call) (*oip.InferResponse, error)
}
