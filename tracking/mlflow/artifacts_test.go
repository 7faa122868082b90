package mlflow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

const proxied = "/api/2.0/mlflow-artifacts/artifacts"

// artifactServer is a running server with its store and its folder of
// artifacts.
type artifactServer struct {
	t     *testing.T
	url   string
	dir   string
	files *dirblob.Store
	store *trackingtest.Memory
}

func serveArtifacts(t *testing.T, change func(*mlflow.Options)) *artifactServer {
	t.Helper()
	dir := t.TempDir()
	files, err := dirblob.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	opts := &mlflow.Options{Artifacts: files}
	if change != nil {
		change(opts)
	}
	s := &artifactServer{t: t, dir: dir, files: files, store: new(trackingtest.Memory)}
	h, err := mlflow.NewHandler(s.store, opts)
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// do sends a request and returns the status, the header and the body.
func (s *artifactServer) do(method, path, body string, header ...string) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, resp.Header, string(answer)
}

// ok sends a request that must succeed and returns the body.
func (s *artifactServer) ok(method, path, body string, header ...string) string {
	s.t.Helper()
	status, _, answer := s.do(method, path, body, header...)
	require.Equal(s.t, http.StatusOK, status, "%s %s: %s", method, path, answer)
	return answer
}

// fails sends a request that must fail, and checks the error code.
func (s *artifactServer) fails(status int, code, method, path, body string, header ...string) string {
	s.t.Helper()
	got, _, answer := s.do(method, path, body, header...)
	require.Equal(s.t, status, got, "%s %s: %s", method, path, answer)
	var e struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(answer), &e), answer)
	require.Equal(s.t, code, e.Code, e.Message)
	require.NotEmpty(s.t, e.Message)
	return e.Message
}

func (s *artifactServer) run() tracking.RunInfo {
	s.t.Helper()
	run, err := s.store.CreateRun(s.t.Context(), tracking.RunInfo{ID: tracking.NewRunID(), Experiment: "0", Name: "r", Status: tracking.Running, Start: time.Now()})
	require.NoError(s.t, err)
	return run
}

func TestProxyKeepsFiles(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	const root = proxied + "/0/run/artifacts"
	for path, text := range map[string]string{"a.txt": "hello", "d/b%20%C3%BC.json": "{}", "d/sub/c.bin": "\x00\x01", "d.txt": "x", "empty": "", "100%25": "p"} {
		require.Equal(t, "{}", s.ok(http.MethodPut, root+"/"+path, text, "Content-Type", "text/plain"))
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "0/run/artifacts/d/b ü.json"))
	require.NoError(t, err)
	require.Equal(t, "{}", string(data))

	require.JSONEq(t, `{"files": [{"path": "100%", "is_dir": false, "file_size": 1}, {"path": "a.txt", "is_dir": false, "file_size": 5},
		{"path": "d", "is_dir": true}, {"path": "d.txt", "is_dir": false, "file_size": 1}, {"path": "empty", "is_dir": false, "file_size": 0}]}`,
		s.ok(http.MethodGet, proxied+"?path=0/run/artifacts", ""))
	require.JSONEq(t, `{"files": [{"path": "b ü.json", "is_dir": false, "file_size": 2}, {"path": "sub", "is_dir": true}]}`,
		s.ok(http.MethodGet, "/ajax-api/2.0/mlflow-artifacts/artifacts?path=0/run/artifacts/d/", ""))
	require.JSONEq(t, `{"files": [{"path": "0", "is_dir": true}]}`, s.ok(http.MethodGet, proxied, ""))
	for _, path := range []string{"0/run/artifacts/a.txt", "0/nothing", "0/run/art"} {
		require.Equal(t, "{}", s.ok(http.MethodGet, proxied+"?path="+path, ""))
	}

	status, header, body := s.do(http.MethodGet, root+"/d/b%20%C3%BC.json", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "{}", body)
	require.Equal(t, "text/plain", header.Get("Content-Type"))
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	require.Equal(t, "attachment; filename*=utf-8''b%20%C3%BC.json", header.Get("Content-Disposition"))
	require.Equal(t, "2", header.Get("Content-Length"))
	_, header, body = s.do(http.MethodGet, root+"/d/sub/c.bin", "")
	require.Equal(t, "\x00\x01", body)
	require.Equal(t, "application/octet-stream", header.Get("Content-Type"))
	require.Equal(t, "attachment; filename=c.bin", header.Get("Content-Disposition"))
	status, header, body = s.do(http.MethodHead, root+"/a.txt", "")
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, body)
	require.Equal(t, "5", header.Get("Content-Length"))

	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, root+"/none", "")
	require.Contains(t, s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodGet, root+"/d", ""), "directory")
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPut, root+"/d", "x")
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPut, root+"/a.txt/below", "x")

	require.Equal(t, "{}", s.ok(http.MethodPut, root+"/a.txt", "other", "Content-Type", "text/plain"))
	require.Equal(t, "other", s.ok(http.MethodGet, root+"/a.txt", ""))
	require.Equal(t, "{}", s.ok(http.MethodDelete, root+"/a.txt", ""))
	require.Equal(t, "{}", s.ok(http.MethodDelete, root+"/d", ""))
	require.Equal(t, "{}", s.ok(http.MethodDelete, root+"/none", ""))
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, root+"/d/sub/c.bin", "")
	require.Equal(t, "x", s.ok(http.MethodGet, root+"/d.txt", ""), "a name that begins like the folder stays")
	require.Equal(t, "{}", s.ok(http.MethodDelete, root+"/", ""), "as clients delete all artifacts of a run")
	require.Equal(t, "{}", s.ok(http.MethodGet, proxied, ""))
}

func TestRangesOfFiles(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	s.ok(http.MethodPut, proxied+"/0/f", "0123456789")
	for spec, want := range map[string]string{"bytes=2-4": "234", "bytes=7-": "789", "bytes=-2": "89", "bytes=5-100": "56789"} {
		status, header, body := s.do(http.MethodGet, proxied+"/0/f", "", "Range", spec)
		require.Equal(t, http.StatusPartialContent, status, spec)
		require.Equal(t, want, body)
		require.Contains(t, header.Get("Content-Range"), "/10")
	}
	status, _, _ := s.do(http.MethodGet, proxied+"/0/f", "", "Range", "bytes=10-")
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, status)
	require.Equal(t, "0123456789", s.ok(http.MethodGet, proxied+"/0/f", "", "Range", "bytes=0-1,4-5"), "several ranges are the whole")
}

func TestHostileNamesAreServedAsFiles(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	s.ok(http.MethodPut, proxied+"/0/"+`a%22;x=y.html`, "<script>alert(1)</script>", "Content-Type", "text/html")
	_, header, _ := s.do(http.MethodGet, proxied+"/0/"+`a%22;x=y.html`, "")
	require.Equal(t, `attachment; filename="a\";x=y.html"`, header.Get("Content-Disposition"))
	require.Equal(t, "text/html", header.Get("Content-Type"))
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	require.Contains(t, header.Get("Content-Security-Policy"), "sandbox")
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPut, proxied+"/0/a%22%0d%0aX-Evil:%201.html", "x")
}

func TestBrokenUploadStoresNothing(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.url+proxied+"/0/f", r)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	_, err = w.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	cancel()
	require.NoError(t, w.CloseWithError(context.Canceled)) // the client may wait for its body
	require.Error(t, <-done)
	require.Equal(t, "{}", s.ok(http.MethodGet, proxied+"?path=0", ""))
}

func TestServerWithoutArtifacts(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, func(o *mlflow.Options) { o.Artifacts = nil })
	s.fails(http.StatusNotImplemented, "NOT_IMPLEMENTED", http.MethodGet, proxied, "")
	s.fails(http.StatusNotImplemented, "NOT_IMPLEMENTED", http.MethodPut, proxied+"/0/x", "x")
	s.fails(http.StatusNotImplemented, "NOT_IMPLEMENTED", http.MethodGet, "/get-artifact?path=x&run_id="+string(s.run().ID), "")
}

func TestArtifactsOfRuns(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	run := s.run()
	id := string(run.ID)
	s.ok(http.MethodPut, proxied+"/0/"+id+"/artifacts/m/MLmodel", "flavors:")
	s.ok(http.MethodPut, proxied+"/0/"+id+"/artifacts/p.png", "png")
	require.JSONEq(t, `{"root_uri": "mlflow-artifacts:/0/`+id+`/artifacts", "files": [{"path": "m", "is_dir": true}, {"path": "p.png", "is_dir": false, "file_size": 3}]}`,
		s.ok(http.MethodGet, "/api/2.0/mlflow/artifacts/list?run_id="+id, ""))
	require.JSONEq(t, `{"root_uri": "mlflow-artifacts:/0/`+id+`/artifacts", "files": [{"path": "m/MLmodel", "is_dir": false, "file_size": 8}]}`,
		s.ok(http.MethodGet, "/ajax-api/2.0/mlflow/artifacts/list?run_uuid="+id+"&path=m", ""))
	status, header, body := s.do(http.MethodGet, "/get-artifact?run_uuid="+id+"&path=p.png", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "png", body)
	require.Equal(t, "image/png", header.Get("Content-Type"))
	require.Equal(t, "flavors:", s.ok(http.MethodGet, "/get-artifact?run_id="+id+"&path=m/MLmodel", ""))
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, "/get-artifact?run_id="+id+"&path=none", "")
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodGet, "/get-artifact?run_id="+id+"&path=m", "")
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, "/get-artifact?run_id=none&path=m", "")
	s.fails(http.StatusBadRequest, "BAD_REQUEST", http.MethodGet, "/get-artifact?run_id="+id, "")
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodGet, "/get-artifact?path=x", "")

	const upload = "/ajax-api/2.0/mlflow/upload-artifact?run_uuid="
	require.Empty(t, s.ok(http.MethodPost, upload+id+"&path=up/f.txt", "abc", "Content-Type", "text/plain"))
	require.Equal(t, "abc", s.ok(http.MethodGet, "/get-artifact?run_id="+id+"&path=up/f.txt", ""))
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, upload+id+"&path=up/f.txt", "")
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, upload+id+"&path=big", strings.Repeat("x", 10<<20+1))
	s.ok(http.MethodPost, upload+id+"&path=big", strings.Repeat("x", 10<<20))
	require.NoError(t, s.store.UpdateRun(t.Context(), run.ID, tracking.RunUpdate{Deleted: new(true)}))
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, upload+id+"&path=late", "x")
}

func TestArtifactsOfModels(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	m, err := s.store.CreateModel(t.Context(), tracking.LoggedModel{ID: tracking.NewModelID(), Experiment: "0", Name: "m"})
	require.NoError(t, err)
	s.ok(http.MethodPut, proxied+"/0/models/"+string(m.ID)+"/artifacts/d/f", "model")
	base := "/api/2.0/mlflow/logged-models/" + string(m.ID) + "/artifacts/"
	require.JSONEq(t, `{"root_uri": "mlflow-artifacts:/0/models/`+string(m.ID)+`/artifacts", "files": [{"path": "d", "is_dir": true}]}`, s.ok(http.MethodGet, base+"directories", ""))
	require.JSONEq(t, `{"root_uri": "mlflow-artifacts:/0/models/`+string(m.ID)+`/artifacts", "files": [{"path": "d/f", "is_dir": false, "file_size": 5}]}`,
		s.ok(http.MethodGet, base+"directories?artifact_directory_path=d", ""))
	require.Equal(t, "model", s.ok(http.MethodGet, "/ajax-api/2.0/mlflow/logged-models/"+string(m.ID)+"/artifacts/files?artifact_file_path=d/f", ""))
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, "/api/2.0/mlflow/logged-models/m-none/artifacts/directories", "")
}

func TestOtherLocationsAreOpened(t *testing.T) {
	t.Parallel()
	other, err := dirblob.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	require.NoError(t, other.Put(t.Context(), "d/f", strings.NewReader("far"), 3))
	var opened []string
	s := serveArtifacts(t, func(o *mlflow.Options) {
		o.OpenArtifacts = func(_ context.Context, uri string) (tracking.Artifacts, error) {
			if opened = append(opened, uri); strings.HasPrefix(uri, "gs:") {
				return nil, fmt.Errorf("no cloud: %w", tracking.ErrUnsupported)
			}
			return other, nil
		}
	})
	makeRun := func(name, location string) string {
		e, err := s.store.CreateExperiment(t.Context(), tracking.Experiment{Name: name, ArtifactLocation: location})
		require.NoError(t, err)
		run, err := s.store.CreateRun(t.Context(), tracking.RunInfo{ID: tracking.NewRunID(), Experiment: e.ID, Status: tracking.Running, Start: time.Now()})
		require.NoError(t, err)
		return string(run.ID)
	}
	id := makeRun("s3", "s3://bucket/p")
	require.Equal(t, "far", s.ok(http.MethodGet, "/get-artifact?path=d/f&run_id="+id, ""))
	require.JSONEq(t, `{"root_uri": "s3://bucket/p/`+id+`/artifacts", "files": [{"path": "d/f", "is_dir": false, "file_size": 3}]}`,
		s.ok(http.MethodGet, "/api/2.0/mlflow/artifacts/list?path=d&run_id="+id, ""))
	require.Equal(t, "s3://bucket/p/"+id+"/artifacts", opened[0])
	s.fails(http.StatusNotImplemented, "NOT_IMPLEMENTED", http.MethodPost, "/api/2.0/mlflow/artifacts/presigned-upload-url", `{"run_id": "`+id+`", "path": "x"}`)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodGet, "/get-artifact?path=d/f&run_id="+makeRun("gs", "gs://bucket"), "")

	none := serveArtifacts(t, nil)
	s.store = none.store
	id = makeRun("s3", "s3://bucket/p")
	require.Contains(t, none.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodGet, "/get-artifact?path=d/f&run_id="+id, ""), "cannot open")
}

// TestLargeFilesStream sends a large file both ways and watches the heap.
func TestLargeFilesStream(t *testing.T) {
	const size, bound = 256 << 20, 32 << 20
	s := serveArtifacts(t, nil)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak uint64
	watch := func() {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapAlloc)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url+proxied+"/0/big", &countdown{left: size, each: watch})
	require.NoError(t, err)
	req.ContentLength = size
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)

	req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+proxied+"/0/big", nil)
	require.NoError(t, err)
	resp, err = http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	n, err := io.Copy(&counter{each: watch}, resp.Body)
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	require.Less(t, peak, before.HeapAlloc+bound)
	t.Logf("the heap grew by at most %d KiB", int64(peak-before.HeapAlloc)>>10)
}

// countdown is a body of zeros.
type countdown struct {
	left int
	each func()
	next int
}

func (c *countdown) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), c.left)
	clear(p[:n])
	if c.left -= n; c.left < c.next || c.next == 0 {
		c.each()
		c.next = c.left - 8<<20
	}
	return n, nil
}

type counter struct {
	each func()
	n    int
}

func (c *counter) Write(p []byte) (int, error) {
	if c.n/(8<<20) != (c.n+len(p))/(8<<20) {
		c.each()
	}
	c.n += len(p)
	return len(p), nil
}
