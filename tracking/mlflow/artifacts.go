package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// proxyScheme is the scheme of what Options.Artifacts keeps.
const proxyScheme = "mlflow-artifacts"

func (h *Handler) artifactRoutes() []route {
	const proxied = "2.0/mlflow-artifacts/artifacts"
	const file = proxied + "/{path...}"
	ofList := func(c *call) ([]tracking.ExperimentID, error) {
		m, err := message[mlflowapi.ListProxiedArtifacts](c)
		if err != nil {
			return nil, err
		}
		if h.ofRegistry(m.Path) && h.registryAsks() {
			return nil, nil
		}
		return ownerOfKey(m.Path), nil
	}
	return []route{
		{method: http.MethodGet, path: proxied, mark: core, verb: Read, scope: ofList, serve: h.listOrRegistry},
		{method: http.MethodGet, path: file, mark: core, verb: Read, scope: byKey, serve: h.getProxied},
		{method: http.MethodPut, path: file, mark: core, verb: Write, scope: byKey, serve: h.putProxied},
		{method: http.MethodDelete, path: file, mark: common, verb: Delete, scope: byKey, serve: h.deleteProxied},

		{method: http.MethodPost, path: "2.0/mlflow-artifacts/mpu/create/{path...}", mark: common, verb: Write, scope: byKey, serve: rpc(h.createUpload)},
		{method: http.MethodPost, path: "2.0/mlflow-artifacts/mpu/complete/{path...}", mark: common, verb: Write, scope: byKey, serve: rpc(h.completeUpload)},
		{method: http.MethodPost, path: "2.0/mlflow-artifacts/mpu/abort/{path...}", mark: common, verb: Write, scope: byKey, serve: rpc(h.abortUpload)},
		{method: http.MethodGet, path: "2.0/mlflow-artifacts/presigned/{path...}", mark: common, verb: Read, scope: byKey, serve: h.presignProxied},

		{method: http.MethodGet, path: "2.0/mlflow/artifacts/list", mark: common, verb: Read,
			scope: byRun(func(m *mlflowapi.ListArtifacts) string { return m.RunID }), serve: rpc(h.listOfRun)},
		{method: http.MethodGet, path: "/get-artifact", mark: common, verb: Read, scope: byQueryRun, serve: h.getOfRun},
		{method: http.MethodPost, path: "2.0/mlflow/upload-artifact", mark: common, verb: Write, scope: byQueryRun, serve: h.uploadOfRun},
		{method: http.MethodPost, path: "2.0/mlflow/artifacts/presigned-upload-url", mark: common, verb: Write, scope: byPresigned, serve: rpc(h.presignUpload)},
		{method: http.MethodPost, path: "2.0/mlflow/artifacts/presigned-download-url", mark: common, verb: Read, scope: byPresigned, serve: rpc(h.presignDownload)},

		{method: http.MethodGet, path: "2.0/mlflow/logged-models/{model_id}/artifacts/directories", mark: common, verb: Read, scope: byModelPath, serve: rpc(h.listOfModel)},
		{method: http.MethodGet, path: "2.0/mlflow/logged-models/{model_id}/artifacts/files", mark: common, verb: Read, scope: byModelPath, serve: h.getOfModel},
	}
}

// byKey is the scope of a route whose path names an artifact of the proxy.
func byKey(c *call) ([]tracking.ExperimentID, error) { return ownerOfKey(c.Path("path")), nil }

// ownerOfKey returns the experiment below whose default location a key is: the
// first segment is its id. Keys elsewhere are those of the whole server, as
// nothing says whose they are.
func ownerOfKey(key string) []tracking.ExperimentID {
	first, _, _ := strings.Cut(key, "/")
	if isDigits(first) {
		return []tracking.ExperimentID{tracking.ExperimentID(first)}
	}
	return []tracking.ExperimentID{""}
}

// queryRun returns the run that the arguments of the URL name.
func queryRun(c *call) (tracking.RunID, error) {
	query, err := mlflowhttp.Query(c.R)
	if err != nil {
		return "", err
	}
	for _, name := range [...]string{"run_id", "run_uuid"} {
		if id := query.Get(name); id != "" {
			return tracking.RunID(id), nil
		}
	}
	return "", mlflowapi.Missing("run_id")
}

// byQueryRun is the scope of a route whose URL names a run.
func byQueryRun(c *call) ([]tracking.ExperimentID, error) {
	id, err := queryRun(c)
	if err != nil {
		return nil, err
	}
	exp, err := c.h.experimentOfRun(c.Ctx(), id)
	return []tracking.ExperimentID{exp}, err
}

// byPresigned is the scope of the routes that name a run or a logged model.
func byPresigned(c *call) ([]tracking.ExperimentID, error) {
	m, err := message[mlflowapi.CreatePresignedURL](c)
	if err != nil {
		return nil, err
	}
	if (m.RunID == "") == (m.ModelID == "") {
		return nil, errOneOwner
	}
	var exp tracking.ExperimentID
	if m.RunID != "" {
		exp, err = c.h.experimentOfRun(c.Ctx(), tracking.RunID(m.RunID))
	} else {
		exp, err = c.h.experimentOfModel(c.Ctx(), tracking.ModelID(m.ModelID))
	}
	return []tracking.ExperimentID{exp}, err
}

var errOneOwner = mlflowapi.Errorf(mlflowapi.CodeInvalid, "Exactly one of run_id and model_id must be provided.")

// folder is a place for artifacts: the keys of store that begin with base.
type folder struct {
	store tracking.Artifacts
	base  string // "" or without a slash at the end
}

// key returns the key of a path that mlflowhttp.CheckPath accepts.
func (f folder) key(path string) string {
	if f.base == "" {
		return path
	}
	if path == "" {
		return f.base
	}
	return f.base + "/" + path
}

// proxy returns the store of the proxy's routes.
func (h *Handler) proxy() (tracking.Artifacts, error) {
	if h.opts.Artifacts == nil {
		// MLflow answers 503, which its own client takes for an outage and
		// tries again for minutes.
		return nil, fmt.Errorf("mlflow: this server keeps no artifacts of its own: %w", tracking.ErrUnsupported)
	}
	return h.opts.Artifacts, nil
}

// folderAt opens the place that the stored location of a run or a logged model
// names.
func (h *Handler) folderAt(ctx context.Context, location string) (folder, error) {
	u, err := url.Parse(location)
	if err != nil || u.RawQuery != "" || u.Fragment != "" {
		return folder{}, mlflowapi.Errorf(mlflowapi.CodeInvalid, "The artifact location %.200q is no URI that this server can open.", location)
	}
	if u.Scheme == proxyScheme {
		store, err := h.proxy()
		if err != nil {
			return folder{}, err
		}
		base, err := tracking.ArtifactKey(location)
		if err == nil && base != "" {
			err = mlflowhttp.CheckPath(base)
		}
		return folder{store: store, base: base}, err
	}
	if h.opts.OpenArtifacts == nil {
		return folder{}, cannotOpen(location)
	}
	store, err := h.opts.OpenArtifacts(ctx, location)
	if errors.Is(err, errs.ErrUnsupported) || err == nil && store == nil {
		return folder{}, cannotOpen(location)
	}
	return folder{store: store}, err
}

func cannotOpen(location string) error {
	return mlflowapi.Errorf(mlflowapi.CodeInvalid, "This server cannot open the artifact location %.200q: only the client can.", location)
}

// escapesRoot is what os.Root says of a symbolic link that leads out of it. It
// has no name to compare with.
const escapesRoot = "path escapes from parent"

// artifactError gives the errors of artifact stores the kinds of this module.
func artifactError(err error, path string) error {
	var kind error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errs.ErrUnavailable) || errors.Is(err, errs.ErrClosed):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return noArtifact(path)
	case errors.Is(err, fs.ErrInvalid) || strings.HasSuffix(err.Error(), escapesRoot):
		kind = errs.ErrInvalid
	case errors.Is(err, fs.ErrExist):
		kind = errs.ErrExists
	case errors.Is(err, fs.ErrClosed):
		kind = errs.ErrClosed
	default:
		return err
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err // the key is not the path that the client knows
	}
	return fmt.Errorf("mlflow: artifact %q: %w: %w", path, err, kind)
}

func noArtifact(path string) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotFound, "No such artifact: '%s'", mlflowhttp.Printable(path))
}
