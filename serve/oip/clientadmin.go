package oip

import (
	"context"
	"net/http"
	"net/url"
)

// RepositoryIndex lists the versions in the server's repository, only those
// that answer now when ready is set. A server without the extension
// "model_repository" is an ErrNotFound or an ErrUnsupported.
func (c *Client) RepositoryIndex(ctx context.Context, ready bool) ([]ModelIndex, error) {
	var list []ModelIndex
	err := c.call(ctx, "repository index", http.MethodPost, "/v2/repository/index", RepositoryIndexRequest{Ready: ready}, &list)
	return list, err
}

// Load asks the server to load the model, or to load it again. req may be nil.
func (c *Client) Load(ctx context.Context, model string, req *LoadRequest) error {
	if req == nil {
		req = &LoadRequest{}
	}
	return c.call(ctx, "load", http.MethodPost, "/v2/repository/models/"+url.PathEscape(model)+"/load", req, nil)
}

// Unload asks the server to unload the model. req may be nil.
func (c *Client) Unload(ctx context.Context, model string, req *UnloadRequest) error {
	if req == nil {
		req = &UnloadRequest{}
	}
	return c.call(ctx, "unload", http.MethodPost, "/v2/repository/models/"+url.PathEscape(model)+"/unload", req, nil)
}

// Statistics returns what the model has done: all models for an empty name, all
// versions for an empty version.
func (c *Client) Statistics(ctx context.Context, model, version string) (Statistics, error) {
	path := "/v2/models/stats"
	if model != "" {
		path = modelPath(model, version) + "/stats"
	}
	var s Statistics
	err := c.get(ctx, "statistics", path, &s)
	return s, err
}

// ModelConfig returns the model's configuration. An empty version is the
// server's default.
func (c *Client) ModelConfig(ctx context.Context, model, version string) (ModelConfig, error) {
	var m ModelConfig
	err := c.get(ctx, "model config", modelPath(model, version)+"/config", &m)
	return m, err
}
