package grpcserve_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/grpcserve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// all is a tensor of each datatype that has contents.
func all() []oip.Tensor {
	n := []int64{2}
	return []oip.Tensor{
		oip.NewBOOL("bool", n, []bool{true, false}),
		oip.NewUINT8("uint8", n, []uint8{0, 255}),
		oip.NewUINT16("uint16", n, []uint16{0, 65535}),
		oip.NewUINT32("uint32", n, []uint32{0, math.MaxUint32}),
		oip.NewUINT64("uint64", n, []uint64{0, math.MaxUint64}),
		oip.NewINT8("int8", n, []int8{-128, 127}),
		oip.NewINT16("int16", n, []int16{-32768, 32767}),
		oip.NewINT32("int32", n, []int32{math.MinInt32, math.MaxInt32}),
		oip.NewINT64("int64", n, []int64{math.MinInt64, math.MaxInt64}),
		oip.NewFP32("fp32", n, []float32{float32(math.Inf(-1)), 0.1}),
		oip.NewFP64("fp64", n, []float64{math.Inf(1), 0.1}),
		oip.NewBYTES("bytes", n, [][]byte{{0xff, 0}, {}}),
	}
}

// echo answers with its inputs.
type echo struct{ list []oip.Tensor }

func (e echo) Signature() serve.Signature {
	var s serve.Signature
	for _, t := range e.list {
		s.Inputs = append(s.Inputs, oip.TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: []int64{-1}})
	}
	s.Outputs = s.Inputs
	return s
}

func (e echo) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	if v, _ := req.Parameters["fail"].(string); v != "" {
		return fmt.Errorf("the model says %s: %w", v, map[string]error{
			"invalid": serve.ErrInvalid, "unavailable": serve.ErrUnavailable, "crowded": &serve.OverloadError{Share: true, RetryAfter: 90 * time.Second}, "busy": &serve.OverloadError{RetryAfter: 1500 * time.Millisecond}, "unsupported": serve.ErrUnsupported,
			"exists": serve.ErrExists, "conflict": serve.ErrConflict,
		}[v])
	}
	resp.Outputs = append(resp.Outputs, req.Inputs...)
	return nil
}

func (echo) Close() error { return nil }

// counter streams the numbers up to its input.
type counter struct{}

func (counter) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "n", Datatype: oip.INT64, Shape: []int64{1}}},
		Outputs: []oip.TensorMetadata{{Name: "i", Datatype: oip.INT64, Shape: []int64{1}}},
	}
}

func (counter) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	resp.Outputs = append(resp.Outputs, oip.NewINT64("i", []int64{1}, req.Inputs[0].INT64()))
	return nil
}

func (counter) Stream(_ context.Context, req *oip.InferRequest) iter.Seq2[*oip.InferResponse, error] {
	return func(yield func(*oip.InferResponse, error) bool) {
		for i := range req.Inputs[0].INT64()[0] {
			if i == 100 {
				yield(nil, fmt.Errorf("that is enough: %w", serve.ErrInvalid))
				return
			}
			if !yield(&oip.InferResponse{Outputs: []oip.Tensor{oip.NewINT64("i", []int64{1}, []int64{i})}}, nil) {
				return
			}
		}
	}
}

func (counter) Close() error { return nil }

// rig is a gRPC server with the two models, and a connection to it.
type rig struct {
	server *serve.Server
	conn   *grpc.ClientConn
}

func newRig(t *testing.T, opts *serve.Options, extra ...grpc.ServerOption) *rig {
	t.Helper()
	if opts == nil {
		opts = &serve.Options{}
	}
	opts.Name, opts.Version = "rig", "7"
	s := serve.New(opts)
	for name, m := range map[string]serve.Model{"echo": echo{all()}, "count": counter{}} {
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: name, Version: "1", Model: m, Platform: "go"}))
	}
	g := grpc.NewServer(extra...)
	grpcserve.Register(g, s, nil)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		g.Stop()
		require.NoError(t, <-served)
		require.NoError(t, s.Shutdown(context.WithoutCancel(t.Context())))
	})
	return &rig{s, conn}
}
