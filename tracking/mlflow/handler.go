package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// defaultVersion is the MLflow release whose API the handler serves. Clients
// enable features by it.
const defaultVersion = "3.17.2"

// Options sets what NewHandler serves beside the store. The zero Options, and
// nil, serve the API without artifacts to everyone who reaches the listener
// under a local or private address.
type Options struct {
	// Artifacts keeps what mlflow-artifacts: URIs name. A key is the path of
	// the URI without its leading slash. Without it the artifact proxy answers
	// 503, as MLflow does without --serve-artifacts.
	Artifacts tracking.Artifacts
	// OpenArtifacts opens artifact locations of other schemes for the routes
	// that list and send the artifacts of a run: the keys of the result are
	// paths below uri. Without it such locations answer 400.
	OpenArtifacts func(ctx context.Context, uri string) (tracking.Artifacts, error)
	// AllowLocations decides which artifact location a client may choose for
	// an experiment; its error is sent to the client. By default only URIs of
	// mlflow-artifacts and of object stores are, so that no client reaches
	// files of the server or makes it call another one. URIs with a query, a
	// fragment, credentials or ".." are refused in any case.
	AllowLocations func(uri string) error

	// UIDir has a build of MLflow's web UI (mlflow/server/js/build in the
	// Python package), served at the root.
	UIDir fs.FS
	// Prefix is a path, like "/mlflow", under which everything is served as
	// well as at the root.
	Prefix string

	// Authorize decides about each request. It is called first with the
	// Connect verb, where it must refuse who does not say who they are with
	// ErrUnauthenticated, and then with what the request is about to do, once
	// for each experiment concerned. Any other error refuses with 403. Nil
	// allows everything.
	Authorize func(r *http.Request, a Action) error
	// Created is told of each experiment that a request made, so that its
	// maker can be given access. Its error is the answer to the request.
	Created func(r *http.Request, id tracking.ExperimentID) error
	// Auth knows the users and what they may do. With it the routes for users
	// and permissions are served, and it is what Authorize and Created are when
	// they are nil.
	Auth *Auth

	// AllowedHosts are the values of the Host header that are served, with
	// "*" for any text; a pattern without a port matches any port. By default
	// localhost and the addresses of private networks, since a page of another
	// host name that resolves to this server must not use it. "*" allows all.
	AllowedHosts []string
	// AllowedOrigins are the origins, like "https://ui.example.com", whose
	// pages may change things; "*" stands for any text. Pages of this server
	// and of localhost always may.
	AllowedOrigins []string

	// ReuseDeletedNames lets the name of a deleted experiment be taken: the
	// deleted one is renamed. By default that fails, as in MLflow.
	ReuseDeletedNames bool
	// Registry serves the routes of the model registry. Without it they
	// answer 501.
	Registry http.Handler
	// Logger receives what a client is not told: the causes of answers 500
	// and 503. Nil discards it.
	Logger *slog.Logger
	// Version answers GET /version, by default the release of MLflow whose
	// API this is.
	Version string
}

// Handler serves MLflow's REST API. It is safe for concurrent use, starts
// nothing and needs no closing.
type Handler struct {
	store   tracking.Store
	sampler tracking.Sampler       // nil where the store is none
	inputs  tracking.InputSearcher // likewise
	models  tracking.ModelStore
	traces  tracking.TraceStore
	opts    Options
	log     *slog.Logger
	site    mlflowhttp.Site
	router  mlflowhttp.Router[route]
	table   []route
	scopes  scopeCache
}

// NewHandler returns a handler that serves the API of store. It makes the
// experiment "0", named "Default", when store has none, since clients log
// there by default.
func NewHandler(store tracking.Store, opts *Options) (*Handler, error) {
	if store == nil {
		return nil, fmt.Errorf("mlflow: handler: store is nil: %w", tracking.ErrInvalid)
	}
	h := &Handler{store: store}
	if opts != nil {
		h.opts = *opts
	}
	if auth := h.opts.Auth; auth != nil {
		if h.opts.Authorize == nil {
			h.opts.Authorize = auth.Authorize
		}
		if h.opts.Created == nil {
			h.opts.Created = auth.Created
		}
	}
	h.sampler, _ = store.(tracking.Sampler)
	h.inputs, _ = store.(tracking.InputSearcher)
	h.models, _ = store.(tracking.ModelStore)
	h.traces, _ = store.(tracking.TraceStore)
	h.log = h.opts.Logger
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.opts.Version == "" {
		h.opts.Version = defaultVersion
	}
	if err := mlflowhttp.CheckPrefix(h.opts.Prefix); err != nil {
		return nil, err
	}
	h.site = mlflowhttp.Site{
		Prefix: h.opts.Prefix, Peers: mlflowhttp.NewPeers(h.opts.AllowedHosts, h.opts.AllowedOrigins), Log: h.log, Wire: wireError,
	}
	h.table = h.allRoutes()
	if err := addRoutes(&h.router, h.table); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return h, h.ensureDefault(ctx)
}

// ensureDefault makes the experiment "0".
func (h *Handler) ensureDefault(ctx context.Context) error {
	_, err := h.experiment(ctx, defaultExperiment)
	if !errors.Is(err, tracking.ErrNotFound) {
		return err
	}
	_, err = h.store.CreateExperiment(ctx, tracking.Experiment{ID: defaultExperiment, Name: "Default"})
	if errors.Is(err, tracking.ErrExists) {
		return nil // another server on the same store, or a user's "Default"
	}
	if err != nil {
		return fmt.Errorf("mlflow: handler: make experiment %q: %w", defaultExperiment, err)
	}
	return nil
}

// allRoutes is the route table.
func (h *Handler) allRoutes() []route {
	var table []route
	for _, part := range [][]route{
		h.experimentRoutes(), h.runRoutes(), h.batchRoutes(), h.metricRoutes(), h.modelRoutes(),
		h.artifactRoutes(), h.traceRoutes(), h.userRoutes(), h.grantRoutes(),
		h.serverRoutes(), h.graphqlRoutes(), h.registryRoutes(), nicheRoutes(),
	} {
		table = append(table, part...)
	}
	return table
}
