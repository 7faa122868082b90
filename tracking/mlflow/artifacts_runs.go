package mlflow

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// maxUpload bounds what the UI may upload in one request.
const maxUpload = 10 << 20

// folderOfRun opens the artifacts of a run.
func (h *Handler) folderOfRun(c *call, id tracking.RunID) (folder, string, error) {
	run, err := h.run(c.Ctx(), id)
	if err != nil {
		return folder{}, "", err
	}
	f, err := h.folderAt(c.Ctx(), run.ArtifactURI)
	return f, run.ArtifactURI, err
}

// folderOfModel opens the artifacts of a logged model.
func (h *Handler) folderOfModel(c *call, id tracking.ModelID) (folder, string, error) {
	m, err := h.model(c.Ctx(), id, false)
	if err != nil {
		return folder{}, "", err
	}
	f, err := h.folderAt(c.Ctx(), m.ArtifactURI)
	return f, m.ArtifactURI, err
}

func (h *Handler) listOfRun(c *call, m *mlflowapi.ListArtifacts) (any, error) {
	if m.RunID == "" {
		return nil, mlflowapi.Missing("run_id")
	}
	f, root, err := h.folderOfRun(c, tracking.RunID(m.RunID))
	if err != nil {
		return nil, err
	}
	return answer(f.page(c.Ctx(), root, m.Path, m.PageToken))
}

// answer is a message with its error as rpc wants them: a nil pointer in an
// interface would be an answer.
func answer[M any](m *M, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (h *Handler) getOfRun(c *call) error {
	id, err := queryRun(c)
	if err != nil {
		return err
	}
	path, err := queryPath(c, "path")
	if err != nil {
		return err
	}
	f, _, err := h.folderOfRun(c, id)
	if err != nil {
		return err
	}
	return f.send(c, path)
}

// queryPath returns a required argument of the URL that is a path.
func queryPath(c *call, name string) (string, error) {
	query, err := mlflowhttp.Query(c.R)
	if err != nil {
		return "", err
	}
	path := query.Get(name)
	if path == "" {
		return "", mlflowapi.Errorf(mlflowapi.CodeBadRequest, "Request must include the \"%s\" query parameter.", name)
	}
	return path, mlflowhttp.CheckPath(path)
}

// uploadOfRun is how the UI stores small files. Its arguments are in the URL,
// its body is the file.
func (h *Handler) uploadOfRun(c *call) error {
	id, err := queryRun(c)
	if err != nil {
		return err
	}
	path, err := queryPath(c, "path")
	if err != nil {
		return err
	}
	if c.R.ContentLength > maxUpload {
		return errUploadTooLarge
	}
	body := newUpload(c)
	defer body.end()
	c.R.Body = http.MaxBytesReader(c.W, c.R.Body, maxUpload)
	data, err := io.ReadAll(body)
	switch {
	case err != nil:
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return errUploadTooLarge
		}
		return body.fault()
	case len(data) == 0:
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Request must specify data.")
	}
	run, err := h.run(c.Ctx(), id)
	if err != nil {
		return err
	}
	if run.Deleted {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "The run %s must be in the 'active' state. Current state is deleted.", run.ID)
	}
	f, err := h.folderAt(c.Ctx(), run.ArtifactURI)
	if err != nil {
		return err
	}
	if err := f.store.Put(c.Ctx(), f.key(path), bytes.NewReader(data), int64(len(data))); err != nil {
		return artifactError(err, path)
	}
	return c.Send(http.StatusOK, nil)
}

var errUploadTooLarge = mlflowapi.Errorf(mlflowapi.CodeInvalid, "Artifact size is too large. Max size is 10MB.")

func (h *Handler) listOfModel(c *call, m *mlflowapi.ListLoggedModelArtifacts) (any, error) {
	f, root, err := h.folderOfModel(c, tracking.ModelID(c.Path("model_id")))
	if err != nil {
		return nil, err
	}
	return answer(f.page(c.Ctx(), root, m.ArtifactDirectoryPath, m.PageToken))
}

func (h *Handler) getOfModel(c *call) error {
	path, err := queryPath(c, "artifact_file_path")
	if err != nil {
		return err
	}
	f, _, err := h.folderOfModel(c, tracking.ModelID(c.Path("model_id")))
	if err != nil {
		return err
	}
	return f.send(c, path)
}

// locationOf returns where the artifacts of a run or a logged model are.
func (h *Handler) locationOf(c *call, m *mlflowapi.CreatePresignedURL) (string, error) {
	if (m.RunID == "") == (m.ModelID == "") {
		return "", errOneOwner
	}
	if m.RunID != "" {
		run, err := h.run(c.Ctx(), tracking.RunID(m.RunID))
		return run.ArtifactURI, err
	}
	model, err := h.model(c.Ctx(), tracking.ModelID(m.ModelID), false)
	return model.ArtifactURI, err
}
