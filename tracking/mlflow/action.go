package mlflow

import (
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// Verb is what a request does.
type Verb string

// The verbs. Connect is asked for every request, of every route but /health
// and /version, before anything of it is read.
const (
	Connect Verb = "connect" // speak to the server at all
	Read    Verb = "read"
	Create  Verb = "create" // make an experiment, which has no ID yet
	Write   Verb = "write"
	Delete  Verb = "delete" // delete or restore
	Manage  Verb = "manage" // give and take permissions
	// Administer is what only admins may do: to make, list and change users.
	Administer Verb = "administer"
)

// Action is what a request is about to do.
type Action struct {
	Verb Verb
	// Experiment is the experiment concerned; empty where there is none.
	Experiment tracking.ExperimentID
	// Route is the route's method and path, like
	// "POST 2.0/mlflow/runs/create", the same for all paths that lead to it.
	Route string
}

// The refusals of Options.Authorize.
var (
	// ErrUnauthenticated: the request does not say who sent it, or not in a
	// way that can be believed. The answer is 401.
	ErrUnauthenticated = mlflowhttp.ErrUnauthenticated
	// ErrDenied: who sent the request may not do this. The answer is 403.
	ErrDenied = mlflowhttp.ErrDenied
)
