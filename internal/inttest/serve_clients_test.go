package inttest_test

import (
	"bytes"
	"context"
	"iter"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // A program that takes gzip says so.

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/grpcserve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// echo answers with its inputs, one of each datatype.
type echo struct{ names []oip.Datatype }

func (e echo) Signature() serve.Signature {
	var list []oip.TensorMetadata
	for _, d := range e.names {
		list = append(list, oip.TensorMetadata{Name: "x_" + string(d), Datatype: d, Shape: []int64{-1}})
	}
	return serve.Signature{Inputs: list, Outputs: list}
}

func (echo) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	resp.Outputs = append(resp.Outputs, req.Inputs...)
	return nil
}

func (echo) Close() error { return nil }

// count streams the numbers below its input, or answers with it.
type count struct{}

func (count) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "n", Datatype: oip.INT64, Shape: []int64{1}}},
		Outputs: []oip.TensorMetadata{{Name: "i", Datatype: oip.INT64, Shape: []int64{1}}},
	}
}

func (count) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	resp.Outputs = append(resp.Outputs, oip.NewINT64("i", []int64{1}, req.Inputs[0].INT64()))
	return nil
}

func (count) Stream(_ context.Context, req *oip.InferRequest) iter.Seq2[*oip.InferResponse, error] {
	return func(yield func(*oip.InferResponse, error) bool) {
		for i := range req.Inputs[0].INT64()[0] {
			if !yield(&oip.InferResponse{Outputs: []oip.Tensor{oip.NewINT64("i", []int64{1}, []int64{i})}}, nil) {
				return
			}
		}
	}
}

func (count) Close() error { return nil }

// inferenceServer is our server over HTTP and gRPC, and their addresses.
func inferenceServer(t *testing.T) (web, rpc string) {
	t.Helper()
	s := serve.New(&serve.Options{Name: "millwright", Version: "test", Compress: 1})
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.WithoutCancel(t.Context()))) })
	all := echo{[]oip.Datatype{
		oip.BOOL, oip.UINT8, oip.UINT16, oip.UINT32, oip.UINT64, oip.INT8, oip.INT16, oip.INT32, oip.INT64,
		oip.FP16, oip.FP32, oip.FP64, oip.BYTES,
	}}
	for name, m := range map[string]serve.Model{"echo": all, "count": count{}} {
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: name, Version: "1", Model: m}))
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	g := grpc.NewServer()
	grpcserve.Register(g, s, nil)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		require.NoError(t, <-served)
	})
	return strings.TrimPrefix(h.URL, "http://"), l.Addr().String()
}

// client runs a foreign client, which says "all good" at its end.
func client(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), append(env, "PYTHONDONTWRITEBYTECODE=1")...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.True(t, bytes.HasSuffix(out, []byte("all good\n")), "%s", out)
}

func TestTritonClientHTTPAndGRPC(t *testing.T) {
	t.Parallel()
	python := inttest.OIPPython(t)
	web, rpc := inferenceServer(t)
	client(t, nil, python, filepath.Join("testdata", "oip_clients.py"), web, rpc,
		filepath.Join("..", "..", "serve", "grpcserve", "testdata", "inference.binpb"))
}

func TestNodeGRPC(t *testing.T) {
	t.Parallel()
	node, packages := inttest.Node(t)
	_, rpc := inferenceServer(t)
	client(t, []string{"NODE_TOOLS=" + packages}, node, filepath.Join("testdata", "node", "oip_grpc.js"), rpc,
		filepath.Join("..", "..", "serve", "grpcserve", "proto", "inference.proto"))
}
