package inttest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
)

// benign are the faults that the pages have on upstream's server as well (see
// startUI), and probes for parts that MLflow may lack.
var benign = []string{
	"/ajax-api/2.0/mlflow/users/current answered 404",       // there are no accounts
	"/ajax-api/3.0/mlflow/assistant/providers answered 404", // the assistant runs commands on the server's machine
	"/ajax-api/3.0/mlflow/assistant/config answered 404",    // likewise
	"ResizeObserver loop completed with undelivered",        // a notice of the layout
	"TypeError: Cannot read properties of undefined (reading 'includes')",
}

// uiPage is a page and the words that it shows or never shows.
type uiPage struct {
	name, path   string
	wants, never []string
}

// TestStockUI opens the pages of MLflow's own web UI, from the wheel, on our
// server: no request may fail and nothing may complain. With
// MILLWRIGHT_SCREENSHOTS it leaves pictures of them in that folder.
func TestStockUI(t *testing.T) {
	t.Parallel()
	build := filepath.Join(filepath.Dir(filepath.Dir(inttest.MLflowPython(t))), "lib", "python*", "site-packages", "mlflow", "server", "js", "build")
	found, err := filepath.Glob(build)
	require.NoError(t, err)
	require.Len(t, found, 1, "the UI is not in the wheel: %s", build)
	server := startUI(t, found[0])
	s := seed{t: t, url: server.URL}
	s.fill()
	browser := inttest.OpenBrowser(t)
	shots := os.Getenv("MILLWRIGHT_SCREENSHOTS") //nolint:forbidigo // The test run's own setting.
	if shots == "" {
		shots = t.TempDir()
	}
	exp := "/#/experiments/" + s.experiment
	for i, page := range append([]uiPage{
		{name: "experiments", path: "/#/experiments", wants: []string{"flights", "Default"}},
		{name: "runs", path: exp + "/runs", wants: []string{"run-00", "run-11"}},
		{
			name:  "runs filtered and sorted",
			path:  exp + "/runs?searchFilter=" + "metrics.auc%20%3E%200.5%20and%20params.depth%20%3D%20%222%22" + "&orderByKey=metrics.%60auc%60&orderByAsc=false",
			wants: []string{"run-11", "run-08"}, never: []string{"run-00", "run-10"},
		},
		{name: "chart", path: exp + "/runs?searchFilter=&compareRunsMode=CHART", wants: []string{"loss", "auc", "run-11", "run-02"}},
		{name: "run", path: exp + "/runs/" + s.runs[11], wants: []string{"run-11", "depth", "auc", "flights-train", "Finished"}},
		{name: "run metrics", path: exp + "/runs/" + s.runs[11] + "/model-metrics", wants: []string{"loss"}},
		{name: "run artifacts", path: exp + "/runs/" + s.runs[11] + "/artifacts", wants: []string{"notes.txt", "plots"}},
		{name: "run artifact", path: exp + "/runs/" + s.runs[11] + "/artifacts/notes.txt", wants: []string{"written by the test"}},
		{name: "models", path: exp + "/models", wants: []string{"forest"}},
		{name: "model", path: exp + "/models/" + s.model, wants: []string{"forest", "run-11"}},
		{name: "traces", path: exp + "/traces", wants: []string{"how late?", "7 minutes"}},
		{name: "compare", path: fmt.Sprintf("/#/compare-runs?runs=%%5B%%22%s%%22%%2C%%22%s%%22%%5D&experiments=%%5B%%22%s%%22%%5D", s.runs[10], s.runs[11], s.experiment), wants: []string{"run-10", "run-11", "auc"}},
		{name: "overview", path: exp + "/overview/usage", wants: []string{"flights"}},
	}, s.registryPages()...) {
		t.Run(page.name, func(t *testing.T) {
			browser.Open(server.URL + page.path)
			text := awaitText(t, browser, page.wants)
			browser.Screenshot(filepath.Join(shots, fmt.Sprintf("%02d-%s.png", i, strings.ReplaceAll(page.name, " ", "-"))))
			for _, want := range page.wants {
				require.Contains(t, text, want)
			}
			for _, never := range page.never {
				require.NotContains(t, text, never)
			}
			faults, answered := browser.Faults()
			require.NotZero(t, answered)
			var bad []string
			for _, f := range faults {
				if !isBenign(f) {
					bad = append(bad, f)
				}
			}
			require.Empty(t, bad, strings.Join(bad, "\n"))
		})
	}
}

// awaitText waits until the page rests and shows the words, or its patience
// ends, and returns what it shows.
func awaitText(t *testing.T, browser *inttest.Browser, words []string) string {
	t.Helper()
	for end := time.Now().Add(inttest.Patience); ; {
		settled, text := browser.Settle(), browser.Text()
		for _, w := range words {
			settled = settled && strings.Contains(text, w)
		}
		if settled || time.Now().After(end) {
			return text
		}
	}
}

func isBenign(fault string) bool {
	for _, b := range benign {
		if strings.Contains(fault, b) {
			return true
		}
	}
	return false
}

// startUI starts our server with the UI, or, with MILLWRIGHT_UI_UPSTREAM,
// upstream's, to see which faults are the UI's own.
func startUI(t *testing.T, build string) *inttest.MLflow {
	t.Helper()
	if os.Getenv("MILLWRIGHT_UI_UPSTREAM") != "" { //nolint:forbidigo // The test run's own setting.
		return inttest.StartMLflow(t, "")
	}
	return inttest.StartServer(t, "", "--ui-dir", build)
}

// seed fills a server with what the pages show.
type seed struct {
	t          *testing.T
	url        string
	experiment string
	runs       []string
	model      string
}

type object = map[string]any

func (s *seed) fill() {
	s.experiment = s.post("2.0/mlflow/experiments/create", object{"name": "flights"})["experiment_id"].(string)
	start := time.Now().Add(-time.Hour).UnixMilli()
	for i := range 12 {
		at := start + int64(i)*60_000
		answer := s.post("2.0/mlflow/runs/create", object{"experiment_id": s.experiment, "run_name": fmt.Sprintf("run-%02d", i), "start_time": at, "tags": pairs("team", "blue", "mlflow.user", "ann", "mlflow.source.name", "train.go")})
		run := answer["run"].(object)["info"].(object)["run_id"].(string)
		s.runs = append(s.runs, run)
		metrics := []object{}
		for step := range 60 {
			metrics = append(metrics, object{"key": "loss", "value": 2 / float64(step+i+1), "timestamp": at + int64(step), "step": step})
		}
		metrics = append(metrics, object{"key": "auc", "value": float64(i) / 12, "timestamp": at, "step": 0}, object{"key": "odd", "value": []any{"NaN", "Infinity", -1}[i%3], "timestamp": at, "step": 0})
		s.post("2.0/mlflow/runs/log-batch", object{"run_id": run, "metrics": metrics, "params": pairs("depth", fmt.Sprint(i%3), "model", "forest")})
		s.post("2.0/mlflow/runs/log-inputs", object{"run_id": run, "datasets": []object{{"tags": pairs("mlflow.data.context", "training"), "dataset": object{"name": "flights-train", "digest": "d1", "source_type": "http", "source": `{"url":"https://example.org/f.csv"}`, "schema": `{"mlflow_colspec":[{"type":"long","name":"delay","required":true}]}`, "profile": `{"num_rows":63530}`}}}})
		s.post("2.0/mlflow/runs/update", object{"run_id": run, "status": "FINISHED", "end_time": at + 30_000})
	}
	last := s.runs[11]
	for path, data := range map[string]string{"notes.txt": "written by the test", "plots/a.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>", "table.json": `{"columns":["a"],"data":[[1]]}`} {
		s.send(http.MethodPut, "2.0/mlflow-artifacts/artifacts/"+s.experiment+"/"+last+"/artifacts/"+path, "application/octet-stream", []byte(data))
	}
	model := s.post("2.0/mlflow/logged-models", object{"experiment_id": s.experiment, "name": "forest", "source_run_id": last, "model_type": "classifier", "params": pairs("trees", "100"), "tags": pairs("stage", "new")})
	s.model = model["model"].(object)["info"].(object)["model_id"].(string)
	s.send(http.MethodPatch, "2.0/mlflow/logged-models/"+s.model, "application/json", []byte(`{"model_id":"`+s.model+`","status":"LOGGED_MODEL_READY"}`))
	s.post("2.0/mlflow/runs/log-batch", object{"run_id": last, "metrics": []object{{"key": "rmse", "value": 0.5, "timestamp": start, "step": 1, "model_id": s.model}}})
	s.post("2.0/mlflow/runs/outputs", object{"run_id": last, "models": []object{{"model_id": s.model, "step": 1}}})
	s.traces()
	s.registry()
}

func (s *seed) traces() {
	var spans []object
	for i := range 5 {
		trace := fmt.Sprintf("%032x", 0xabc0+i)
		at := time.Now().Add(-time.Duration(i+1) * time.Minute).UnixNano()
		root := object{"traceId": trace, "spanId": fmt.Sprintf("%016x", 16*i+1), "name": "answer", "startTimeUnixNano": fmt.Sprint(at), "endTimeUnixNano": fmt.Sprint(at + 5e8), "status": object{"code": 1 + i%2}, "attributes": []object{attribute("mlflow.spanType", `"AGENT"`), attribute("mlflow.spanInputs", `{"question": "how late?"}`), attribute("mlflow.spanOutputs", `"7 minutes"`)}}
		child := object{"traceId": trace, "spanId": fmt.Sprintf("%016x", 16*i+2), "parentSpanId": root["spanId"], "name": "look up", "startTimeUnixNano": fmt.Sprint(at + 1e8), "endTimeUnixNano": fmt.Sprint(at + 3e8), "status": object{"code": 1}, "attributes": []object{attribute("mlflow.spanType", `"TOOL"`)}}
		spans = append(spans, root, child)
	}
	body, err := json.Marshal(object{"resourceSpans": []object{{"scopeSpans": []object{{"spans": spans}}}}})
	require.NoError(s.t, err)
	s.request(http.MethodPost, s.url+"/v1/traces", "application/json", body)
}

func attribute(key, value string) object {
	return object{"key": key, "value": object{"stringValue": value}}
}

func pairs(kv ...string) []object {
	var all []object
	for i := 0; i < len(kv); i += 2 {
		all = append(all, object{"key": kv[i], "value": kv[i+1]})
	}
	return all
}

func (s *seed) post(path string, body object) object {
	data, err := json.Marshal(body)
	require.NoError(s.t, err)
	var answer object
	require.NoError(s.t, json.Unmarshal(s.send(http.MethodPost, path, "application/json", data), &answer))
	return answer
}

func (s *seed) send(method, path, contentType string, body []byte) []byte {
	return s.request(method, s.url+"/api/"+path, contentType, body)
}

func (s *seed) request(method, url, contentType string, body []byte) []byte {
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, bytes.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Mlflow-Experiment-Id", s.experiment)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, resp.StatusCode, "%s %s: %s", method, url, answer)
	return answer
}
