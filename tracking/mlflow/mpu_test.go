package mlflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// partStore is a folder with a server of its own that takes parts and hands out
// files. What S3 servers make of it is tested in internal/inttest.
type partStore struct {
	*dirblob.Store
	url   string
	mu    sync.Mutex
	parts map[string][]byte
}

func newPartStore(t *testing.T) *partStore {
	t.Helper()
	files, err := dirblob.Open(t.TempDir())
	require.NoError(t, err)
	p := &partStore{Store: files, parts: map[string][]byte{}}
	server := httptest.NewServer(p)
	p.url = server.URL
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, files.Close())
	})
	return p
}

func (p *partStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.URL.Path, "/")
	if r.Method == http.MethodGet {
		body, err := p.Get(r.Context(), key, 0, -1)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer body.Close()
		_, _ = io.Copy(w, body)
		return
	}
	data, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts[r.URL.RequestURI()] = data
	w.Header().Set("ETag", fmt.Sprintf("%q", r.URL.Query().Get("part")))
}

func (p *partStore) SignGet(_ context.Context, key string, _ time.Duration) (string, error) {
	return p.url + "/" + key, nil
}

func (p *partStore) SignPut(_ context.Context, key string, d time.Duration) (string, error) {
	return fmt.Sprintf("%s/%s?for=%v", p.url, key, d), nil
}

func (p *partStore) CreateUpload(_ context.Context, key string, parts int, _ time.Duration) (string, []string, error) {
	var urls []string
	for i := range parts {
		urls = append(urls, fmt.Sprintf("%s/%s?part=%d", p.url, key, i+1))
	}
	return "up", urls, nil
}

func (p *partStore) CompleteUpload(ctx context.Context, key, upload string, etags map[int]string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var whole []byte
	for i := range len(etags) {
		if upload != "up" || etags[i+1] != fmt.Sprintf("%q", fmt.Sprint(i+1)) {
			return &fs.PathError{Op: "complete", Path: key, Err: fs.ErrInvalid}
		}
		whole = append(whole, p.parts[fmt.Sprintf("/%s?part=%d", key, i+1)]...)
	}
	return p.Put(ctx, key, bytes.NewReader(whole), int64(len(whole)))
}

func (p *partStore) AbortUpload(context.Context, string, string) error { return nil }

func TestFilesInParts(t *testing.T) {
	t.Parallel()
	store := newPartStore(t)
	s := serveArtifacts(t, func(o *mlflow.Options) { o.Artifacts = store })
	require.Contains(t, s.ok(http.MethodGet, "/api/3.0/mlflow/server-info", ""), `"multipart_uploads_enabled":true,"multipart_downloads_enabled":true`)

	const mpu = "/api/2.0/mlflow-artifacts/mpu/"
	var created struct {
		ID          string `json:"upload_id"`
		Credentials []struct {
			URL     string            `json:"url"`
			Number  int               `json:"part_number"`
			Headers map[string]string `json:"headers"`
		} `json:"credentials"`
	}
	require.NoError(t, json.Unmarshal([]byte(s.ok(http.MethodPost, mpu+"create/0/run/artifacts", `{"path": "/home/me/big.bin", "num_parts": 2}`)), &created))
	require.Len(t, created.Credentials, 2)
	var parts []string
	for i, c := range created.Credentials {
		require.Equal(t, i+1, c.Number)
		require.NotNil(t, c.Headers, "the client goes through them")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.URL, strings.NewReader(strings.Repeat(string(rune('a'+i)), 3)))
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		etag, err := json.Marshal(resp.Header.Get("ETag"))
		require.NoError(t, err)
		parts = append(parts, fmt.Sprintf(`{"part_number": %d, "etag": %s, "url": "x"}`, c.Number, etag))
	}
	complete := func(id string, parts ...string) string {
		return `{"path": "/home/me/big.bin", "upload_id": "` + id + `", "parts": [` + strings.Join(parts, ",") + `]}`
	}
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, mpu+"complete/0/run/artifacts", complete("other", parts...))
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, mpu+"complete/0/run/artifacts", complete("up", parts[0], parts[0]))
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, mpu+"complete/0/run/artifacts", complete("up", `{"part_number": 0, "etag": "x"}`))
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, mpu+"complete/0/run/artifacts", `{"path": "x", "upload_id": "up"}`)
	require.Equal(t, "{}", s.ok(http.MethodPost, mpu+"complete/0/run/artifacts", complete("up", parts...)))
	require.Equal(t, "aaabbb", s.ok(http.MethodGet, proxied+"/0/run/artifacts/big.bin", ""))
	require.Equal(t, "{}", s.ok(http.MethodPost, mpu+"abort/0/run/artifacts", `{"path": "x", "upload_id": "up"}`))
	for _, n := range []string{"0", "-1", "10001", "1.5", `"x"`} {
		s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, mpu+"create/0/d", `{"path": "x", "num_parts": `+n+`}`)
	}

	require.JSONEq(t, `{"url": "`+store.url+`/0/run/artifacts/big.bin", "headers": {}, "file_size": 6}`,
		s.ok(http.MethodGet, "/api/2.0/mlflow-artifacts/presigned/0/run/artifacts/big.bin", ""))
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, "/api/2.0/mlflow-artifacts/presigned/0/none", "")
}

func TestStoresWithoutParts(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	require.Contains(t, s.ok(http.MethodGet, "/api/3.0/mlflow/server-info", ""), `"multipart_uploads_enabled":false`)
	// The client sends the file whole when the text begins like this.
	message := s.fails(http.StatusNotImplemented, "NOT_IMPLEMENTED", http.MethodPost, "/api/2.0/mlflow-artifacts/mpu/create/0/d", `{"path": "x", "num_parts": 1}`)
	require.True(t, strings.HasPrefix(message, "Multipart upload is not supported for the current artifact repository"))
	s.fails(http.StatusNotImplemented, "NOT_IMPLEMENTED", http.MethodGet, "/api/2.0/mlflow-artifacts/presigned/0/d", "")
}

func TestSignedURLsOfRuns(t *testing.T) {
	t.Parallel()
	store := newPartStore(t)
	s := serveArtifacts(t, func(o *mlflow.Options) {
		o.OpenArtifacts = func(context.Context, string) (tracking.Artifacts, error) { return store, nil }
	})
	e, err := s.store.CreateExperiment(t.Context(), tracking.Experiment{Name: "s3", ArtifactLocation: "s3://bucket"})
	require.NoError(t, err)
	run, err := s.store.CreateRun(t.Context(), tracking.RunInfo{ID: tracking.NewRunID(), Experiment: e.ID, Status: tracking.Running})
	require.NoError(t, err)
	m, err := s.store.CreateModel(t.Context(), tracking.LoggedModel{ID: tracking.NewModelID(), Experiment: e.ID, Name: "m"})
	require.NoError(t, err)
	require.NoError(t, store.Put(t.Context(), "f", strings.NewReader("abc"), 3))
	const up, down = "/api/2.0/mlflow/artifacts/presigned-upload-url", "/api/2.0/mlflow/artifacts/presigned-download-url"
	ofRun := `{"run_id": "` + string(run.ID) + `", `
	require.JSONEq(t, `{"presigned_url": "`+store.url+`/f?for=15m0s", "headers": {}}`, s.ok(http.MethodPost, up, ofRun+`"path": "f"}`))
	require.JSONEq(t, `{"presigned_url": "`+store.url+`/f?for=1m0s", "headers": {}}`, s.ok(http.MethodPost, up, `{"model_id": "`+string(m.ID)+`", "path": "f", "expiration": 60}`))
	require.JSONEq(t, `{"presigned_url": "`+store.url+`/f", "headers": {}, "file_size": 3}`, s.ok(http.MethodPost, down, ofRun+`"path": "f"}`))
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodPost, down, ofRun+`"path": "none"}`)
	for _, body := range []string{
		ofRun + `"path": "../x"}`, ofRun + `"path": "f", "expiration": 0}`, ofRun + `"path": "f", "expiration": 604801}`, ofRun + `"model_id": "x", "path": "f"}`,
		`{"path": "f"}`, ofRun + `"path": ""}`, `{"run_id": "` + string(s.run().ID) + `", "path": "f"}`,
	} {
		s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, up, body)
	}
}
