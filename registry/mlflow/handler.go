package mlflow

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/webhook"
	"github.com/millwright-ml/millwright/tracking"
)

// Options sets what NewHandler serves beside the registry. The zero Options,
// and nil, serve it to everyone who reaches the listener under a local or
// private address; versions can then be made of other versions and of places
// that only clients read.
type Options struct {
	// Tracking finds the runs and logged models that versions are made of.
	Tracking tracking.Store
	// Artifacts keeps what mlflow-artifacts: URIs name, and OpenArtifacts opens
	// the other locations of runs and logged models, as for the tracking
	// server. Versions made of a place that neither reads have no files.
	Artifacts     tracking.Artifacts
	OpenArtifacts func(ctx context.Context, uri string) (tracking.Artifacts, error)
	// AllowSources decides which source outside of runs, logged models and
	// versions a client may name; its error is sent to the client. By default
	// only URIs of object stores are. URIs with a query, a fragment, credentials
	// or ".." are refused in any case.
	AllowSources func(uri string) error
	// OpenSource opens such a source, so that its files are copied. Without it,
	// or when it answers ErrUnsupported, the source is only recorded: a client
	// that may name a bucket must not read it through this server's credentials.
	OpenSource func(ctx context.Context, uri string) (fs.FS, error)
	// Wait is how long a request that makes a version waits for its files;
	// after that it answers PENDING_REGISTRATION. Default 10 s.
	Wait time.Duration

	// Prefix is a path, like "/mlflow", under which everything is served as
	// well as at the root.
	Prefix string
	// Authorize decides about each request. It is called first with the
	// Connect verb, where it must refuse who does not say who they are with
	// ErrUnauthenticated, and then with what the request is about to do, once
	// for each model concerned. Any other error refuses with 403. Nil allows
	// everything.
	Authorize func(r *http.Request, a Action) error
	// AuthorizeRead decides whether the sender may read an experiment, whose
	// run or logged model a version is to be made of. It must be set when
	// Authorize and Tracking are.
	AuthorizeRead func(r *http.Request, experiment tracking.ExperimentID) error
	// User tells who sent a request, for the audit log. Nil leaves it open.
	User func(r *http.Request) string
	// Changed is told of each name that a request took (was is empty), gave up
	// (now is empty) or changed, so that access can follow it; no other change
	// of names comes between. Its error is the answer.
	Changed func(r *http.Request, was, now string) error

	// Webhooks serves the routes of webhooks; without it they answer 501.
	Webhooks *webhook.Hooks

	// AllowedHosts are the values of the Host header that are served, with
	// "*" for any text; a pattern without a port matches any port. By default
	// localhost and the addresses of private networks.
	AllowedHosts []string
	// AllowedOrigins are the origins, like "https://ui.example.com", whose
	// pages may change things; "*" stands for any text. Pages of this server
	// and of localhost always may.
	AllowedOrigins []string
	// Logger receives what a client is not told. Nil discards it.
	Logger *slog.Logger
}

// Handler serves MLflow's model registry. It is safe for concurrent use.
// Shutdown ends the copies of files that still run; the Registry must stay
// open until then.
type Handler struct {
	reg    *registry.Registry
	opts   Options
	site   mlflowhttp.Site
	router mlflowhttp.Router[route]
	table  []route
	copies copies
	quick  int64      // quickBytes
	names  sync.Mutex // held over a change of names and Options.Changed
}

// NewHandler returns a handler that serves reg.
func NewHandler(reg *registry.Registry, opts *Options) (*Handler, error) {
	if reg == nil {
		return nil, fmt.Errorf("mlflow: handler: the registry is nil: %w", registry.ErrInvalid)
	}
	h := &Handler{reg: reg, quick: quickBytes}
	if opts != nil {
		h.opts = *opts
	}
	if h.opts.Logger == nil {
		h.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if h.opts.Wait <= 0 {
		h.opts.Wait = 10 * time.Second
	}
	if h.opts.Authorize != nil && h.opts.Tracking != nil && h.opts.AuthorizeRead == nil {
		return nil, fmt.Errorf("mlflow: handler: Authorize is set and AuthorizeRead is not: every run could be read through a version: %w", registry.ErrInvalid)
	}
	if err := mlflowhttp.CheckPrefix(h.opts.Prefix); err != nil {
		return nil, err
	}
	h.site = mlflowhttp.Site{
		Prefix: h.opts.Prefix, Peers: mlflowhttp.NewPeers(h.opts.AllowedHosts, h.opts.AllowedOrigins), Log: h.opts.Logger, Wire: wireError,
	}
	h.table = h.allRoutes()
	if err := addRoutes(&h.router, h.table); err != nil {
		return nil, err
	}
	return h, nil
}

// Authorizes reports that the handler decides itself who may do what, so that
// a tracking server that passes requests on to it need not.
func (h *Handler) Authorizes() bool { return h.opts.Authorize != nil }

// allRoutes is the route table.
func (h *Handler) allRoutes() []route {
	var table []route
	for _, part := range [][]route{
		h.modelRoutes(), h.versionRoutes(), h.aliasRoutes(), h.stageRoutes(), h.fileRoutes(), h.webhookRoutes(),
	} {
		table = append(table, part...)
	}
	return table
}
