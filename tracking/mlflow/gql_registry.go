package mlflow

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// gqlVersions is an answer of the registry's search.
type gqlVersions struct {
	ModelVersions []gqlModelVersion `json:"model_versions"`
	NextPageToken string            `json:"next_page_token"`
}

// modelVersions asks the registry which registered versions came from a run. A
// registry that does not answer has none to show.
func (h *Handler) modelVersions(c *call, id tracking.RunID) ([]gqlModelVersion, error) {
	found, err := h.searchRegistry(c, url.Values{"filter": {"run_id='" + string(id) + "'"}, "max_results": {"100"}})
	if err != nil {
		return nil, c.Ctx().Err()
	}
	return found.ModelVersions, nil
}

// maxGQLVersions is how many versions one answer of GraphQL has at most.
const maxGQLVersions = 10_000

// resolveVersions searches the registry.
func (h *Handler) resolveVersions(c *call, q *gqlRequest, f *gqlField) (any, error) {
	var m mlflowapi.SearchRegistry
	if err := q.input(f, &m); err != nil {
		return nil, err
	}
	type answer struct {
		ModelVersions []gqlModelVersion `json:"model_versions"`
		NextPageToken *string           `json:"next_page_token"`
	}
	if h.opts.Registry == nil {
		return &answer{}, nil
	}
	limit, err := pageMax(m.MaxResults, maxGQLVersions, maxGQLVersions)
	if err != nil {
		return nil, err
	}
	query := url.Values{"max_results": {strconv.Itoa(limit)}, "order_by": m.OrderBy}
	if m.Filter != "" {
		query.Set("filter", m.Filter)
	}
	if m.PageToken != "" {
		query.Set("page_token", m.PageToken)
	}
	found, err := h.searchRegistry(c, query)
	if err != nil {
		return nil, err
	}
	return &answer{found.ModelVersions, textOrNone(found.NextPageToken)}, nil
}

// searchRegistry searches the versions of the registry, as the caller.
func (h *Handler) searchRegistry(c *call, query url.Values) (*gqlVersions, error) {
	r := c.R.Clone(c.Ctx())
	r.Method, r.Body, r.ContentLength = http.MethodGet, http.NoBody, 0
	r.URL = &url.URL{Path: "/api/2.0/mlflow/model-versions/search", RawQuery: query.Encode()}
	r.RequestURI = r.URL.RequestURI()
	w := &memoryResponse{header: http.Header{}}
	h.opts.Registry.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		var fault mlflowapi.Error
		if err := mlflowapi.Decode(w.body.Bytes(), &fault); err != nil || fault.Code == "" {
			fault = *mlflowapi.FromStatus(w.status, "The model registry did not answer.")
		}
		return nil, &fault
	}
	var found gqlVersions
	if err := mlflowapi.Decode(w.body.Bytes(), &found); err != nil {
		return nil, err
	}
	return &found, nil
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
