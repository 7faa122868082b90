package inttest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
)

// buildQuickstart builds the example as its documentation says.
func buildQuickstart(t *testing.T, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "quickstart")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", program}, flags...), "./examples/quickstart")...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// table is what read_delta.py says of a version.
type table struct {
	Version int
	Rows    int
	Fields  []struct {
		Name, Type string
	}
	Columns map[string]struct {
		Nulls, Distinct int
		Sum, Min, Max   json.Number
	}
}

func readDelta(t *testing.T, args ...string) table {
	t.Helper()
	out, status := inttest.RunScript(t, "read_delta.py", args...)
	require.Zero(t, status, "%s", out)
	var read table
	require.NoError(t, json.Unmarshal(out, &read), "%s", out)
	return read
}

// TestLoopForStockTools runs the quickstart in a folder and looks at all that
// it leaves with tools that know nothing of Millwright.
func TestLoopForStockTools(t *testing.T) {
	t.Parallel()
	inttest.Python(t)
	promtool := inttest.Tool(t, "promtool")
	program := buildQuickstart(t)
	dir := filepath.Join(t.TempDir(), "loop")

	cmd := exec.Command(program, "-dir", dir, "-serve")
	var out, stderr bytes.Buffer
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = io.MultiWriter(w, &out), &stderr
	require.NoError(t, cmd.Start())
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait(); _ = w.Close() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	url := ""
	for buf, seen := make([]byte, 4096), ""; url == ""; {
		n, err := r.Read(buf)
		require.NoError(t, err, "ended early:\n%s\n%s", &out, &stderr)
		seen += string(buf[:n])
		if m := regexp.MustCompile(`Serving at (\S+) until`).FindStringSubmatch(seen); m != nil {
			url = m[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()

	t.Run("promtool", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = resp.Body
		said, err := check.CombinedOutput()
		require.NoError(t, err, "%s", said)
		require.Empty(t, string(said), "promtool has advice")
	})
	t.Run("tritonclient", func(t *testing.T) {
		request := filepath.Join(t.TempDir(), "request.json")
		require.NoError(t, os.WriteFile(request, []byte(`{"id": "stock-1", "inputs": [
			{"name": "origin", "datatype": "BYTES", "shape": [1], "data": ["ATL"]},
			{"name": "destination", "datatype": "BYTES", "shape": [1], "data": ["LAX"]},
			{"name": "distance", "datatype": "FP64", "shape": [1], "data": [1946]},
			{"name": "hour", "datatype": "INT64", "shape": [1], "data": [8]},
			{"name": "weekday", "datatype": "INT64", "shape": [1], "data": [0]}]}`), 0o600))
		said, status := inttest.RunScript(t, "infer_triton.py", strings.TrimPrefix(url, "http://"), "flights-late", request)
		require.Zero(t, status, "%s", said)
		var answer struct {
			Response struct {
				Name    string `json:"model_name"`
				Version string `json:"model_version"`
				ID      string `json:"id"`
				Outputs []struct{ Data []float64 }
			}
		}
		require.NoError(t, json.Unmarshal(said, &answer))
		require.Equal(t, "flights-late", answer.Response.Name)
		require.Equal(t, "2", answer.Response.Version, "the challenger was promoted")
		require.Equal(t, "stock-1", answer.Response.ID)
		require.InDelta(t, 0.2, answer.Response.Outputs[0].Data[0], 0.2)
	})
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, <-exited, "%s", &stderr)

	t.Run("deltalake", func(t *testing.T) {
		flights := filepath.Join(dir, "store", "datasets", "flights")
		january := readDelta(t, flights, "--version", "1")
		require.Contains(t, out.String(), "63,530 rows")
		require.Equal(t, 63530, january.Rows)
		require.Equal(t, "30", january.Columns["distance"].Min.String())
		require.Equal(t, "4962", january.Columns["distance"].Max.String())
		require.Equal(t, 223, january.Columns["origin"].Distinct)
		var types []string
		for _, f := range january.Fields {
			types = append(types, f.Name+" "+f.Type)
		}
		require.Equal(t, []string{"date timestamp", "delay integer", "distance integer", "origin string", "destination string"}, types)
		require.Equal(t, 236903, readDelta(t, flights, "--version", "2").Rows)

		logged := readDelta(t, filepath.Join(dir, "store", "datasets", "inference-log"))
		require.Equal(t, 305146, logged.Rows, "21 weeks, and the request of tritonclient")
	})
}

// TestLoopOnS3 runs the same loop with its bytes on real S3 servers. Equal
// content has equal digests wherever it is.
func TestLoopOnS3(t *testing.T) {
	t.Parallel()
	inttest.Python(t)
	program := buildQuickstart(t, "-tags", "s3")
	for name, start := range inttest.S3Servers() {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			bucket := server.NewBucket(t)
			loop := func(args ...string) string {
				cmd := exec.CommandContext(t.Context(), program, append(args, "-dir", filepath.Join(t.TempDir(), "loop"))...)
				cmd.WaitDelay = 10 * time.Second
				cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+server.Endpoint, "AWS_REGION=us-east-1",
					"AWS_ACCESS_KEY_ID="+server.AccessKey, "AWS_SECRET_ACCESS_KEY="+server.SecretKey)
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.Contains(t, string(out), "bit for bit")
				require.Contains(t, string(out), " 0 failed")
				return regexp.MustCompile(`committed as version 2: .*`).FindString(string(out))
			}
			onS3 := loop("-store", "s3://"+bucket+"/loop")
			require.NotEmpty(t, onS3)
			require.Equal(t, loop(), onS3, "version 2 in a folder")
			read := readDelta(t, "s3://"+bucket+"/loop/datasets/flights", "--version", "2",
				"--option", "AWS_ENDPOINT_URL="+server.Endpoint, "--option", "AWS_REGION=us-east-1", "--option", "AWS_ALLOW_HTTP=true",
				"--option", "AWS_ACCESS_KEY_ID="+server.AccessKey, "--option", "AWS_SECRET_ACCESS_KEY="+server.SecretKey)
			require.Equal(t, 236903, read.Rows)
		})
	}
}
