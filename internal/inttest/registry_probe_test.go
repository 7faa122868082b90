package inttest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
)

// probed is our server with things around it that nobody may get at.
type probed struct {
	seed
	server *inttest.MLflow
	folder string // of artifacts
	model  string // id of the logged model
	run    string
}

// lure is what no answer may hold.
const lure = "s3cret-of-this-machine"

func startProbed(t *testing.T, args ...string) *probed {
	t.Helper()
	p := &probed{server: inttest.StartServer(t, "", args...)}
	p.seed = seed{t: t, url: p.server.URL}
	p.folder = filepath.Join(p.server.Dir, "artifacts")
	require.NoError(t, os.WriteFile(filepath.Join(p.server.Dir, "secret"), []byte(lure), 0o600))
	return p
}

// fill makes a run, a logged model and a version of each, and files of other
// runs beside them.
func (p *probed) fill() {
	p.experiment = p.post("2.0/mlflow/experiments/create", object{"name": "probed"})["experiment_id"].(string)
	run := func() string {
		answer := p.post("2.0/mlflow/runs/create", object{"experiment_id": p.experiment})
		return answer["run"].(object)["info"].(object)["run_id"].(string)
	}
	put := func(path, data string) {
		p.send(http.MethodPut, "2.0/mlflow-artifacts/artifacts/"+p.experiment+"/"+path, "application/octet-stream", []byte(data))
	}
	p.run = run()
	put(p.run+"/artifacts/m/MLmodel", "flavors: {}\n")
	put(p.run+"/artifacts/secret", lure)
	put(run()+"/artifacts/secret", lure)
	model := p.post("2.0/mlflow/logged-models", object{"experiment_id": p.experiment, "name": "m"})
	p.model = model["model"].(object)["info"].(object)["model_id"].(string)
	put("models/"+p.model+"/artifacts/MLmodel", "flavors: {}\n")
	p.post("2.0/mlflow/registered-models/create", object{"name": "m"})
	p.post("2.0/mlflow/registered-models/create", object{"name": "ask", "tags": pairs("mlflow.prompt.is_prompt", "true")})
	p.post("2.0/mlflow/model-versions/create", object{"name": "m", "source": p.at("m"), "run_id": p.run})
	p.post("2.0/mlflow/model-versions/create", object{"name": "m", "source": "models:/" + p.model, "model_id": p.model})
}

// at is a place among the run's artifacts.
func (p *probed) at(path string) string {
	return "mlflow-artifacts:/" + p.experiment + "/" + p.run + "/artifacts/" + path
}

// raw sends a request exactly as written, where http.Client would clean it up.
func (p *probed) raw(method, target, headers, body string) (int, string) {
	p.t.Helper()
	d := net.Dialer{Timeout: inttest.Patience}
	conn, err := d.DialContext(p.t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
	require.NoError(p.t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(p.t, conn.SetDeadline(time.Now().Add(inttest.Patience)))
	if !strings.Contains(headers, "Host:") {
		headers += "Host: 127.0.0.1\r\n"
	}
	if !strings.Contains(headers, "Content-Type:") {
		headers += "Content-Type: application/json\r\n"
	}
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\n%sConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, target, headers, len(body), body)
	require.NoError(p.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(p.t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return resp.StatusCode, string(answer)
}

// outside are all files in and around the folder of artifacts, but those of
// the database.
func (p *probed) outside() (list []string) {
	require.NoError(p.t, filepath.WalkDir(p.server.Dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.Contains(path, "mlflow.db") && !strings.Contains(path, "/.tmp/") {
			list = append(list, path)
		}
		return err
	}))
	return list
}

// TestPoisonedSources registers versions with sources that point where no
// client has any business, as requests of earlier holes in MLflow did
// (CVE-2023-1177, -2023-6909, -2024-1483, -2024-1558, -2024-3848, -2026-2614).
// Nothing of what lies there comes out, whatever the server says.
func TestPoisonedSources(t *testing.T) {
	t.Parallel()
	p := startProbed(t)
	p.fill()
	var hits atomic.Int64
	bait := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = io.WriteString(w, lure)
	}))
	t.Cleanup(bait.Close)
	// A link inside the folder of the run's artifacts.
	root := filepath.Join(p.folder, p.experiment, p.run, "artifacts")
	require.NoError(t, os.Symlink(filepath.Join(p.server.Dir, "secret"), filepath.Join(root, "m", "link")))
	require.NoError(t, os.Symlink(p.server.Dir, filepath.Join(root, "linked")))

	dir, proxy := p.server.Dir, "mlflow-artifacts:/"+p.experiment
	sources := []string{
		"/etc", "/etc/", "//etc", dir, dir + "/", "../..", "../../etc", "..", ".", "etc", "secret", "file:///etc", "file:/etc", "file:etc", "file://" + dir, "file:" + dir, "FILE://" + dir, "file://localhost" + dir, "file://10.0.0.1" + dir, "file://127.0.0.1" + dir, "file:///" + strings.TrimPrefix(dir, "/"),
		"file://" + dir + "?x", "file://" + dir + "#x", "file://" + dir + ";x", "file://a#/..//tmp", "file://" + root, "file://" + root + "/m", root, `C:\x`, `\\host\share`, `..\..\x`, "//authority/share", "\x00", "a\x00b", " " + dir, dir + " ", "\n" + dir, "\tfile://" + dir,
		"http:///#/../../etc/", "http:///?/../../etc/", bait.URL, bait.URL + "/secret", strings.Replace(bait.URL, "http", "HTTP", 1), "http://[::ffff:127.0.0.1]" + bait.URL[strings.LastIndex(bait.URL, ":"):], "http://127.1" + bait.URL[strings.LastIndex(bait.URL, ":"):], "https://169.254.169.254/latest/meta-data", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "git+https://127.0.0.1/x",
		p.url + "/api/2.0/mlflow-artifacts/artifacts/..%2f..%2f", p.url + "/api/2.0/mlflow-artifacts/artifacts/" + p.experiment,
		"mlflow-artifacts:/", "mlflow-artifacts:", "mlflow-artifacts:/..", "mlflow-artifacts:/../", proxy + "/../..", proxy + "/..%2f..", proxy + "/%2e%2e/%2e%2e", proxy + "/%252e%252e/%252e%252e", proxy + "/..%5c..", proxy + `/..\..`, proxy + "/a%00", proxy + "/" + p.run + "/artifacts/m/../../../..", proxy + "/" + p.run + "/artifacts/linked", proxy + "/" + p.run + "/artifacts/m/link",
		"mlflow-artifacts://host/models/..%2f..%2fx", "mlflow-artifacts://host" + dir, "mlflow-artifacts:///" + dir, "mlflow-artifacts://" + dir, proxy, proxy + "/", proxy + "?x", proxy + "#/../..",
		"runs:/" + p.run + "/../..", "runs:/" + p.run + "/m/../../../../..", "runs:/" + p.run + "/%2e%2e/%2e%2e", "runs:/../" + p.run, "runs:/" + p.run + "/" + dir, "runs://" + p.run + "/m", "runs:/", "runs:/x",
		"models:/m-../../..", "models:/" + p.model + "/../..", "models:/../" + p.model, "models:/ask/1", "models:/m/../../..", "models://m/1", "models:/m/99", "models:/", "models:/m@../..",
		"s3://b/../../x", "s3a://b/x/../../", "s3://", "s3:///etc", "dbfs:/R/artifacts/a%3f/../../", "dbfs:/etc", "hdfs://h/x", "gs://b/x", "wasbs://c@a/x", "abfss://c@a/x", "sftp://127.0.0.1/etc", "data:text/plain,x", "javascript:alert(1)", "dummy-source", "prompt-template", strings.Repeat("a", 5000), "file://" + strings.Repeat("/..", 50),
	}
	prompt := pairs("mlflow.prompt.is_prompt", "true", "mlflow.prompt.text", "x")
	variants := map[string]func(source string) object{
		"bare":            func(s string) object { return object{"name": "m", "source": s} },
		"of the run":      func(s string) object { return object{"name": "m", "source": s, "run_id": p.run} },
		"of the model":    func(s string) object { return object{"name": "m", "source": s, "model_id": p.model} },
		"of both":         func(s string) object { return object{"name": "m", "source": s, "run_id": p.run, "model_id": p.model} },
		"prompt of model": func(s string) object { return object{"name": "m", "source": s, "run_id": p.run, "tags": prompt} },
		"prompt":          func(s string) object { return object{"name": "ask", "source": s, "tags": prompt} },
		"prompt True": func(s string) object {
			return object{"name": "ask", "source": s, "tags": pairs("mlflow.prompt.is_prompt", "True")}
		},
		"prompt twice": func(s string) object {
			return object{"name": "ask", "source": s, "tags": append(pairs("mlflow.prompt.is_prompt", "false"), prompt...)}
		},
		"prompt undone": func(s string) object {
			return object{"name": "ask", "source": s, "tags": append(prompt[:1:1], pairs("mlflow.prompt.is_prompt", "false")...)}
		},
		"untagged, prompt": func(s string) object { return object{"name": "ask", "source": s} },
	}
	before := p.outside()
	made := map[string]string{} // version → what it was made of
	for _, source := range sources {
		for name, body := range variants {
			var answer struct {
				Version struct{ Name, Version string } `json:"model_version"`
			}
			err := call(t.Context(), http.MethodPost, p.url+"/api/2.0/mlflow/model-versions/create", body(source), &answer)
			if refused, ok := err.(*answered); ok { //nolint:errorlint // It is call's own.
				require.Less(t, refused.status, 500, "%s: %q: %s", name, source, refused.body)
				require.NotContains(t, refused.body, lure)
				continue
			}
			require.NoError(t, err, "%s: %q", name, source)
			made[answer.Version.Name+"\x00"+answer.Version.Version] = name + ": " + source
		}
	}
	t.Logf("%d requests refused, %d versions made", len(sources)*len(variants)-len(made), len(made))
	for _, key := range slices.Sorted(maps.Keys(made)) {
		what := made[key]
		name, version, _ := strings.Cut(key, "\x00")
		// A prompt has no files. What is in the run may be registered, and what
		// is in an object store may be named: the server does not read it.
		_, source, _ := strings.Cut(what, ": ")
		recorded := slices.Contains([]string{"dummy-source", "prompt-template", proxy + "/" + p.run + "/artifacts/linked", proxy + "/" + p.run + "/artifacts/m/link"}, source)
		for _, scheme := range []string{"s3", "gs", "wasbs", "abfss", "dbfs", "hdfs"} {
			recorded = recorded || strings.HasPrefix(source, scheme+":/") && !strings.Contains(source, "..")
		}
		require.True(t, recorded, "a version was made: %s", what)
		for _, path := range []string{"secret", "passwd", "link", "m/link", "etc/passwd", "artifacts/secret", p.run + "/artifacts/secret", "mlflow.db"} {
			status, body := p.raw(http.MethodGet, "/model-versions/get-artifact?"+url.Values{"name": {name}, "version": {version}, "path": {path}}.Encode(), "", "")
			require.Contains(t, []int{400, 404}, status, "%s: %s: %s", what, path, body)
			require.NotContains(t, body, lure)
		}
	}
	require.Zero(t, hits.Load(), "the server fetched from an address that a client gave it")
	require.Equal(t, before, p.outside(), "nothing was written")

	// What is there is served, and what the link points to is not.
	for _, path := range []string{"link", "../secret", "%2e%2e/secret", "..%252fsecret", "../linked/secret"} {
		status, body := p.raw(http.MethodGet, "/model-versions/get-artifact?name=m&version=1&path="+path, "", "")
		require.Contains(t, []int{400, 404}, status, path)
		require.NotContains(t, body, lure)
	}
	status, body := p.raw(http.MethodGet, "/model-versions/get-artifact?name=m&version=1&path=MLmodel", "", "")
	require.Equal(t, 200, status, body)
}

// TestTamperedLinks registers a folder in which someone with access to the
// server's disk put a link. The link is no file of the model.
func TestTamperedLinks(t *testing.T) {
	t.Parallel()
	p := startProbed(t)
	p.fill()
	root := filepath.Join(p.folder, p.experiment, p.run, "artifacts")
	require.NoError(t, os.Symlink(filepath.Join(p.server.Dir, "secret"), filepath.Join(root, "m", "link")))
	var answer struct {
		Version struct{ Version string } `json:"model_version"`
	}
	err := call(t.Context(), http.MethodPost, p.url+"/api/2.0/mlflow/model-versions/create", object{"name": "m", "source": p.at("m"), "run_id": p.run}, &answer)
	if refused, ok := err.(*answered); ok { //nolint:errorlint // It is call's own.
		require.Less(t, refused.status, 500, refused.body)
		return
	}
	require.NoError(t, err)
	status, body := p.raw(http.MethodGet, "/model-versions/get-artifact?name=m&version="+answer.Version.Version+"&path=link", "", "")
	require.Contains(t, []int{400, 404}, status, body)
	require.NotContains(t, body, lure)
}

// registryRoutes are the routes of the registry with requests that succeed for
// someone who may do everything.
var registryRoutes = []struct {
	method, path string
	body         object
}{
	{"POST", "registered-models/create", object{"name": "new"}},
	{"GET", "registered-models/get?name=m", nil},
	{"GET", "registered-models/search", nil},
	{"PATCH", "registered-models/update", object{"name": "m", "description": "x"}},
	{"POST", "registered-models/rename", object{"name": "m", "new_name": "n"}},
	{"DELETE", "registered-models/delete", object{"name": "m"}},
	{"POST", "registered-models/set-tag", object{"name": "m", "key": "a", "value": "b"}},
	{"DELETE", "registered-models/delete-tag", object{"name": "m", "key": "a"}},
	{"POST", "registered-models/alias", object{"name": "m", "alias": "a", "version": "1"}},
	{"GET", "registered-models/alias?name=m&alias=a", nil},
	{"DELETE", "registered-models/alias", object{"name": "m", "alias": "a"}},
	{"POST", "registered-models/get-latest-versions", object{"name": "m"}},
	{"GET", "registered-models/get-latest-versions?name=m", nil},
	{"POST", "model-versions/create", object{"name": "m", "source": "models:/m/1"}},
	{"GET", "model-versions/get?name=m&version=1", nil},
	{"GET", "model-versions/search", nil},
	{"GET", "model-versions/get-download-uri?name=m&version=1", nil},
	{"PATCH", "model-versions/update", object{"name": "m", "version": "1", "description": "x"}},
	{"POST", "model-versions/transition-stage", object{"name": "m", "version": "1", "stage": "Staging", "archive_existing_versions": false}},
	{"POST", "model-versions/set-tag", object{"name": "m", "version": "1", "key": "a", "value": "b"}},
	{"DELETE", "model-versions/delete-tag", object{"name": "m", "version": "1", "key": "a"}},
	{"DELETE", "model-versions/delete", object{"name": "m", "version": "1"}},
	{"POST", "webhooks", object{"name": "w", "url": "https://example.org", "events": []object{{"entity": "REGISTERED_MODEL", "action": "CREATED"}}}},
	{"GET", "webhooks", nil},
	{"GET", "webhooks/w", nil},
	{"PATCH", "webhooks/w", object{"name": "x"}},
	{"DELETE", "webhooks/w", nil},
	{"POST", "webhooks/w/test", object{}},
}

// TestRegistryAsksWho sends every request of the registry without credentials
// to a server that wants some, in every spelling that reached a route unasked
// in MLflow before.
func TestRegistryAsksWho(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users.json")
	server := inttest.StartServerWith(t, []string{"MLFLOW_AUTH_ADMIN_USERNAME=admin", "MLFLOW_AUTH_ADMIN_PASSWORD=a rather long one"}, "", "--app-name", "basic-auth", "--users", users)
	p := &probed{seed: seed{t: t, url: server.URL}, server: server}
	const bad = "Authorization: Basic YWRtaW46d3Jvbmc=\r\n"
	for _, r := range registryRoutes {
		path, query, _ := strings.Cut(r.path, "?")
		if query != "" {
			query = "?" + query
		}
		body := jsonText(t, r.body)
		for _, root := range []string{"/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/"} {
			for _, target := range []string{root + path + query, root + path + "/" + query, strings.Replace(root, "2.0/", "2.0//", 1) + path + query, root + strings.Replace(path, "/", "%2f", 1) + query, "/%61" + root[2:] + path + query, strings.ToUpper(root) + path + query} {
				for _, method := range []string{r.method, "HEAD", "OPTIONS", strings.ToLower(r.method)} {
					for _, credentials := range []string{"", bad} {
						status, answer := p.raw(method, target, credentials, body)
						if method == "OPTIONS" && status == 204 {
							require.Empty(t, answer) // which methods there are is no secret
							continue
						}
						require.Contains(t, []int{301, 307, 308, 400, 401, 404, 405}, status, "%s %s: %s", method, target, answer)
						if method == r.method && target == root+path+query {
							require.Equal(t, 401, status, "%s %s: %s", method, target, answer)
						}
					}
				}
			}
		}
	}
	for _, target := range []string{"/model-versions/get-artifact?name=m&version=1&path=x", "/graphql"} {
		method := "GET"
		if target == "/graphql" {
			method = "POST"
		}
		status, answer := p.raw(method, target, "", `{"query":"{ mlflowSearchModelVersions(input: {}) { modelVersions { name } } }"}`)
		require.Equal(t, 401, status, answer)
	}
}

func jsonText(t *testing.T, body object) string {
	t.Helper()
	if body == nil {
		return ""
	}
	data, err := json.Marshal(body)
	require.NoError(t, err)
	return string(data)
}

// TestRegistryAgainstPages plays what a page of another site can have a browser
// send (CVE-2025-14279, -2025-1473).
func TestRegistryAgainstPages(t *testing.T) {
	t.Parallel()
	p := startProbed(t)
	p.fill()
	for _, r := range registryRoutes {
		target, body := "/api/2.0/mlflow/"+r.path, jsonText(t, r.body)
		status, answer := p.raw(r.method, target, "Host: evil.example\r\n", body)
		require.Equal(t, 403, status, "%s %s of another name: %s", r.method, target, answer)
		if r.method == "GET" {
			continue
		}
		status, answer = p.raw(r.method, target, "Origin: http://evil.example\r\n", body)
		require.Equal(t, 403, status, "%s %s of another page: %s", r.method, target, answer)
		if body != "" && r.path != "webhooks/w/test" {
			status, answer = p.raw(r.method, target, "Content-Type: text/plain\r\n", body)
			require.Equal(t, 400, status, "%s %s as text: %s", r.method, target, answer)
		}
	}
	// A file of a model is no page of this server.
	p.send(http.MethodPut, "2.0/mlflow-artifacts/artifacts/"+p.experiment+"/"+p.run+"/artifacts/p/x.html", "text/html", []byte("<script>alert(1)</script>"))
	p.post("2.0/mlflow/model-versions/create", object{"name": "m", "source": p.at("p"), "run_id": p.run})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/model-versions/get-artifact?name=m&version=3&path=x.html", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Content-Disposition"), "attachment")
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
}

// TestRegistryTooMuch asks for more than a server should do. It says no at once.
func TestRegistryTooMuch(t *testing.T) {
	t.Parallel()
	p := startProbed(t)
	p.fill()
	long := strings.Repeat("x", 10<<20)
	clauses := strings.Repeat("name = 'a' AND ", 10_000) + "name = 'a'"
	for name, r := range map[string]struct {
		method, path string
		body         object
	}{
		"name":            {"POST", "registered-models/create", object{"name": long}},
		"tag":             {"POST", "registered-models/set-tag", object{"name": "m", "key": "k", "value": long}},
		"tag key":         {"POST", "registered-models/set-tag", object{"name": "m", "key": long, "value": "v"}},
		"version tag":     {"POST", "model-versions/set-tag", object{"name": "m", "version": "1", "key": "k", "value": long}},
		"description":     {"PATCH", "registered-models/update", object{"name": "m", "description": long}},
		"alias":           {"POST", "registered-models/alias", object{"name": "m", "alias": long, "version": "1"}},
		"new name":        {"POST", "registered-models/rename", object{"name": "m", "new_name": long}},
		"source":          {"POST", "model-versions/create", object{"name": "m", "source": long}},
		"stage":           {"POST", "model-versions/transition-stage", object{"name": "m", "version": "1", "stage": long, "archive_existing_versions": false}},
		"clauses":         {"GET", "registered-models/search", object{"filter": clauses}},
		"version clauses": {"GET", "model-versions/search", object{"filter": clauses}},
		"list":            {"GET", "model-versions/search", object{"filter": "name IN ('" + strings.Repeat("a','", 200_000) + "')"}},
		"models":          {"GET", "registered-models/search", object{"max_results": 1 << 31}},
		"versions":        {"GET", "model-versions/search", object{"max_results": 1 << 31}},
		"order":           {"GET", "model-versions/search", object{"order_by": slices.Repeat([]string{"name"}, 10_000)}},
		"token":           {"GET", "model-versions/search", object{"page_token": long}},
		"version":         {"GET", "model-versions/get", object{"name": "m", "version": strings.Repeat("9", 1<<20)}},
	} {
		err := call(t.Context(), r.method, p.url+"/api/2.0/mlflow/"+r.path, r.body, nil)
		refused, ok := err.(*answered) //nolint:errorlint // It is call's own.
		require.True(t, ok, "%s: %v", name, err)
		require.Contains(t, []int{400, 404, 413}, refused.status, "%s: %.300s", name, refused.body)
		require.Less(t, len(refused.body), 10_000, "%s: the answer repeats what was sent", name)
	}
}
