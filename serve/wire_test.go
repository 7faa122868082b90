package serve_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// dial returns a client with options.
func dial(t testing.TB, url string, opts *oip.ClientOptions) *oip.Client {
	c, err := oip.NewClient(url, opts)
	require.NoError(t, err)
	return c
}

// Every kind of data there and back, in JSON, in binary and compressed, alone
// and in batches.
func TestWireForms(t *testing.T) {
	t.Parallel()
	for _, batching := range []*serve.Batching{nil, {MaxRows: 2}} {
		s, url := start(t, &serve.Options{Compress: 1}, nil)
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "wide", Version: "1", Model: &wide{}, Batching: batching}))
		for _, opts := range []*oip.ClientOptions{{Binary: true}, {Binary: true, Compress: oip.Gzip}, {Binary: true, Compress: oip.Deflate}} {
			req := &oip.InferRequest{}
			for _, k := range kinds {
				data := map[oip.Datatype]any{
					oip.BOOL: []bool{true, false, true}, oip.UINT8: []uint8{0, 1, 255}, oip.UINT16: []uint16{1, 2, 65535},
					oip.UINT32: []uint32{1, 2, 3}, oip.UINT64: []uint64{1, 2, math.MaxUint64}, oip.INT8: []int8{-1, 2, 3},
					oip.INT16: []int16{-1, 2, 3}, oip.INT32: []int32{-1, 2, 3}, oip.INT64: []int64{-1, 2, math.MinInt64},
					oip.FP16: []uint16{1, 2, 3}, oip.BF16: []uint16{1, 2, 3}, oip.FP32: []float32{1.5, -2, 3},
					oip.FP64: []float64{0.1, math.Inf(1), 3}, oip.BYTES: [][]byte{{}, {0xff}, []byte("x")},
				}[k]
				req.Inputs = append(req.Inputs, oip.New(string(k), k, []int64{3, 1}, data))
			}
			resp, err := dial(t, url, opts).Infer(t.Context(), "wide", "", req)
			require.NoError(t, err)
			for _, in := range req.Inputs {
				require.Equal(t, in.Data(), resp.Output(in.Name).Data())
			}
		}
	}
}

func TestBinaryHeaders(t *testing.T) {
	t.Parallel()
	_, url := start(t, nil, adder())
	const jsonPart = `{"id":"q","inputs":[{"name":"x","datatype":"FP64","shape":[1,2],"parameters":{"binary_data_size":16}}],` +
		`"outputs":[{"name":"sum","parameters":{"binary_data":true}},{"name":"sign"}]}`
	body := jsonPart + "\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x40"
	resp, text := post(t, url+"/v2/models/adder/infer", body, "Inference-Header-Content-Length", strconv.Itoa(len(jsonPart)))
	require.Equal(t, 200, resp.StatusCode, text)
	require.Equal(t, "application/octet-stream", resp.Header.Get("Content-Type"))
	n, err := strconv.Atoi(resp.Header.Get("Inference-Header-Content-Length"))
	require.NoError(t, err)
	require.Equal(t, `{"model_name":"adder","model_version":"1","id":"q","outputs":[{"name":"sum","datatype":"FP64","shape":[1],"parameters":{"binary_data_size":8}},`+
		`{"name":"sign","datatype":"BYTES","shape":[1,1],"data":["+"]}]}`, text[:n])
	require.Equal(t, "\x00\x00\x00\x00\x00\x00\x08\x40", text[n:])
}

// FP16 has no JSON: the client is told what to do.
func TestHalvesNeedBinary(t *testing.T) {
	t.Parallel()
	m := adder()
	m.sig.Outputs = []oip.TensorMetadata{{Name: "half", Datatype: oip.FP16, Shape: []int64{1}}}
	m.infer = func(_ context.Context, _ *oip.InferRequest, resp *oip.InferResponse) error {
		resp.Outputs = append(resp.Outputs, oip.NewFP16("half", []int64{1}, []uint16{7}))
		return nil
	}
	_, url := start(t, nil, m)
	resp, body := post(t, url+"/v2/models/adder/infer", good)
	require.Equal(t, 400, resp.StatusCode)
	require.Contains(t, body, `output \"half\" is FP16, which JSON cannot carry, ask for it as binary data`)
	req := rows(1, 2)
	req.BinaryOutput = true
	out, err := client(t, url).Infer(t.Context(), "adder", "", req)
	require.NoError(t, err)
	require.Equal(t, []uint16{7}, out.Outputs[0].FP16())
}

func TestCompression(t *testing.T) {
	t.Parallel()
	_, url := start(t, &serve.Options{Compress: 200}, adder())
	resp, _ := post(t, url+"/v2/models/adder/infer", good, "Accept-Encoding", "gzip")
	require.Empty(t, resp.Header.Get("Content-Encoding"))
	big, err := oip.AppendRequest(nil, rows(make([]float64, 2000)...))
	require.NoError(t, err)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(big)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for accept, want := range map[string]string{"gzip": "gzip", "deflate": "deflate", "br": "", "identity": ""} {
		resp, body := post(t, url+"/v2/models/adder/infer", packed.String(), "Content-Encoding", "gzip", "Accept-Encoding", accept)
		require.Equal(t, 200, resp.StatusCode, body)
		require.Equal(t, want, resp.Header.Get("Content-Encoding"))
	}
}

// A bomb of a gigabyte is refused by its ratio, and by what comes out of it.
func TestCompressionBomb(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 20 {
		_, err := z.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	for opts, want := range map[*serve.Options]int{{}: 400, {MaxRatio: -1}: 413} {
		_, url := start(t, opts, adder())
		resp, body := post(t, url+"/v2/models/adder/infer", bomb.String(), "Content-Encoding", "gzip")
		require.Equal(t, want, resp.StatusCode, body)
	}
}

// words is a model of text.
func words(t testing.TB) (*serve.Server, string) {
	s, url := start(t, nil, nil)
	m := adder()
	m.sig.Inputs[0] = oip.TensorMetadata{Name: "x", Datatype: oip.FP64, Shape: []int64{-1}}
	m.infer = func(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
		if req.Parameters["fail"] == true {
			return serve.ErrUnavailable
		}
		resp.Outputs = append(resp.Outputs, oip.NewFP64("sum", []int64{1}, []float64{req.Input("x").FP64()[0]}), oip.NewStrings("sign", []int64{1, 1}, []string{"+"}))
		return nil
	}
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "talker", Version: "1", Model: talker{m}, Digest: "sha256:aa"}))
	return s, url
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	_, url := words(t)
	resp, body := post(t, url+"/v2/models/talker/generate", `{"id":"g1","x":[4],"parameters":{"temperature":0.5}}`)
	require.Equal(t, 200, resp.StatusCode, body)
	require.JSONEq(t, `{"id":"g1","model_name":"talker","model_version":"1","sum":4,"sign":"+"}`, body)
	require.Equal(t, "talker/1", resp.Header.Get("Millwright-Model"))
	require.Equal(t, "sha256:aa", resp.Header.Get("Millwright-Digest"))
	for body, want := range map[string]int{`{"y":[1],"x":1}`: 400, `{`: 400, `{"x":1,"parameters":{"fail":true}}`: 503} {
		resp, text := post(t, url+"/v2/models/talker/generate", body)
		require.Equal(t, want, resp.StatusCode, text)
		require.NotEmpty(t, resp.Header.Get("Millwright-Request-Id"))
	}
	resp, _ = post(t, url+"/v2/models/none/generate", `{"x":1}`)
	require.Equal(t, 404, resp.StatusCode)
}

func TestGenerateStream(t *testing.T) {
	t.Parallel()
	_, url := words(t)
	resp, body := post(t, url+"/v2/models/talker/versions/1/generate_stream", `{"id":"g1","x":[1,2,3]}`)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Equal(t, "g1", resp.Header.Get("Millwright-Request-Id"))
	require.Equal(t, "talker/1", resp.Header.Get("Millwright-Model"))
	require.Equal(t, `data: {"model_name":"talker","model_version":"1","id":"g1","sum":1}

data: {"model_name":"talker","model_version":"1","id":"g1","sum":2}

data: {"model_name":"talker","model_version":"1","id":"g1","sum":3}`, body)

	// Before the first event an error has its status, behind it is an event.
	resp, body = post(t, url+"/v2/models/talker/generate_stream", `{"x":[-1]}`)
	require.Equal(t, 501, resp.StatusCode)
	require.Contains(t, errorText(t, body), `serve: infer "talker" version "1": `)
	resp, body = post(t, url+"/v2/models/talker/generate_stream", `{"x":[7,-1]}`)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, 2, strings.Count(body, "data: "))
	require.Contains(t, body, `data: {"error":"serve: infer \"talker\" version \"1\": not supported`)
	resp, _ = post(t, url+"/v2/models/talker/generate_stream", `{"x":[0`)
	require.Equal(t, 400, resp.StatusCode)
	resp, body = post(t, url+"/v2/models/talker/generate_stream", `{"x":[200]}`)
	require.Equal(t, 500, resp.StatusCode, body)
}

func TestStatisticsAndConfig(t *testing.T) {
	t.Parallel()
	s, url := two(t, nil)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "batched", Version: "1", Model: warmer{model: adder()}, Batching: &serve.Batching{MaxRows: 8}}))
	post(t, url+"/v2/models/adder/infer", good)
	c := client(t, url)
	all, err := c.Statistics(t.Context(), "", "")
	require.NoError(t, err)
	require.Len(t, all.Models, 3)
	one, err := c.Statistics(t.Context(), "adder", "1")
	require.NoError(t, err)
	require.Len(t, one.Models, 1)
	require.EqualValues(t, 2, one.Models[0].InferenceCount)
	require.EqualValues(t, 1, one.Models[0].ExecutionCount)
	require.EqualValues(t, 1, one.Models[0].Inference.Success.Count)
	require.Positive(t, one.Models[0].LastInference)
	require.EqualValues(t, 2, one.Models[0].Batches[0].BatchSize)
	require.EqualValues(t, 7, all.Models[2].Memory[0].Bytes)

	config, err := c.ModelConfig(t.Context(), "batched", "")
	require.NoError(t, err)
	require.EqualValues(t, 8, config.MaxBatchSize)
	require.NotNil(t, config.DynamicBatching)
	require.Equal(t, []int64{2}, config.Inputs[0].Dims)
	require.Equal(t, "TYPE_FP64", config.Inputs[0].DataType)
	config, err = c.ModelConfig(t.Context(), "adder", "2")
	require.NoError(t, err)
	require.Equal(t, []int64{-1, 2}, config.Inputs[0].Dims)
	require.Equal(t, "sha256:bb", config.Parameters["digest"].StringValue)
}

// shelf is a Repository of one model.
type shelf struct{ server *serve.Server }

func (r *shelf) Index(context.Context) ([]oip.ModelIndex, error) {
	list := []oip.ModelIndex{{Name: "adder", Version: "1", State: oip.StateUnavailable, Reason: "unloaded"}}
	if r.server.Ready() {
		list[0] = oip.ModelIndex{Name: "adder", Version: "1", State: oip.StateReady}
	}
	return list, nil
}

func (r *shelf) Load(ctx context.Context, name string, p map[string]any) error {
	if name != "adder" {
		return serve.ErrNotFound
	}
	return r.server.Deploy(ctx, serve.Deployment{Name: name, Version: "1", Model: adder(), Labels: map[string]string{"config": p["config"].(string)}})
}

func (r *shelf) Unload(ctx context.Context, name string, _ map[string]any) error {
	return r.server.Undeploy(ctx, name)
}

func TestRepository(t *testing.T) {
	t.Parallel()
	r := &shelf{}
	s, url := start(t, &serve.Options{Repository: r, Authorize: func(_ context.Context, a serve.Action) error {
		if a.Header.Get("Authorization") != "secret" {
			return errors.New("who are you")
		}
		return nil
	}}, nil)
	r.server = s
	c := client(t, url)
	err := c.Load(t.Context(), "adder", nil)
	require.ErrorContains(t, err, `serve: load "adder": who are you: forbidden`)
	_, err = c.RepositoryIndex(t.Context(), false)
	require.ErrorContains(t, err, "403")
	require.Contains(t, s.ServerMetadata().Extensions, "model_repository")

	c = dial(t, url, &oip.ClientOptions{HTTPClient: &http.Client{Transport: secret{}}})
	list, err := c.RepositoryIndex(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, oip.StateUnavailable, list[0].State)
	list, err = c.RepositoryIndex(t.Context(), true)
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, c.Load(t.Context(), "adder", &oip.LoadRequest{Parameters: map[string]any{"config": "x"}}))
	require.Equal(t, "x", s.Models()[0].Versions[0].Labels["config"])
	list, err = c.RepositoryIndex(t.Context(), true)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NoError(t, c.Unload(t.Context(), "adder", nil))
	require.ErrorIs(t, c.Unload(t.Context(), "adder", nil), oip.ErrNotFound)
	resp, body := post(t, url+"/v2/repository/models/adder/load", `{"parameters":3}`, "Authorization", "secret")
	require.Equal(t, 400, resp.StatusCode, body)
}

// secret sends the password.
type secret struct{}

func (secret) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "secret")
	return http.DefaultTransport.RoundTrip(r)
}
