package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/servetest"
)

// twice doubles its input.
type twice struct{}

func (twice) Signature() serve.Signature {
	list := []oip.TensorMetadata{{Name: "x", Datatype: oip.FP64, Shape: []int64{-1}}}
	return serve.Signature{Inputs: list, Outputs: list}
}

func (twice) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	var out []float64
	for _, v := range req.Inputs[0].FP64() {
		out = append(out, 2*v)
	}
	resp.Outputs = append(resp.Outputs, oip.NewFP64("x", []int64{int64(len(out))}, out))
	return nil
}

func (twice) Close() error { return nil }

func TestCommand(t *testing.T) {
	t.Parallel()
	s := serve.New(nil)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "twice", Version: "1", Model: twice{}}))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, `{"error":"who are you"}`, http.StatusUnauthorized)
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	dir := t.TempDir()
	token, sample := filepath.Join(dir, "token"), filepath.Join(dir, "sample.json")
	require.NoError(t, os.WriteFile(token, []byte("secret\n"), 0o600))
	require.NoError(t, os.WriteFile(sample, []byte(`{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[4]}]}`), 0o600))
	var out, errs bytes.Buffer
	args := []string{"-url", web.URL, "-model", "twice", "-bearer-file", token, "-sample", sample}
	require.Zero(t, run(t.Context(), args, &out, &errs), "%s%s", out.String(), errs.String())
	require.Contains(t, out.String(), "| infer | flat data | pass |")

	out.Reset()
	require.Equal(t, 1, run(t.Context(), append(args, "-json", "-extensions", "model_repository,other"), &out, &errs))
	var report servetest.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &report))
	require.Equal(t, "twice", report.Model)
	require.Equal(t, 1, report.Count(servetest.Fail), "there is no repository")

	for _, args := range [][]string{{"-nonsense"}, {"-url", "x"}, {"-url", web.URL}, {"-sample", "none"}, {"-bearer-file", "none"}, {"-sample", token}} {
		require.Equal(t, 2, run(t.Context(), args, io.Discard, &errs))
	}
}
