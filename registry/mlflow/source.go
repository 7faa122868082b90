package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/tracking"
)

// placeholders are what MLflow's clients give as the source of a prompt, which
// has none. Nothing else is taken for one: the tag must be no way around the
// checks of sources.
var placeholders = []string{"dummy-source", "prompt-template"}

// remoteSchemes are the schemes of sources outside of runs and logged models
// that a client may name: those of stores that need credentials to get at.
var remoteSchemes = []string{"s3", "gs", "abfss", "abfs", "wasbs", "wasb", "hdfs", "dbfs"}

// source is what a version is made of.
type source struct {
	uri string // as the version has it
	// location is where the files are; empty for a prompt and for a version.
	location string
	open     bool // this server reads the location
	version  *registry.Version
	run      *tracking.RunInfo
	model    *tracking.LoggedModel
	runID    string
	modelID  string
}

func badSource(uri, why string) error {
	return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid model version source: '%s'. %s", mlflowhttp.Printable(uri), why)
}

func notWithin(uri, param string) error {
	return badSource(uri, "The "+param+" request parameter must identify the resource that contains the source.")
}

// sourceOf checks the source of a new version against the rights of the caller.
func (c *call) sourceOf(m *mlflowapi.CreateModelVersion) (*source, error) {
	if isPrompt(mapOf(m.Tags)) {
		if !slices.Contains(placeholders, m.Source) {
			return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid prompt source: '%s'. Prompt sources must use an MLflow placeholder.", mlflowhttp.Printable(m.Source))
		}
		return &source{uri: m.Source}, nil
	}
	if fault := mlflowhttp.LocationFault(m.Source); fault != "" {
		return nil, badSource(m.Source, "It is refused because "+fault+".")
	}
	u, err := url.Parse(m.Source)
	if err != nil {
		return nil, badSource(m.Source, "It is no URI.")
	}
	s := &source{uri: m.Source, runID: text(m.RunID), modelID: text(m.ModelID)}
	if err := c.findOwners(s); err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "models":
		return s, c.fromModels(s, m, u)
	case "runs":
		return s, s.fromRun(u)
	}
	return s, c.fromPlace(s, u)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// findOwners looks up the run and the logged model that the request names. One
// that does not exist is no fault as long as the source is not in it.
func (c *call) findOwners(s *source) error {
	if c.h.opts.Tracking == nil {
		return nil
	}
	if s.modelID != "" {
		models, ok := c.h.opts.Tracking.(tracking.ModelStore)
		if !ok {
			return badSource(s.uri, "This server has no logged models.")
		}
		m, err := models.Model(c.Ctx(), tracking.ModelID(s.modelID))
		switch {
		case errors.Is(err, tracking.ErrNotFound) || errors.Is(err, tracking.ErrInvalid) || err == nil && m.Deleted:
			return notWithin(s.uri, "model_id")
		case err != nil:
			return err
		}
		if err := c.mayUse(m.Experiment); err != nil {
			return err
		}
		s.model = &m
		if s.runID == "" {
			s.runID = string(m.SourceRun)
		}
	}
	if s.runID == "" {
		return nil
	}
	if err := tracking.ValidateRunID(tracking.RunID(s.runID)); err != nil {
		return mlflowapi.InvalidValue("run_id", string(mlflowapi.AppendText(nil, s.runID)), "")
	}
	run, err := c.h.opts.Tracking.Run(c.Ctx(), tracking.RunID(s.runID))
	switch {
	case errors.Is(err, tracking.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	if err := c.mayUse(run.Experiment); err != nil {
		return err
	}
	s.run = &run
	return nil
}

// mayUse asks whether the caller may read the experiment of a source.
func (c *call) mayUse(id tracking.ExperimentID) error {
	if c.h.opts.Authorize == nil {
		return nil
	}
	if err := c.h.opts.AuthorizeRead(c.R, id); err != nil {
		return mlflowhttp.Refused(err)
	}
	return nil
}

// fromRun takes runs:/<id>/<path>, which has to name the request's run.
func (s *source) fromRun(u *url.URL) error {
	id, path, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if u.Host != "" || s.run == nil || s.model != nil || id != string(s.run.ID) || path == "" {
		return notWithin(s.uri, "run_id")
	}
	if err := mlflowhttp.CheckPath(path); err != nil {
		return err
	}
	s.location, s.open = join(s.run.ArtifactURI, path), true
	return nil
}

// fromModels takes models:/<id> of a logged model, which has to be that of the
// request, and models:/<name>/<version> and @alias of another version.
func (c *call) fromModels(s *source, m *mlflowapi.CreateModelVersion, u *url.URL) error {
	if u.Host != "" {
		return notWithin(s.uri, "model_id")
	}
	name, number, found := strings.Cut(strings.Trim(u.Path, "/"), "/")
	base, alias, aliased := strings.Cut(name, "@")
	switch {
	case strings.Contains(number, "/") || found && aliased:
		return notWithin(s.uri, "model_id")
	case !found && !aliased:
		if s.model == nil || name != string(s.model.ID) {
			return notWithin(s.uri, "model_id")
		}
		s.location, s.open = s.model.ArtifactURI, true
		return nil
	case aliased:
		name = base
	}
	if ok, err := c.mayRead(name); err != nil {
		return err
	} else if !ok {
		return noModel(name)
	}
	v, err := c.named(name, number, alias)
	if err != nil {
		return err
	}
	if isPrompt(v.Tags) {
		return badSource(s.uri, "Prompt versions cannot be used as model version sources.")
	}
	if m.RunID != nil && *m.RunID != v.Run || m.ModelID != nil && *m.ModelID != v.LoggedModel {
		return badSource(s.uri, "The run_id and model_id request parameters must match the referenced model version.")
	}
	s.uri = "models:/" + v.Ref()
	s.version, s.runID, s.modelID = v, v.Run, v.LoggedModel
	return nil
}

// named returns the version that a models: URI names: by number, alias, stage
// or as the latest.
func (c *call) named(name, number, alias string) (*registry.Version, error) {
	if alias != "" {
		return c.aliased(name, alias)
	}
	if _, err := strconv.Atoi(number); err == nil {
		return c.version(name, number)
	}
	if strings.EqualFold(number, latestAlias) {
		return c.latest(name)
	}
	stage, err := stageOf(number)
	if err != nil {
		return nil, err
	}
	latest, err := c.h.reg.LatestVersions(c.Ctx(), name)
	if err != nil {
		return nil, err
	}
	for _, v := range latest {
		if wireVersion(v).CurrentStage == stage {
			return c.version(name, strconv.Itoa(v.Number))
		}
	}
	return nil, mlflowapi.Errorf(mlflowapi.CodeNotFound, "Model '%s' has no version in the stage %s.", mlflowhttp.Printable(name), stage)
}

// fromPlace takes the URI of a place. One inside the run or the logged model is
// read; any other has to be allowed.
func (c *call) fromPlace(s *source, u *url.URL) error {
	s.location = s.uri
	for _, root := range []string{owner(s.model), ownerRun(s.run)} {
		if root != "" && within(u, root) {
			s.open = true
			return nil
		}
	}
	switch {
	case u.Scheme == "mlflow-artifacts":
		if s.modelID != "" {
			return notWithin(s.uri, "model_id")
		}
		return notWithin(s.uri, "run_id")
	case c.h.opts.AllowSources != nil:
		if err := c.h.opts.AllowSources(s.uri); err != nil {
			return badSource(s.uri, "This server does not take it: "+err.Error()+".")
		}
		return nil
	case u.Scheme == "" || u.Scheme == "file":
		return badSource(s.uri, "To use a local path as a model version source, the run_id or model_id request parameter has to be specified and the path "+
			"has to be contained within the artifact directory of that run or model.")
	case !slices.Contains(remoteSchemes, u.Scheme) || u.Host == "" && !slices.Contains([]string{"dbfs", "hdfs"}, u.Scheme): // which have one of their own
		return badSource(s.uri, "This server takes sources in runs and logged models, and those with one of the schemes "+strings.Join(remoteSchemes, ", ")+".")
	}
	return nil
}

func owner(m *tracking.LoggedModel) string {
	if m == nil {
		return ""
	}
	return m.ArtifactURI
}

func ownerRun(r *tracking.RunInfo) string {
	if r == nil {
		return ""
	}
	return r.ArtifactURI
}

// within reports whether u is the location root or below it. LocationFault has
// refused what would leave it later.
func within(u *url.URL, root string) bool {
	r, err := url.Parse(root)
	if err != nil || !strings.EqualFold(u.Scheme, r.Scheme) || !strings.EqualFold(u.Host, r.Host) {
		return false
	}
	have, want := segments(u.Path), segments(r.Path)
	return len(want) > 0 && len(have) >= len(want) && slices.Equal(have[:len(want)], want)
}

func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func join(root, path string) string { return strings.TrimRight(root, "/") + "/" + path }

// storedSource is the source of a stored version, whose maker was allowed to use
// it.
func (h *Handler) storedSource(ctx context.Context, v *registry.Version) (*source, error) {
	s := &source{uri: v.Source, runID: v.Run, modelID: v.LoggedModel}
	u, err := url.Parse(v.Source)
	if err != nil {
		return nil, fmt.Errorf("mlflow: source %q: %w", v.Source, registry.ErrInvalid)
	}
	if name, number, found := strings.Cut(strings.Trim(u.Path, "/"), "/"); u.Scheme == "models" && found {
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("mlflow: source %q: %w", v.Source, registry.ErrInvalid)
		}
		s.version, err = h.reg.Version(ctx, name, n)
		return s, err
	}
	s.location, s.open, err = h.location(ctx, v)
	return s, err
}

// location returns where the files of a stored version are, for one that has
// none here: its source, or what that stands for.
func (h *Handler) location(ctx context.Context, v *registry.Version) (location string, open bool, err error) {
	u, err := url.Parse(v.Source)
	if err != nil || h.opts.Tracking == nil {
		return v.Source, false, nil
	}
	var roots []string
	if models, ok := h.opts.Tracking.(tracking.ModelStore); ok && v.LoggedModel != "" {
		m, err := models.Model(ctx, tracking.ModelID(v.LoggedModel))
		if err != nil && !errors.Is(err, tracking.ErrNotFound) {
			return "", false, err
		}
		if err == nil && u.Scheme == "models" {
			return m.ArtifactURI, true, nil
		}
		roots = append(roots, m.ArtifactURI)
	}
	if v.Run != "" {
		run, err := h.opts.Tracking.Run(ctx, tracking.RunID(v.Run))
		if err != nil && !errors.Is(err, tracking.ErrNotFound) {
			return "", false, err
		}
		if id, path, _ := strings.Cut(strings.Trim(u.Path, "/"), "/"); err == nil && u.Scheme == "runs" && id == v.Run {
			return join(run.ArtifactURI, path), true, nil
		}
		roots = append(roots, run.ArtifactURI)
	}
	for _, root := range roots {
		if root != "" && within(u, root) {
			return v.Source, true, nil
		}
	}
	return v.Source, false, nil
}

// errNoReader: this server cannot read a location, only clients can.
var errNoReader = fmt.Errorf("mlflow: this server reads no files there: %w", registry.ErrUnsupported)

// filesAt opens the files at a location. open says that it is inside a run or a
// logged model.
func (h *Handler) filesAt(ctx context.Context, location string, open bool) (fs.FS, error) {
	if !open {
		if h.opts.OpenSource == nil {
			return nil, errNoReader
		}
		return h.opts.OpenSource(ctx, location)
	}
	u, err := url.Parse(location)
	if err != nil {
		return nil, errNoReader
	}
	if u.Scheme == "mlflow-artifacts" {
		if h.opts.Artifacts == nil {
			return nil, errNoReader
		}
		base, err := tracking.ArtifactKey(location)
		if err == nil {
			err = mlflowhttp.CheckPath(base)
		}
		if err != nil {
			return nil, err
		}
		return newArtifactFS(ctx, h.opts.Artifacts, base)
	}
	if h.opts.OpenArtifacts == nil {
		return nil, errNoReader
	}
	store, err := h.opts.OpenArtifacts(ctx, location)
	if err == nil && store == nil {
		err = errNoReader
	}
	if err != nil {
		return nil, err
	}
	return newArtifactFS(ctx, store, "")
}
