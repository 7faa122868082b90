package grpcserve_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/grpcserve"
	"github.com/millwright-ml/millwright/serve/oip"
)

func TestInferKeepsEveryBit(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, contents := range []bool{false, true} {
		c := grpcserve.NewClient(r.conn, &grpcserve.ClientOptions{Contents: contents})
		var header metadata.MD
		c2 := grpcserve.NewClient(r.conn, &grpcserve.ClientOptions{Contents: contents, CallOptions: []grpc.CallOption{grpc.Header(&header)}})
		for _, c := range []*grpcserve.Client{c, c2} {
			want := all()
			resp, err := c.Infer(t.Context(), "echo", "", &oip.InferRequest{ID: "a", Inputs: want})
			require.NoError(t, err)
			require.Equal(t, "echo", resp.ModelName)
			require.Equal(t, "1", resp.ModelVersion)
			require.Equal(t, "a", resp.ID)
			require.Len(t, resp.Outputs, len(want))
			for i := range want {
				require.Equal(t, want[i].Data(), resp.Outputs[i].Data())
				require.Equal(t, want[i].Shape, resp.Outputs[i].Shape)
			}
		}
		require.Equal(t, []string{"a"}, header.Get("millwright-request-id"))
		require.Equal(t, []string{"echo/1"}, header.Get("millwright-model"))

		resp, err := c.Infer(t.Context(), "echo", "1", &oip.InferRequest{Inputs: all(), Outputs: []oip.RequestedOutput{{Name: "fp32"}, {Name: "bool"}}})
		require.NoError(t, err)
		require.Len(t, resp.Outputs, 2)
		require.Equal(t, "fp32", resp.Outputs[0].Name)
		require.NotEmpty(t, resp.ID)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c := grpcserve.NewClient(r.conn, nil)
	ctx := t.Context()
	require.NoError(t, c.Live(ctx))
	require.NoError(t, c.Ready(ctx))
	require.NoError(t, c.ModelReady(ctx, "echo", ""))
	require.ErrorIs(t, c.ModelReady(ctx, "none", ""), grpcserve.ErrUnavailable)
	server, err := c.ServerMetadata(ctx)
	require.NoError(t, err)
	require.Equal(t, "rig", server.Name)
	require.Equal(t, "7", server.Version)
	model, err := c.ModelMetadata(ctx, "count", "")
	require.NoError(t, err)
	require.Equal(t, oip.ModelMetadata{Name: "count", Versions: []string{"1"}, Platform: "go",
		Inputs: counter{}.Signature().Inputs, Outputs: counter{}.Signature().Outputs}, model)
	_, err = c.ModelMetadata(ctx, "none", "")
	require.ErrorIs(t, err, grpcserve.ErrNotFound)
	config, err := c.ModelConfig(ctx, "count", "1")
	require.NoError(t, err)
	require.Equal(t, []oip.TensorConfig{{Name: "n", DataType: "TYPE_INT64", Dims: []int64{1}}}, config.Inputs)
	_, err = c.ModelConfig(ctx, "count", "9")
	require.ErrorIs(t, err, grpcserve.ErrNotFound)

	_, err = c.Infer(ctx, "count", "", &oip.InferRequest{Inputs: []oip.Tensor{oip.NewINT64("n", []int64{1}, []int64{3})}})
	require.NoError(t, err)
	stats, err := c.Statistics(ctx, "count", "1")
	require.NoError(t, err)
	require.Len(t, stats.Models, 1)
	require.EqualValues(t, 1, stats.Models[0].Inference.Success.Count)
	require.NotZero(t, stats.Models[0].LastInference)
	stats, err = c.Statistics(ctx, "", "")
	require.NoError(t, err)
	require.Len(t, stats.Models, 2)
	_, err = c.Statistics(ctx, "none", "")
	require.ErrorIs(t, err, grpcserve.ErrNotFound)

	_, err = c.RepositoryIndex(ctx, true)
	require.ErrorIs(t, err, grpcserve.ErrUnsupported)
	require.ErrorIs(t, c.Load(ctx, "echo", nil), grpcserve.ErrUnsupported)
	require.ErrorIs(t, c.Unload(ctx, "echo", nil), grpcserve.ErrUnsupported)
}

// repository records what it is asked.
type repository struct{ asked []string }

func (r *repository) Index(context.Context) ([]oip.ModelIndex, error) {
	return []oip.ModelIndex{{Name: "a", State: oip.StateUnavailable, Reason: "r"}, {Name: "b", State: oip.StateReady}}, nil
}

func (r *repository) Load(_ context.Context, model string, p map[string]any) error {
	r.asked = append(r.asked, fmt.Sprint("load ", model, p))
	return nil
}

func (r *repository) Unload(_ context.Context, model string, p map[string]any) error {
	return fmt.Errorf("unload %s %v: %w", model, p, serve.ErrNotFound)
}

func TestRepository(t *testing.T) {
	t.Parallel()
	repo := &repository{}
	r := newRig(t, &serve.Options{Repository: repo, Authorize: func(_ context.Context, a serve.Action) error {
		if a.Header.Get("Authorization") != "me" {
			return errors.New("who are you")
		}
		return nil
	}})
	c := grpcserve.NewClient(r.conn, nil)
	_, err := c.RepositoryIndex(t.Context(), true)
	require.ErrorIs(t, err, grpcserve.ErrForbidden)
	require.ErrorIs(t, c.Load(t.Context(), "m", nil), grpcserve.ErrForbidden)
	require.Empty(t, repo.asked)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "me")
	list, err := c.RepositoryIndex(ctx, true)
	require.NoError(t, err)
	require.Equal(t, []oip.ModelIndex{{Name: "b", State: "READY"}}, list)
	list, err = c.RepositoryIndex(ctx, false)
	require.NoError(t, err)
	require.Equal(t, oip.ModelIndex{Name: "a", State: "UNAVAILABLE", Reason: "r"}, list[0])
	require.NoError(t, c.Load(ctx, "m", &oip.LoadRequest{Parameters: map[string]any{"config": "{}", "file:1/x": []byte("abc"), "n": 3}}))
	require.Equal(t, []string{"load mmap[config:{} file:1/x:[97 98 99] n:3]"}, repo.asked)
	err = c.Unload(ctx, "m", &oip.UnloadRequest{Parameters: map[string]any{"unload_dependents": true}})
	require.ErrorIs(t, err, grpcserve.ErrNotFound)
	require.ErrorContains(t, err, "unload m map[unload_dependents:true]")
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c := grpcserve.NewClient(r.conn, nil)
	for _, tc := range []struct {
		model, fail string
		code        codes.Code
		kind        error
		wait        time.Duration
	}{
		{"echo", "invalid", codes.InvalidArgument, grpcserve.ErrInvalid, 0},
		{"echo", "unavailable", codes.Unavailable, grpcserve.ErrUnavailable, 0},
		{"echo", "crowded", codes.ResourceExhausted, grpcserve.ErrUnavailable, 90 * time.Second},
		{"echo", "busy", codes.Unavailable, grpcserve.ErrUnavailable, 1500 * time.Millisecond},
		{"echo", "unsupported", codes.Unimplemented, grpcserve.ErrUnsupported, 0},
		{"echo", "exists", codes.AlreadyExists, grpcserve.ErrExists, 0},
		{"echo", "conflict", codes.Aborted, grpcserve.ErrConflict, 0},
		{"none", "", codes.NotFound, grpcserve.ErrNotFound, 0},
		{"count", "", codes.InvalidArgument, grpcserve.ErrInvalid, 0},
	} {
		_, err := c.Infer(t.Context(), tc.model, "", &oip.InferRequest{Inputs: all(), Parameters: map[string]any{"fail": tc.fail}})
		require.ErrorIs(t, err, tc.kind)
		require.Equal(t, tc.code, status.Code(errors.Unwrap(unwrapFirst(err))), "%v", err)
		require.Equal(t, tc.wait, grpcserve.RetryAfter(err))
	}
	// The message is the sender's fault.
	for _, text := range [][]byte{{0xff}, {0x0a, 0x05, 'x'}, {0x0a, 0x01, 0xff}, {0x08, 0x01}} {
		var out raw
		err := r.conn.Invoke(t.Context(), "/"+grpcserve.ServiceName+"/ModelInfer", &raw{text}, &out)
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%x: %v", text, err)
	}
	var out raw
	err := r.conn.Invoke(t.Context(), "/"+grpcserve.ServiceName+"/TraceSetting", &raw{}, &out)
	require.Equal(t, codes.Unimplemented, status.Code(err))

	require.NoError(t, r.server.Shutdown(t.Context()))
	_, err = c.Infer(t.Context(), "echo", "", &oip.InferRequest{Inputs: all()})
	require.ErrorIs(t, err, grpcserve.ErrUnavailable)
	require.ErrorIs(t, c.Ready(t.Context()), grpcserve.ErrUnavailable)
	require.NoError(t, c.Live(t.Context()))
}

// unwrapFirst returns an error whose Unwrap is the first of several.
func unwrapFirst(err error) error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return fmt.Errorf("%w", list.Unwrap()[0])
	}
	return err
}

// raw is a message of any bytes.
type raw struct{ b []byte }

func (*raw) Reset()                     {}
func (*raw) String() string             { return "raw" }
func (*raw) ProtoMessage()              {}
func (r *raw) Marshal() ([]byte, error) { return r.b, nil }
func (r *raw) Unmarshal(b []byte) error {
	r.b = append([]byte(nil), b...)
	return nil
}

func TestInterceptorsSeeTheCalls(t *testing.T) {
	t.Parallel()
	refuse := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		if len(md.Get("authorization")) == 0 && info.FullMethod == "/inference.GRPCInferenceService/ModelInfer" {
			return nil, status.Error(codes.Unauthenticated, "who are you")
		}
		return next(ctx, req)
	}
	r := newRig(t, nil, grpc.UnaryInterceptor(refuse))
	c := grpcserve.NewClient(r.conn, nil)
	require.NoError(t, c.Ready(t.Context()))
	req := &oip.InferRequest{Inputs: all()}
	_, err := c.Infer(t.Context(), "echo", "", req)
	require.ErrorContains(t, err, "who are you")
	_, err = c.Infer(metadata.AppendToOutgoingContext(t.Context(), "authorization", "me"), "echo", "", req)
	require.NoError(t, err)
}

func TestStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c := grpcserve.NewClient(r.conn, nil)
	count := func(n int64, most int, params map[string]any) (got []int64, last *oip.InferResponse, err error) {
		req := &oip.InferRequest{ID: "s", Parameters: params, Inputs: []oip.Tensor{oip.NewINT64("n", []int64{1}, []int64{n})}}
		for resp, e := range c.InferStream(t.Context(), "count", "", req) {
			if e != nil {
				return got, last, e
			}
			last = resp
			if len(resp.Outputs) > 0 {
				got = append(got, resp.Outputs[0].INT64()...)
			}
			if len(got) == most {
				break
			}
		}
		return got, last, nil
	}
	got, last, err := count(4, -1, nil)
	require.NoError(t, err)
	require.Equal(t, []int64{0, 1, 2, 3}, got)
	require.Equal(t, "s", last.ID)
	require.Empty(t, last.Parameters)
	got, last, err = count(2, -1, map[string]any{"triton_enable_empty_final_response": true})
	require.NoError(t, err)
	require.Equal(t, []int64{0, 1}, got)
	require.Empty(t, last.Outputs)
	require.Equal(t, map[string]any{"triton_final_response": true}, last.Parameters)
	got, _, err = count(1000, -1, nil)
	require.ErrorIs(t, err, grpcserve.ErrInvalid)
	require.ErrorContains(t, err, "that is enough")
	require.Len(t, got, 100)
	got, _, err = count(1000, 3, nil)
	require.NoError(t, err)
	require.Len(t, got, 3)

	// A model that does not stream answers once; what is wrong is an answer.
	n := 0
	for resp, err := range c.InferStream(t.Context(), "echo", "", &oip.InferRequest{Inputs: all()}) {
		require.NoError(t, err)
		require.Len(t, resp.Outputs, len(all()))
		n++
	}
	require.Equal(t, 1, n)
	for _, err := range c.InferStream(t.Context(), "none", "", &oip.InferRequest{Inputs: all()}) {
		require.ErrorContains(t, err, "not deployed")
	}
}
