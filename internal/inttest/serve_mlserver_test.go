package inttest_test

import (
	"bytes"
	"context"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/grpcserve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/servetest"
)

var writeMatrix = flag.Bool("write-matrix", false, "write the conformance matrix into docs/oip-conformance.md")

// bookshelf is a repository that lists one model.
type bookshelf struct{}

func (bookshelf) Index(context.Context) ([]oip.ModelIndex, error) {
	return []oip.ModelIndex{{Name: "echo", Version: "1", State: oip.StateReady}}, nil
}

func (bookshelf) Load(context.Context, string, map[string]any) error { return serve.ErrNotFound }

func (bookshelf) Unload(context.Context, string, map[string]any) error { return serve.ErrNotFound }

// The conformance suite asks our server and MLServer, and the published matrix is
// what it finds. Both serve a model that answers its inputs.
func TestConformanceMatrix(t *testing.T) {
	t.Parallel()
	web, rpc := inttest.MLServer(t)

	s := serve.New(&serve.Options{
		Name: "millwright", Version: "test", Compress: 1, Repository: bookshelf{},
		Authorize: func(context.Context, serve.Action) error { return nil },
	})
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.WithoutCancel(t.Context()))) })
	all := echo{[]oip.Datatype{
		oip.BOOL, oip.UINT8, oip.UINT16, oip.UINT32, oip.UINT64, oip.INT8, oip.INT16, oip.INT32, oip.INT64,
		oip.FP16, oip.BF16, oip.FP32, oip.FP64, oip.BYTES,
	}}
	// What is asked for as JSON has to have one.
	plain := echo{[]oip.Datatype{oip.FP32, oip.INT64, oip.BYTES}}
	for name, m := range map[string]serve.Model{"all": all, "echo": plain, "count": count{}} {
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: name, Version: "1", Model: m}))
	}
	ours := httptest.NewServer(s)
	t.Cleanup(ours.Close)

	mine, err := servetest.Check(t.Context(), ours.URL, &servetest.Options{
		Model: "echo", Echo: "all", Generate: "count", GenerateInputs: map[string]any{"n": 3}, Timeout: inttest.Patience,
	})
	require.NoError(t, err)
	require.Equal(t, len(mine.Results), mine.Count(servetest.Pass))
	// It lists no extensions and has this one.
	theirs, err := servetest.Check(t.Context(), web, &servetest.Options{
		Model: "echo", Echo: "echo", Extensions: []string{"model_repository"}, Timeout: inttest.Patience,
	})
	require.NoError(t, err)
	var table bytes.Buffer
	require.NoError(t, theirs.WriteTable(&table))
	t.Log(table.String())

	var matrix bytes.Buffer
	require.NoError(t, servetest.WriteMatrix(&matrix, []string{"millwright", "MLServer " + theirs.Server.Version}, []*servetest.Report{mine, theirs}))
	path := filepath.Join("..", "..", "docs", "oip-conformance.md")
	const begin = "<!-- matrix -->\n"
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	head, old, ok := strings.Cut(string(page), begin)
	require.True(t, ok)
	if *writeMatrix {
		require.NoError(t, os.WriteFile(path, []byte(head+begin+matrix.String()), 0o644)) //nolint:gosec // It is a page for all.
		return
	}
	require.Equal(t, old, matrix.String(), "go test -run TestConformanceMatrix -write-matrix writes it")

	// Our gRPC client and their server.
	conn, err := grpc.NewClient(rpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	c := grpcserve.NewClient(conn, &grpcserve.ClientOptions{Contents: true})
	require.NoError(t, c.Ready(t.Context()))
	require.NoError(t, c.ModelReady(t.Context(), "echo", ""))
	m, err := c.ModelMetadata(t.Context(), "echo", "")
	require.NoError(t, err)
	require.Len(t, m.Inputs, 9)
	req := &oip.InferRequest{ID: "a", Inputs: []oip.Tensor{
		oip.NewFP32("x_FP32", []int64{2}, []float32{0.25, 2}), oip.NewStrings("x_BYTES", []int64{1}, []string{"ünï"}),
	}}
	for _, contents := range []bool{true, false} {
		c := grpcserve.NewClient(conn, &grpcserve.ClientOptions{Contents: contents})
		resp, err := c.Infer(t.Context(), "echo", "", req)
		require.NoError(t, err)
		require.Equal(t, "a", resp.ID)
		require.Equal(t, []float32{0.25, 2}, resp.Output("x_FP32").FP32())
		require.Equal(t, []string{"ünï"}, resp.Output("x_BYTES").Strings())
	}
	_, err = c.Infer(t.Context(), "nobody", "", req)
	require.ErrorIs(t, err, grpcserve.ErrNotFound)
}
