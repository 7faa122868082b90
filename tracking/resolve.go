package tracking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Files returns the folder of artifacts that a URI names, as MLflow does:
//
//   - runs:/<run id>/<path> is a folder of a run, or of the logged model with
//     the name <path> that the run made last
//   - models:/m-<id>/<path> is a folder of a logged model
//   - models:/<name>/<version> and models:/<name>@<alias> are versions of a
//     registered model, which Options.ResolveModel finds
//   - any other URI is itself, like mlflow-artifacts:/3/… or s3://bucket/…
//
// The path may be left out, and must be one of a folder: a file is opened or
// downloaded from its folder. ErrNotFound when there is no such run or model;
// whether there are files is seen when they are read.
func (c *Client) Files(ctx context.Context, uri string) (*Files, error) {
	if err := c.check("resolve artifact URI"); err != nil {
		return nil, err
	}
	if fault := uriFault(uri, maxArtifactURI+maxArtifactPath+1); fault != "" {
		return nil, fmt.Errorf("tracking: artifact URI %q: %s: %w", shorten(uri), fault, ErrInvalid)
	}
	scheme, rest, _ := strings.Cut(uri, ":")
	var err error
	switch strings.ToLower(scheme) {
	case "runs":
		uri, err = c.resolveRun(ctx, strings.Trim(rest, "/"))
	case "models":
		uri, err = c.resolveModel(ctx, uri, strings.Trim(rest, "/"))
	}
	if err != nil {
		return nil, err
	}
	return &Files{client: c, uri: strings.TrimRight(uri, "/")}, nil
}

// resolveRun resolves <run id>/<path>.
func (c *Client) resolveRun(ctx context.Context, rest string) (string, error) {
	id, path, _ := strings.Cut(rest, "/")
	if err := ValidateRunID(RunID(id)); err != nil {
		return "", err
	}
	info, err := c.store.Run(ctx, RunID(id))
	if err != nil {
		return "", err
	}
	if path == "" {
		return info.ArtifactURI, nil
	}
	if err := ValidateArtifactPath(path); err != nil {
		return "", err
	}
	if uri, found, err := c.outputNamed(ctx, info, path); err != nil || found {
		return uri, err
	}
	return info.ArtifactURI + "/" + path, nil
}

// outputNamed finds a logged model of the run whose name begins path. Models
// logged by clients before MLflow 3 lie among the run's own files.
func (c *Client) outputNamed(ctx context.Context, info RunInfo, path string) (uri string, found bool, err error) {
	models, ok := c.store.(ModelStore)
	if !ok || len(info.Outputs) == 0 {
		return "", false, nil
	}
	name, below, deeper := strings.Cut(path, "/")
	for _, out := range slices.Backward(info.Outputs) {
		m, err := models.Model(ctx, out.Model)
		switch {
		case errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnsupported):
			continue
		case err != nil:
			return "", false, err
		case m.Name != name || m.Deleted:
			continue
		case deeper:
			return m.ArtifactURI + "/" + below, true, nil
		}
		return m.ArtifactURI, true, nil
	}
	return "", false, nil
}

// resolveModel resolves models:/<rest>.
func (c *Client) resolveModel(ctx context.Context, uri, rest string) (string, error) {
	id, path, deeper := strings.Cut(rest, "/")
	logged := strings.HasPrefix(id, "m-") && !strings.Contains(id, "@") && (!deeper || !isNumber(path))
	if !logged {
		if c.opts.ResolveModel == nil {
			return "", fmt.Errorf("tracking: resolve %s: it names a registered model, set Options.ResolveModel to a func that asks the registry: %w", uri, ErrUnsupported)
		}
		return c.opts.ResolveModel(ctx, uri)
	}
	m, err := c.Model(ctx, ModelID(id))
	if err != nil {
		return "", err
	}
	if !deeper {
		return m.ArtifactURI, nil
	}
	if err := ValidateArtifactPath(path); err != nil {
		return "", err
	}
	return m.ArtifactURI + "/" + path, nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
