package mlflow_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// probes are ways out of a folder, as they stand in a request. Those of earlier
// holes in MLflow are among them.
var probes = map[string]string{
	"climb":                "../../secret",
	"climb inside":         "a/../../../secret",
	"encoded slash":        "..%2f..%2fsecret",
	"encoded dots":         "%2E%2E%2F%2E%2E%2Fsecret",
	"twice encoded":        "%252e%252e%252f%252e%252e%252fsecret",
	"three times encoded":  "%25252e%25252e%25252fsecret",
	"split by white space": "%2%0952e%2%0952e/secret",
	"absolute":             "/etc/passwd",
	"absolute encoded":     "%2fetc%2fpasswd",
	"NUL":                  "a%00.txt",
	"absolute with NUL":    "%2fetc/passwd%00.txt",
	"newline":              "a%0ab",
	"backslash":            "..%5c..%5csecret",
	"backslash root":       "%5c..%5csecret",
	"drive":                "C:%5cx",
	"drive and slash":      "C:/x",
	"drive encoded":        "%43%3a/x",
	"file URI":             "file:///etc/passwd",
	"file URI encoded":     "file%3a%2f%2f%2fetc%2fpasswd",
	"fragment":             "file%3a%2f%2ftmp%23%2f..%2f%2ftmp",
	"hash":                 "a%23%2f..%2fb",
	"hash encoded twice":   "a%2523b",
	"dot":                  "./a",
	"dot inside":           "a/./b",
	"empty segment":        "a//b",
	"no UTF-8":             "a%ff",
	"many layers":          "%" + strings.Repeat("25", 40) + "2e",
	"long":                 strings.Repeat("a", 1000),
}

// raw sends a request exactly as written, where http.Client would clean it up.
func (s *artifactServer) raw(method, target, body string) (int, string) {
	s.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(s.t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, target, len(body), body)
	require.NoError(s.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, string(answer)
}

// outside lists everything in and around the folder of artifacts.
func outside(t *testing.T, dir string) (list []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.Contains(path, "/.tmp/") {
			list = append(list, path)
		}
		return err
	}))
	return list
}

func TestNoPathLeavesTheFolder(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	run := s.run()
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "..", "secret"), []byte("s3cret"), 0o600))
	s.ok(http.MethodPut, proxied+"/secret", "s3cret")
	s.ok(http.MethodPut, proxied+"/0/"+string(run.ID)+"/artifacts/a", "fine")
	m, err := s.store.CreateModel(t.Context(), tracking.LoggedModel{ID: tracking.NewModelID(), Experiment: "0", Name: "m"})
	require.NoError(t, err)
	tr, err := s.store.PutTrace(t.Context(), tracking.Trace{ID: "tr-1", Experiment: "0", Tags: map[string]string{"mlflow.artifactLocation": "mlflow-artifacts:/0/traces/tr-1/artifacts"}})
	require.NoError(t, err)
	before := outside(t, filepath.Join(s.dir, ".."))

	id := string(run.ID)
	const parts = `{"path": "x", "num_parts": 1, "upload_id": "u", "parts": [{"part_number": 1, "etag": "e"}]}`
	requests := []struct{ method, path, body string }{
		{"GET", "2.0/mlflow-artifacts/artifacts/0/%s", ""},
		{"PUT", "2.0/mlflow-artifacts/artifacts/0/%s", "x"},
		{"DELETE", "2.0/mlflow-artifacts/artifacts/0/%s", ""},
		{"GET", "2.0/mlflow-artifacts/artifacts?path=%s", ""},
		{"GET", "2.0/mlflow-artifacts/presigned/0/%s", ""},
		{"POST", "2.0/mlflow-artifacts/mpu/create/0/%s", parts},
		{"POST", "2.0/mlflow-artifacts/mpu/complete/0/%s", parts},
		{"POST", "2.0/mlflow-artifacts/mpu/abort/0/%s", parts},
		{"GET", "2.0/mlflow/artifacts/list?run_id=" + id + "&path=%s", ""},
		{"GET", "/get-artifact?run_id=" + id + "&path=%s", ""},
		{"POST", "2.0/mlflow/upload-artifact?run_uuid=" + id + "&path=%s", "x"},
		{"GET", "2.0/mlflow/logged-models/" + string(m.ID) + "/artifacts/directories?artifact_directory_path=%s", ""},
		{"GET", "2.0/mlflow/logged-models/" + string(m.ID) + "/artifacts/files?artifact_file_path=%s", ""},
		{"GET", "2.0/mlflow/get-trace-artifact?request_id=" + string(tr.ID) + "&path=%s", ""},
		{"GET", "3.0/mlflow/get-trace-artifact?request_id=" + string(tr.ID) + "&path=%s", ""},
	}
	for _, root := range []string{"/api/", "/ajax-api/"} {
		for _, r := range requests {
			target := root + r.path
			if r.path[0] == '/' {
				target = r.path
			}
			for name, probe := range probes {
				if strings.HasPrefix(name, "drive ") && strings.Contains(target, "/0/%s") {
					continue // not at the beginning of the path: a name like any other
				}
				status, answer := s.raw(r.method, fmt.Sprintf(target, probe), r.body)
				// Some are no valid URL, some have no route: nothing is served.
				require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed}, status, "%s %s: %s: %s", r.method, target, name, answer)
				require.NotContains(t, answer, "s3cret")
				require.NotContains(t, answer, "root:")
			}
		}
	}
	require.Equal(t, before, outside(t, filepath.Join(s.dir, "..")), "nothing was written or deleted")
}

func TestBodyOfAnUploadNamesAFileOnly(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	for _, path := range []string{"..", "../..", "/", "", ".", "a/..", `a\\..`, "C:", "a%2f..%2fb", "%2e%2e"} {
		s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, "/api/2.0/mlflow-artifacts/mpu/create/0/d", `{"path": "`+path+`", "num_parts": 1}`)
	}
	// These are whole paths on the client's machine.
	for _, path := range []string{"/tmp/x.bin", "../x", `C:\\tmp\\x.bin`} {
		s.fails(http.StatusNotImplemented, "NOT_IMPLEMENTED", http.MethodPost, "/api/2.0/mlflow-artifacts/mpu/create/0/d", `{"path": "`+path+`", "num_parts": 1}`)
	}
}

func TestSymbolicLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	run := s.run()
	far := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(far, "secret"), []byte("s3cret"), 0o600))
	root := filepath.Join(s.dir, "0", string(run.ID), "artifacts")
	require.NoError(t, os.MkdirAll(root, 0o755))
	require.NoError(t, os.Symlink(far, filepath.Join(root, "out")))
	require.NoError(t, os.Symlink(filepath.Join(far, "secret"), filepath.Join(root, "link")))
	base := proxied + "/0/" + string(run.ID) + "/artifacts"
	for _, path := range []string{"out/secret", "link"} {
		for _, target := range []string{base + "/" + path, "/get-artifact?run_id=" + string(run.ID) + "&path=" + path} {
			status, _, answer := s.do(http.MethodGet, target, "")
			require.GreaterOrEqual(t, status, 400, target)
			require.Less(t, status, 500, "%s: %s", target, answer)
			require.NotContains(t, answer, "s3cret")
		}
	}
	status, _, answer := s.do(http.MethodPut, base+"/out/new", "x")
	require.GreaterOrEqual(t, status, 400, answer)
	require.Less(t, status, 500, answer)
	status, _, answer = s.do(http.MethodDelete, base+"/out/secret", "")
	require.Less(t, status, 500, answer)
	require.Equal(t, "{}", s.ok(http.MethodGet, proxied+"?path=0/"+string(run.ID)+"/artifacts", ""))
	require.Equal(t, "{}", s.ok(http.MethodGet, proxied+"?path=0/"+string(run.ID)+"/artifacts/out", ""))
	require.Equal(t, []string{filepath.Join(far, "secret")}, outside(t, far))
}

// locations are places that no client may choose.
var locations = map[string]string{
	"http":                  "http:///#/../../etc/",
	"http query":            "http:///?/../../etc/",
	"http host":             "http://169.254.169.254/latest",
	"file":                  "file:///etc",
	"file with host":        "file://10.0.0.1/x",
	"FILE":                  "FILE:///etc",
	"bare path":             "/etc",
	"relative":              "../../etc",
	"relative without dots": "etc",
	"parameters":            "s3://b/x;param",
	"query":                 "s3://b/x?y=z",
	"fragment":              "s3://b/x#y",
	"runs":                  "runs:/x",
	"models":                "models:/x/1",
	"climb":                 "s3a://b/x/../../",
	"climb in s3":           "s3://b/x/../../y",
	"encoded climb":         "mlflow-artifacts:/models/..%2f..%2fx",
	"twice encoded":         "mlflow-artifacts:/models/%252e%252e%252fx",
	"NUL":                   "mlflow-artifacts:/models/a%00",
	"real NUL":              "mlflow-artifacts:/models/a\\u0000",
	"another server":        "mlflow-artifacts://h/models",
	"dbfs":                  "dbfs:/R/artifacts/a%3f/../../",
	"share":                 "//authority/share",
	"backslash":             `s3://b/\\..\\x`,
	"credentials":           "s3://key:secret@b/x",
	"no bucket":             "s3:///x",
	"opaque":                "s3:b/x",
	"database":              "postgresql://u:p@h/db",
	"ftp":                   "ftp://h/x",
	"javascript":            "javascript:alert(1)",
	"control character":     "s3://b/a\\nb",
	"long":                  "s3://b/" + strings.Repeat("a", 2100),
}

func TestLocationsThatClientsMayNotChoose(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	for name, location := range locations {
		for _, root := range []string{"/api/", "/ajax-api/"} {
			body := fmt.Sprintf(`{"name": "%s %s", "artifact_location": "%s"}`, name, root[1:4], location)
			status, _, answer := s.do(http.MethodPost, root+"2.0/mlflow/experiments/create", body)
			require.Equal(t, http.StatusBadRequest, status, "%s: %s", name, answer)
		}
	}
	for _, location := range []string{"s3://bucket/p", "gs://bucket", "mlflow-artifacts:/shared/x", "mlflow-artifacts:/"} {
		s.ok(http.MethodPost, "/api/2.0/mlflow/experiments/create", fmt.Sprintf(`{"name": "%s", "artifact_location": "%s"}`, location, location))
	}
	all, _, err := s.store.SearchExperiments(t.Context(), tracking.ExperimentQuery{View: tracking.All})
	require.NoError(t, err)
	for _, e := range all {
		require.NotContains(t, e.ArtifactLocation, "etc")
	}
}

// TestStoredLocationsAreNotTrusted reads runs whose location no client of this
// server could have chosen, as of an imported database.
func TestStoredLocationsAreNotTrusted(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	s.ok(http.MethodPut, proxied+"/secret", "s3cret")
	for i, location := range []string{"mlflow-artifacts:/a/../", "mlflow-artifacts:/a/%2e%2e", "file:///etc", "http://h/x", "mlflow-artifacts:/x?y", "%zz", "/etc"} {
		e, err := s.store.CreateExperiment(t.Context(), tracking.Experiment{Name: fmt.Sprint(i), ArtifactLocation: "s3://b"})
		require.NoError(t, err)
		run, err := s.store.CreateRun(t.Context(), tracking.RunInfo{ID: tracking.NewRunID(), Experiment: e.ID, Status: tracking.Running, ArtifactURI: location})
		require.NoError(t, err)
		for _, target := range []string{"/get-artifact?path=secret&run_id=", "/api/2.0/mlflow/artifacts/list?path=secret&run_id="} {
			status, _, answer := s.do(http.MethodGet, target+string(run.ID), "")
			require.Equal(t, http.StatusBadRequest, status, "%s: %s", location, answer)
		}
	}
}

func FuzzArtifactPath(f *testing.F) {
	for _, p := range probes {
		f.Add(p)
	}
	f.Add("a/b c.txt")
	f.Fuzz(func(t *testing.T, path string) {
		if mlflow.CheckArtifactPath(path) != nil {
			return
		}
		require.True(t, fs.ValidPath(path) && path != ".", "%q", path)
		joined := filepath.Join("/root/dir", filepath.FromSlash(path))
		require.True(t, strings.HasPrefix(joined, "/root/dir/"), "%q", path)
		require.NotContains(t, path, `\`)
	})
}

func FuzzLocation(f *testing.F) {
	for _, l := range locations {
		f.Add(l)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if mlflow.LocationSyntax(uri) != nil {
			return
		}
		for segment := range strings.SplitSeq(uri, "/") {
			require.NotEqual(t, "..", segment, "%q", uri)
		}
		require.False(t, strings.ContainsAny(uri, "\\#?\x00"), "%q", uri)
	})
}
