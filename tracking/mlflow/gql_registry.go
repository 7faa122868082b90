package mlflow

import (
	"bytes"
	"net/http"
	"net/url"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// modelVersions asks the registry, as the caller, which registered versions
// came from a run. A registry that does not answer has none to show.
func (h *Handler) modelVersions(c *call, id tracking.RunID) ([]gqlModelVersion, error) {
	query := url.Values{"filter": {"run_id='" + string(id) + "'"}, "max_results": {"100"}}
	r := c.r.Clone(c.ctx())
	r.Method, r.Body, r.ContentLength = http.MethodGet, http.NoBody, 0
	r.URL = &url.URL{Path: "/api/2.0/mlflow/model-versions/search", RawQuery: query.Encode()}
	r.RequestURI = r.URL.RequestURI()
	w := &memoryResponse{header: http.Header{}}
	h.opts.Registry.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		return nil, c.ctx().Err()
	}
	var found struct {
		ModelVersions []gqlModelVersion `json:"model_versions"`
	}
	if err := mlflowapi.Decode(w.body.Bytes(), &found); err != nil {
		return nil, nil
	}
	return found.ModelVersions, nil
}

// memoryResponse keeps an answer.
type memoryResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *memoryResponse) Header() http.Header { return w.header }

func (w *memoryResponse) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *memoryResponse) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
