package mlflow

import "github.com/millwright-ml/millwright/internal/mlflowhttp"

// Verb is what a request does.
type Verb string

// The verbs. Connect is asked for every request, before anything of it is
// read.
const (
	Connect Verb = "connect" // speak to the server at all
	Read    Verb = "read"
	Create  Verb = "create" // take a name for a model
	Write   Verb = "write"
	Delete  Verb = "delete"
	Manage  Verb = "manage" // see and change webhooks
)

// Action is what a request is about to do.
type Action struct {
	Verb Verb
	// Model is the name of the model concerned; empty where there is none.
	Model string
	// Route is the route's method and path, like
	// "POST 2.0/mlflow/model-versions/create", the same for all paths that lead
	// to it.
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
