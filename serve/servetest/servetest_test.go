package servetest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/servetest"
)

// ours is our server with all that it can do.
func ours(t *testing.T) http.Handler {
	t.Helper()
	s := serve.New(&serve.Options{
		Name: "millwright", Version: "1", Compress: 1, Repository: shelf{},
		Authorize: func(context.Context, serve.Action) error { return nil },
	})
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.WithoutCancel(t.Context()))) })
	for name, m := range map[string]serve.Model{"matrices": matrices(), "everything": everything(), "words": words{}} {
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: name, Version: "1", Model: m}))
	}
	return s
}

var full = servetest.Options{Echo: "everything", Generate: "words", GenerateInputs: map[string]any{"text_input": "abc"}}

func TestOurServer(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(ours(t))
	t.Cleanup(web.Close)
	servetest.Run(t, web.URL, &full)
}

// Nothing is skipped and nothing is a warning with our server.
func TestOurServerHasItAll(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.StripPrefix("/prefix", ours(t)))
	t.Cleanup(web.Close)
	r, err := servetest.Check(t.Context(), web.URL+"/prefix/", &full)
	require.NoError(t, err)
	require.Equal(t, "matrices", r.Model, "the first of the repository")
	var table bytes.Buffer
	require.NoError(t, r.WriteTable(&table))
	require.Equal(t, len(r.Results), r.Count(servetest.Pass), "%s", table.String())
	require.Greater(t, len(r.Results), 80)
	require.Contains(t, table.String(), "| errors | no inputs | pass |  |")
	table.Reset()
	require.NoError(t, servetest.WriteMatrix(&table, []string{"a", "b"}, []*servetest.Report{r, {}}))
	require.Contains(t, table.String(), "| part | check | a | b |\n|---|---|---|---|\n| health | live is 200 | pass | skip |\n")
}

// Each fault is found by the check that is about it.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	good := ours(t)
	is := func(r *http.Request, path string) bool { return strings.HasSuffix(r.URL.Path, path) }
	replace := func(path, from, to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			good.ServeHTTP(rec, r)
			maps.Copy(w.Header(), rec.Header())
			body := rec.Body.String()
			if is(r, path) {
				body = strings.ReplaceAll(body, from, to)
				w.Header().Del("Content-Length")
			}
			w.WriteHeader(rec.Code)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, tc := range []struct {
		name   string
		server http.HandlerFunc
		check  string
		status servetest.Status
	}{
		{"errors are 200", func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			good.ServeHTTP(rec, r)
			maps.Copy(w.Header(), rec.Header())
			_, _ = w.Write(rec.Body.Bytes())
		}, "errors/no inputs", servetest.Fail},
		{"errors are 500", func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			good.ServeHTTP(rec, r)
			maps.Copy(w.Header(), rec.Header())
			if rec.Code >= 400 {
				rec.Code = 500
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		}, "errors/no inputs", servetest.Warn},
		{"another id", replace("/infer", `"id":"servetest`, `"id":"other`), "infer/the id comes back", servetest.Fail},
		{"another datatype", replace("/infer", `"FP32"`, `"FP64"`), "infer/flat data", servetest.Fail},
		{"another model", replace("/infer", `"model_name":"`, `"model_name":"x`), "infer/the answer names the model", servetest.Fail},
		{"no extensions", replace("/v2", `"extensions"`, `"more"`), "metadata/of the server", servetest.Fail},
		{"no platform", replace("/matrices", `"platform"`, `"more"`), "metadata/of the model", servetest.Fail},
		{"a number that is off", replace("/infer", `0.25`, `0.26`), "binary_tensor_data/outputs as raw bytes, all", servetest.Fail},
		{"an integer through a float", replace("/infer", `9007199254740993`, `9007199254740992`), "echo/INT64 as JSON", servetest.Fail},
		{"not ready", func(w http.ResponseWriter, r *http.Request) {
			if is(r, "/health/ready") {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			good.ServeHTTP(w, r)
		}, "health/ready is 200", servetest.Fail},
		{"statistics that stand still", replace("/stats", `"count":`, `"count":0,"n":`), "statistics/count requests", servetest.Fail},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(tc.server)
			t.Cleanup(web.Close)
			opts := full
			opts.Model = "matrices"
			part, _, _ := strings.Cut(tc.check, "/")
			opts.Parts = []string{part}
			r, err := servetest.Check(t.Context(), web.URL, &opts)
			require.NoError(t, err)
			for _, c := range r.Results {
				if c.Part+"/"+c.Name == tc.check {
					require.Equal(t, tc.status, c.Status, c.Detail)
					return
				}
			}
			require.Fail(t, "there is no such check")
		})
	}
}

func TestNothingToReport(t *testing.T) {
	t.Parallel()
	_, err := servetest.Check(t.Context(), "ftp://x", nil)
	require.ErrorIs(t, err, servetest.ErrInvalid)
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	_, err = servetest.Check(t.Context(), web.URL, nil)
	require.ErrorIs(t, err, oip.ErrNotFound)
	bare := httptest.NewServer(serve.New(nil))
	t.Cleanup(bare.Close)
	_, err = servetest.Check(t.Context(), bare.URL, nil)
	require.ErrorContains(t, err, "as Options.Model is empty")
	_, err = servetest.Check(t.Context(), bare.URL, &servetest.Options{Model: "m"})
	require.ErrorIs(t, err, oip.ErrNotFound)
}

// A server is asked and its report read.
func ExampleCheck() {
	s := serve.New(nil)
	if err := s.Deploy(context.Background(), serve.Deployment{Name: "matrices", Version: "1", Model: matrices()}); err != nil {
		fmt.Println(err)
		return
	}
	web := httptest.NewServer(s)
	defer web.Close()

	report, err := servetest.Check(context.Background(), web.URL, &servetest.Options{Model: "matrices"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range report.Results {
		if r.Status == servetest.Fail || r.Part == "health" {
			fmt.Println(r.Part, "/", r.Name, "is a", r.Status)
		}
	}
	// Output:
	// health / live is 200 is a pass
	// health / ready is 200 is a pass
	// health / the model is ready is a pass
	// health / an unknown model is not ready is a pass
}
