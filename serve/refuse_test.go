package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// errorText returns the text of an error's body.
func errorText(t testing.TB, body string) string {
	t.Helper()
	var said struct{ Error string }
	require.NoError(t, json.Unmarshal([]byte(body), &said), "%s", body)
	return said.Error
}

// twoInputs is a model of two inputs of rows and one that is fixed.
func twoInputs() *model {
	return &model{
		sig: serve.Signature{
			Inputs: []oip.TensorMetadata{
				{Name: "a", Datatype: oip.FP32, Shape: []int64{-1, 2}},
				{Name: "b", Datatype: oip.BYTES, Shape: []int64{-1}},
				{Name: "c", Datatype: oip.INT64, Shape: []int64{1}},
			},
			Outputs: []oip.TensorMetadata{{Name: "y", Datatype: oip.FP32, Shape: []int64{-1}}},
		},
		infer: func(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
			n := len(req.Input("b").BYTES())
			resp.Outputs = append(resp.Outputs, oip.NewFP32("y", []int64{int64(n)}, make([]float32, n)))
			return nil
		},
	}
}

func TestRequestAgainstSignature(t *testing.T) {
	t.Parallel()
	w := watch()
	_, url := start(t, &serve.Options{Observers: []serve.Observer{w}}, twoInputs())
	const (
		a = `{"name":"a","datatype":"FP32","shape":[2,2],"data":[1,2,3,4]}`
		b = `{"name":"b","datatype":"BYTES","shape":[2],"data":["u","v"]}`
		c = `{"name":"c","datatype":"INT64","shape":[1],"data":[7]}`
	)
	const prefix = `serve: infer "adder" version "1": `
	for _, tc := range []struct{ body, want string }{
		{a + `,` + b + `,` + c, ``},
		{c + `,` + b + `,` + a, ``},
		{``, `input "a" is missing; input "b" is missing; input "c" is missing`},
		{a + `,` + b + `,` + c + `,{"name":"d","datatype":"INT8","shape":[0],"data":[]}`, `input "d" is not one of the model's: "a", "b", "c"`},
		{a + `,` + a + `,` + b + `,` + c, `input "a" is there twice`},
		{strings.Replace(a, "FP32", "FP64", 1) + `,` + b + `,` + c, `input "a" has datatype FP64, want FP32`},
		{strings.Replace(a, "[2,2]", "[4]", 1) + `,` + b + `,` + c, `input "a" has shape [4], want [-1,2]`},
		{strings.Replace(a, "[2,2]", "[1,4]", 1) + `,` + b + `,` + c, `input "a" has shape [1,4], want [-1,2]`},
		{strings.Replace(a, "3,4", "3", 1) + `,` + b + `,` + c, `input "a": shape [2,2] needs 4 elements, data has 3`},
		{strings.Replace(a, "[1,2,3,4]", "[[1,2,3,4]]", 1) + `,` + b + `,` + c, `input "a": shape is [2,2] but data is nested as [1,4]`},
		{`{"name":"a","datatype":"FP32","shape":[1,2],"data":[1,2]},` + b + `,` + c, `input "b" has 2 rows, input "a" has 1`},
		{`{"name":"a","datatype":"FP32","shape":[0,2],"data":[]},{"name":"b","datatype":"BYTES","shape":[0],"data":[]},` + c, `input "a" has no rows; input "b" has no rows`},
		{`{"name":"a","datatype":"INT32","shape":[2],"data":[1,2,3]},{"name":"z","datatype":"INT8","shape":[0],"data":[]}`,
			`input "a" has datatype INT32, want FP32; input "a": shape [2] needs 2 elements, data has 3; input "a" has shape [2], want [-1,2]; ` +
				`input "z" is not one of the model's: "a", "b", "c"; input "b" is missing; input "c" is missing`},
	} {
		resp, body := post(t, url+"/v2/models/adder/infer", `{"id":"q","inputs":[`+tc.body+`]}`)
		x := w.last(t)
		require.Equal(t, "q", x.RequestID)
		require.NotNil(t, x.Request)
		if tc.want == "" {
			require.Equal(t, 200, resp.StatusCode, body)
			require.NoError(t, x.Err)
			continue
		}
		require.Equal(t, 400, resp.StatusCode, body)
		require.Equal(t, prefix+tc.want+": invalid", errorText(t, body))
		require.EqualError(t, x.Err, prefix+tc.want+": invalid")
		require.ErrorIs(t, x.Err, serve.ErrInvalid)
		require.Nil(t, x.Response)
		require.Equal(t, "q", resp.Header.Get("Millwright-Request-Id"))
		require.Equal(t, "adder/1", resp.Header.Get("Millwright-Model"))
	}
}

func TestRequestedOutputsAgainstSignature(t *testing.T) {
	t.Parallel()
	_, url := start(t, nil, adder())
	resp, body := post(t, url+"/v2/models/adder/infer", strings.TrimSuffix(good, "}")+`,"outputs":[{"name":"sum"},{"name":"no"},{"name":"sum"}]}`)
	require.Equal(t, 400, resp.StatusCode)
	require.Equal(t, `serve: infer "adder" version "1": the requested output "no" is not one of the model's: "sum", "sign"; output "sum" is requested twice: invalid`, errorText(t, body))
}

// A request of many faults is answered in a few lines.
func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	_, url := start(t, nil, adder())
	var list []string
	for i := range 900 {
		list = append(list, fmt.Sprintf(`{"name":"%d%s","datatype":"INT8","shape":[0],"data":[]}`, i, strings.Repeat("x", 1000)))
	}
	resp, body := post(t, url+"/v2/models/adder/infer", `{"inputs":[`+strings.Join(list, ",")+`]}`)
	require.Equal(t, 400, resp.StatusCode)
	require.Less(t, len(body), 8<<10)
	require.Contains(t, body, "and 881 more faults")
}

func TestBadBodies(t *testing.T) {
	t.Parallel()
	w := watch()
	_, url := start(t, &serve.Options{Observers: []serve.Observer{w}, MaxElements: 8, NewID: func() string { return "made-up" }}, adder())
	for _, tc := range []struct{ body, want string }{
		{``, `byte 0: found the end of the text, want an object`},
		{`{"inputs":`, `inputs: byte 10: found the end of the text, want an array of tensors`},
		{good + `x`, `want the end of the text`},
		{strings.Replace(good, "-8", `"8"`, 1), `inputs[0] "x": data: byte 83: found a string, want a number (FP64)`},
		{`{"inputs":[{"name":"x","datatype":"FP64","shape":[5,2],"data":[]}]}`, `shape [5,2] is too large, the limit leaves 8 elements`},
	} {
		resp, body := post(t, url+"/v2/models/adder/infer", tc.body)
		require.Equal(t, 400, resp.StatusCode, body)
		require.Contains(t, errorText(t, body), tc.want)
		require.Equal(t, "made-up", resp.Header.Get("Millwright-Request-Id"))
		x := w.last(t)
		require.Nil(t, x.Request)
		require.ErrorIs(t, x.Err, serve.ErrInvalid)
	}
	// An id that cannot stand in a header is refused, and not repeated there.
	for _, id := range []string{`a\nb`, strings.Repeat("x", 257)} {
		resp, body := post(t, url+"/v2/models/adder/infer", strings.Replace(good, "r-1", id, 1))
		require.Equal(t, 400, resp.StatusCode)
		require.Contains(t, errorText(t, body), "want at most 256 and no control characters")
		require.Equal(t, "made-up", resp.Header.Get("Millwright-Request-Id"))
	}
}

func TestUnreadableForms(t *testing.T) {
	t.Parallel()
	_, url := start(t, nil, adder())
	resp, body := post(t, url+"/v2/models/adder/infer", "xxx", "Content-Encoding", "br")
	require.Equal(t, 415, resp.StatusCode, body)
	resp, body = post(t, url+"/v2/models/adder/infer", "xxx", "Content-Encoding", "gzip")
	require.Equal(t, 400, resp.StatusCode, body)
	for _, n := range []string{"-1", "x", "3, 3", "99999999999999999999", ""} {
		resp, body = post(t, url+"/v2/models/adder/infer", "xxx", "Inference-Header-Content-Length", n)
		require.Equal(t, 400, resp.StatusCode, body)
	}
	resp, body = post(t, url+"/v2/models/adder/infer", good, "Inference-Header-Content-Length", "9999")
	require.Equal(t, 400, resp.StatusCode, body)
	for _, contentType := range []string{"", "text/plain", "application/octet-stream", "application/json; charset=utf-8"} {
		resp, _ = post(t, url+"/v2/models/adder/infer", good, "Content-Type", contentType, "Content-Encoding", "identity")
		require.Equal(t, 200, resp.StatusCode)
	}
}

// zeros is an endless body that counts what was read of it.
type zeros struct {
	left int64
	read atomic.Int64
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	for i := range p[:n] {
		p[i] = ' '
	}
	z.left -= n
	z.read.Add(n)
	return int(n), nil
}

// A body of 100 MB is refused while it is being sent, not after, whether its
// length was announced or not.
func TestLargeBody(t *testing.T) {
	t.Parallel()
	_, url := start(t, nil, adder())
	const size = 100 << 20
	for range 3 {
		for _, announced := range []bool{true, false} {
			z := &zeros{left: size}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v2/models/adder/infer", io.NopCloser(z))
			require.NoError(t, err)
			if announced {
				req.ContentLength = size
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Less(t, z.read.Load(), int64(size/2))
			require.Equal(t, 413, resp.StatusCode)
			require.True(t, resp.Close, "the connection is closed")
			require.Contains(t, errorText(t, string(body)), "the body is too large, at most 16777216 bytes are taken: http: request body too large")
		}
	}
	// The server is as before.
	_, err := client(t, url).Infer(t.Context(), "adder", "", rows(1, 2))
	require.NoError(t, err)
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	limit := int64(len(good)) + 100_000
	_, url := start(t, &serve.Options{MaxBody: limit}, adder())
	_, open := start(t, &serve.Options{MaxBody: -1}, adder())
	for _, extra := range []int{100_000, 100_001} {
		for _, announced := range []bool{true, false} {
			var body io.Reader = strings.NewReader(good + strings.Repeat(" ", extra))
			if !announced {
				body = io.MultiReader(body)
			}
			resp, text := send(t, http.MethodPost, url+"/v2/models/adder/infer", body)
			want := 200
			if extra > 100_000 {
				want = 413
			}
			require.Equal(t, want, resp.StatusCode, text)
		}
		resp, _ := post(t, open+"/v2/models/adder/infer", good+strings.Repeat(" ", extra))
		require.Equal(t, 200, resp.StatusCode)
	}
}

// A limit that a handler around the server has set keeps its meaning.
func TestOuterBodyLimit(t *testing.T) {
	t.Parallel()
	s, _ := start(t, nil, adder())
	outer := httptest.NewServer(http.MaxBytesHandler(s, 50))
	defer outer.Close()
	resp, body := post(t, outer.URL+"/v2/models/adder/infer", good)
	require.Equal(t, 413, resp.StatusCode)
	require.Contains(t, errorText(t, body), "too large")
}

// A client that sends less than it announced gets a 400, if it listens.
func TestTruncatedBody(t *testing.T) {
	t.Parallel()
	_, url := start(t, nil, adder())
	for _, tc := range []struct{ head, want string }{
		{fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(good)+10, good), fmt.Sprintf("the body ended after %d of %d bytes: invalid", len(good), len(good)+10)},
		{"Content-Length: 5000000\r\n\r\n{", "the body ended after 1 of 5000000 bytes: invalid"},
		{"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"inp", "the body ended after 5 bytes: invalid"},
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		_, err = io.WriteString(conn, "POST /v2/models/adder/infer HTTP/1.1\r\nHost: h\r\n"+tc.head)
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, conn.Close())
		require.Equal(t, 400, resp.StatusCode)
		require.Equal(t, `serve: infer "adder": `+tc.want, errorText(t, string(body)))
	}
}
