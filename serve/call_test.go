package serve_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// two returns a server with versions 1, the default, and 2, which answer with
// their numbers.
func two(t testing.TB, opts *serve.Options) (*serve.Server, string) {
	s, url := start(t, opts, nil)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: versioned(1), Digest: "sha256:aa"}))
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "2", Model: versioned(2), Digest: "sha256:bb", Beside: true}))
	return s, url
}

// says asks in process and returns the version's number and who answered.
func says(t testing.TB, s *serve.Server, version string) (float64, serve.Served) {
	resp, served, err := s.Infer(t.Context(), "adder", version, rows(1, 2))
	require.NoError(t, err)
	return resp.Output("sum").FP64()[0], served
}

func TestVersionsBeside(t *testing.T) {
	t.Parallel()
	s, url := two(t, nil)
	n, served := says(t, s, "")
	require.EqualValues(t, 1, n)
	require.Equal(t, "1", served.Version)
	require.Equal(t, "sha256:aa", served.Digest)
	require.Len(t, served.RequestID, 32)
	n, served = says(t, s, "2")
	require.EqualValues(t, 2, n)
	require.Equal(t, "sha256:bb", served.Digest)
	_, _, err := s.Infer(t.Context(), "adder", "3", rows(1, 2))
	require.ErrorIs(t, err, serve.ErrNotFound)
	require.EqualError(t, err, `serve: model "adder": version "3" is not deployed, versions "1", "2" are: not found`)

	resp, _ := post(t, url+"/v2/models/adder/versions/2/infer", good)
	require.Equal(t, "adder/2", resp.Header.Get("Millwright-Model"))
	require.Equal(t, "sha256:bb", resp.Header.Get("Millwright-Digest"))
	m, err := s.Metadata("adder", "2")
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, m.Versions)
	require.Equal(t, "1", s.Models()[0].Default)

	require.ErrorIs(t, s.SetDefault("adder", "9"), serve.ErrNotFound)
	require.ErrorIs(t, s.SetDefault("other", "9"), serve.ErrNotFound)
	require.NoError(t, s.SetDefault("adder", "2"))
	n, _ = says(t, s, "")
	require.EqualValues(t, 2, n)
	err = s.Remove(t.Context(), "adder", "2")
	require.ErrorIs(t, err, serve.ErrConflict)
	require.ErrorIs(t, s.Remove(t.Context(), "adder", "9"), serve.ErrNotFound)
	require.NoError(t, s.Remove(t.Context(), "adder", "1"))
	require.NoError(t, s.Remove(t.Context(), "adder", "2"))
	require.False(t, s.Ready())
	require.ErrorIs(t, s.Remove(t.Context(), "adder", "2"), serve.ErrNotFound)
}

func TestDeployReplaces(t *testing.T) {
	t.Parallel()
	s, _ := two(t, nil)
	// In the default's place, with the one beside kept.
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "10", Model: versioned(10)}))
	m, err := s.Metadata("adder", "")
	require.NoError(t, err)
	require.Equal(t, []string{"2", "10"}, m.Versions)
	// A version of the same name, default or not.
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "2", Model: versioned(22), Beside: true}))
	n, _ := says(t, s, "2")
	require.EqualValues(t, 22, n)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "10", Model: versioned(11), Beside: true}))
	n, _ = says(t, s, "")
	require.EqualValues(t, 11, n)
	require.NoError(t, s.Undeploy(t.Context(), "adder"))
	require.Empty(t, s.Models())
}

type routerFunc func(ctx context.Context, c *serve.Call) string

func (f routerFunc) Route(ctx context.Context, c *serve.Call) string { return f(ctx, c) }

func TestRouter(t *testing.T) {
	t.Parallel()
	w := watch()
	byHeader := routerFunc(func(_ context.Context, c *serve.Call) string {
		c.Variant = "challenger"
		switch v := c.HeaderValue("X-Version"); v {
		case "panic":
			panic("router is broken")
		default:
			return v
		}
	})
	s, url := two(t, &serve.Options{Router: byHeader, Observers: []serve.Observer{w}})
	for _, tc := range []struct{ header, version, variant string }{
		{"2", "2", "challenger"}, {"1", "1", "challenger"}, {"", "1", "challenger"}, {"7", "1", ""}, {"panic", "1", ""},
	} {
		resp, body := post(t, url+"/v2/models/adder/infer", good, "X-Version", tc.header)
		require.Equal(t, 200, resp.StatusCode, body)
		require.Equal(t, "adder/"+tc.version, resp.Header.Get("Millwright-Model"))
		require.Equal(t, tc.variant, resp.Header.Get("Millwright-Variant"))
		x := w.last(t)
		require.Equal(t, tc.version, x.Version)
		require.Equal(t, tc.variant, x.Variant)
		require.Equal(t, tc.header, x.Header.Get("X-Version"))
	}
	// Who names a version gets it.
	resp, _ := post(t, url+"/v2/models/adder/versions/1/infer", good, "X-Version", "2")
	require.Equal(t, "adder/1", resp.Header.Get("Millwright-Model"))
	require.Empty(t, w.last(t).Variant)

	// A model's own router goes before.
	require.NoError(t, s.SetRouter("adder", routerFunc(func(context.Context, *serve.Call) string { return "2" })))
	n, _ := says(t, s, "")
	require.EqualValues(t, 2, n)
	require.NoError(t, s.SetDefault("adder", "1"))
	n, _ = says(t, s, "")
	require.EqualValues(t, 2, n, "the router outlives a change of the default")
	require.NoError(t, s.SetRouter("adder", nil))
	require.ErrorIs(t, s.SetRouter("other", nil), serve.ErrNotFound)
}

func TestShadow(t *testing.T) {
	t.Parallel()
	w := watch()
	s, _ := two(t, &serve.Options{Observers: []serve.Observer{w}, Router: routerFunc(func(context.Context, *serve.Call) string { return "2" })})
	c := serve.Call{Model: "adder", Request: rows(1, 2), RequestID: "r9", Shadow: true}
	resp, err := s.Do(t.Context(), &c)
	require.NoError(t, err)
	require.Equal(t, "r9", resp.ID)
	require.Equal(t, "1", c.Version)
	require.Empty(t, w.seen)
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	w := watch()
	outer := func(next serve.Handler) serve.Handler {
		return func(ctx context.Context, c *serve.Call) (*oip.InferResponse, error) {
			switch c.HeaderValue("Do") {
			case "refuse":
				return nil, serve.ErrUnavailable
			case "panic":
				panic("middleware is broken")
			case "nothing":
				return nil, nil
			case "own":
				return next(ctx, &serve.Call{Model: c.Model})
			case "again":
				first, err := next(ctx, c)
				if err != nil {
					return nil, err
				}
				second, err := next(ctx, c)
				if len(first.Outputs) != 2 || first == second {
					return nil, errors.New("the first answer is gone")
				}
				return second, err
			case "wrong":
				return &oip.InferResponse{Outputs: []oip.Tensor{oip.NewFP32("sum", []int64{1}, []float32{1})}}, nil
			}
			return next(ctx, c)
		}
	}
	inner := func(next serve.Handler) serve.Handler {
		return func(ctx context.Context, c *serve.Call) (*oip.InferResponse, error) {
			if c.HeaderValue("Do") == "double" {
				c.Request = &oip.InferRequest{ID: c.Request.ID, Inputs: rows(10, 20, 30, 40).Inputs}
			}
			resp, err := next(ctx, c)
			if err == nil && c.Version != "1" {
				err = errors.New("no version in the call")
			}
			return resp, err
		}
	}
	_, url := start(t, &serve.Options{Middleware: []serve.Middleware{outer, inner}, Observers: []serve.Observer{w}}, adder())
	for do, want := range map[string]struct {
		status int
		text   string
	}{
		"":        {200, `"data":[3,-5]`},
		"double":  {200, `"data":[30,70]`},
		"again":   {200, `"data":[3,-5]`},
		"refuse":  {503, `serve: infer \"adder\" version \"1\": unavailable`},
		"panic":   {500, `a middleware panicked: middleware is broken`},
		"nothing": {500, `a middleware returned neither an answer nor an error`},
		"own":     {500, `a middleware called next with a call of its own`},
		"wrong":   {500, `the model's answer does not have its signature: output \"sum\" has datatype FP32, want FP64; output \"sign\" is missing`},
	} {
		resp, body := post(t, url+"/v2/models/adder/infer", good, "Do", do)
		require.Equal(t, want.status, resp.StatusCode, do)
		require.Contains(t, body, want.text)
		x := w.last(t)
		require.Equal(t, want.status == 200, x.Err == nil)
		if do == "double" {
			require.Equal(t, []float64{10, 20, 30, 40}, x.Request.Input("x").FP64())
		}
	}
}

func TestInProcess(t *testing.T) {
	t.Parallel()
	w := watch()
	s, _ := start(t, &serve.Options{Observers: []serve.Observer{w}, Tenant: func(c *serve.Call) string { return c.HeaderValue("Tenant") }}, adder())
	req := rows(1, 2, 3, -8)
	req.Outputs = []oip.RequestedOutput{{Name: "sign"}}
	resp, served, err := s.Infer(t.Context(), "adder", "", req)
	require.NoError(t, err)
	require.Len(t, resp.Outputs, 1)
	require.Equal(t, served.RequestID, resp.ID)
	require.Len(t, w.last(t).Response.Outputs, 2)

	c := serve.Call{Model: "adder", Request: rows(1, 2), Header: http.Header{"Tenant": {"team-a"}}}
	_, err = s.Do(t.Context(), &c)
	require.NoError(t, err)
	require.Equal(t, "team-a", c.Tenant)
	require.Equal(t, "team-a", w.last(t).Tenant)

	_, served, err = s.Infer(t.Context(), "adder", "", &oip.InferRequest{ID: "q"})
	require.ErrorIs(t, err, serve.ErrInvalid)
	require.EqualError(t, err, `serve: infer "adder" version "1": input "x" is missing: invalid`)
	require.Equal(t, serve.Served{Model: "adder", Version: "1", RequestID: "q"}, served)
	require.EqualError(t, w.last(t).Err, err.Error())
	_, _, err = s.Infer(t.Context(), "adder", "", nil)
	require.ErrorIs(t, err, serve.ErrInvalid)
	_, _, err = s.Infer(t.Context(), "none", "", rows(1, 2))
	require.ErrorIs(t, err, serve.ErrNotFound)
}

func TestAttach(t *testing.T) {
	t.Parallel()
	s, _ := start(t, nil, adder())
	w := watch()
	first, second := s.Attach(w), s.Attach(w)
	says(t, s, "")
	require.Len(t, w.seen, 2)
	first()
	first()
	says(t, s, "")
	require.Len(t, w.seen, 3)
	second()
	says(t, s, "")
	require.Len(t, w.seen, 3)
}

// talker streams its input, element by element.
type talker struct{ *model }

func (m talker) Stream(ctx context.Context, req *oip.InferRequest) iter.Seq2[*oip.InferResponse, error] {
	return func(yield func(*oip.InferResponse, error) bool) {
		for _, v := range req.Input("x").FP64() {
			if v < 0 {
				yield(nil, serve.ErrUnsupported)
				return
			}
			if v > 100 {
				panic("too much")
			}
			part := &oip.InferResponse{Outputs: []oip.Tensor{oip.NewFP64("sum", []int64{1}, []float64{v})}}
			if !yield(part, nil) || ctx.Err() != nil {
				return
			}
		}
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	w := watch()
	s, _ := start(t, &serve.Options{Observers: []serve.Observer{w}}, nil)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "talker", Version: "1", Model: talker{adder()}}))
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: adder()}))
	stream := func(model string, most int, req *oip.InferRequest) (got []float64, err error) {
		c := &serve.Call{Model: model, Request: req}
		for part, e := range s.Stream(t.Context(), c) {
			if e != nil {
				return got, e
			}
			require.Equal(t, "1", c.Version)
			require.Equal(t, c.RequestID, part.ID)
			got = append(got, part.Output("sum").FP64()...)
			if len(got) == most {
				break
			}
		}
		return got, nil
	}
	got, err := stream("talker", 0, rows(1, 2, 3, 4))
	require.NoError(t, err)
	require.Equal(t, []float64{1, 2, 3, 4}, got)
	require.Equal(t, []float64{4}, w.last(t).Response.Output("sum").FP64())
	got, err = stream("adder", 0, rows(1, 2, 3, 4))
	require.NoError(t, err)
	require.Equal(t, []float64{3, 7}, got)
	require.NoError(t, w.last(t).Err)

	got, err = stream("talker", 0, rows(1, -2))
	require.ErrorIs(t, err, serve.ErrUnsupported)
	require.Equal(t, []float64{1}, got)
	require.ErrorIs(t, w.last(t).Err, serve.ErrUnsupported)
	_, err = stream("talker", 0, rows(1, 200))
	require.ErrorContains(t, err, "the model panicked: too much")
	require.Error(t, w.last(t).Err)
	got, err = stream("talker", 2, rows(1, 2, 3, 4))
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.ErrorIs(t, w.last(t).Err, context.Canceled)
	_, err = stream("talker", 0, &oip.InferRequest{})
	require.ErrorIs(t, err, serve.ErrInvalid)
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	s, url := two(t, nil)
	for range 3 {
		post(t, url+"/v2/models/adder/infer", good)
	}
	says(t, s, "2")
	_, _, err := s.Infer(t.Context(), "adder", "1", &oip.InferRequest{})
	require.Error(t, err)
	list, err := s.Statistics("", "")
	require.NoError(t, err)
	require.Len(t, list, 2)
	one := list[0]
	require.Equal(t, "1", one.Version)
	require.EqualValues(t, 6, one.Inferences)
	require.EqualValues(t, 3, one.Executions)
	require.EqualValues(t, 3, one.Success.Count)
	require.EqualValues(t, 1, one.Fail.Count)
	require.EqualValues(t, 3, one.Infer.Count)
	require.Positive(t, one.Success.Total)
	require.False(t, one.LastInference.IsZero())
	require.Len(t, one.Batches, 1)
	require.EqualValues(t, 2, one.Batches[0].Rows)
	list, err = s.Statistics("adder", "2")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.EqualValues(t, 1, list[0].Inferences)
	_, err = s.Statistics("adder", "3")
	require.ErrorIs(t, err, serve.ErrNotFound)
	// A request of many rows finds its place.
	_, _, err = s.Infer(t.Context(), "adder", "2", rows(make([]float64, 2*129)...))
	require.NoError(t, err)
	list, _ = s.Statistics("adder", "2")
	require.EqualValues(t, 256, list[0].Batches[1].Rows)
}

// warmer tells how often it was warmed, and fails if it should.
type warmer struct {
	*model
	err error
}

func (m warmer) Warm(context.Context) error { return m.err }
func (m warmer) Size() int64                { return 7 }

func TestWarmAndSize(t *testing.T) {
	t.Parallel()
	s, _ := start(t, nil, nil)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "a", Version: "1", Model: warmer{model: adder()}}))
	require.EqualValues(t, 7, s.Models()[0].Versions[0].Size)
	bad := warmer{adder(), errors.New("no memory")}
	require.EqualError(t, s.Deploy(t.Context(), serve.Deployment{Name: "a", Version: "2", Model: bad}), `serve: deploy "a" version "2": warm the model: no memory`)
	require.Zero(t, bad.closed.Load())
}
