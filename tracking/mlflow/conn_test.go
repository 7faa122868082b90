package mlflow_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// answerer is a server without a network, for tests of time.
type answerer func(n int, r *http.Request) (*http.Response, error)

func (a answerer) conn(t *testing.T, o mlflow.DialOptions) *mlflow.Conn {
	t.Helper()
	n := 0
	o.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		n++
		return a(n, r)
	})}
	c, err := mlflow.Dial("http://ml.example:5000/prefix/", &o)
	require.NoError(t, err)
	return c
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

const oneRunJSON = `{"run":{"info":{"run_id":"r1","run_uuid":"r1","experiment_id":"1","run_name":"n","status":"RUNNING","start_time":5,"lifecycle_stage":"active"},"data":{}}}`

func TestDialReportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := mlflow.Dial("ftp://u:secret@host/?x=1", &mlflow.DialOptions{Retries: -2, Backoff: -1, Timeout: -7, MaxResponse: -1, Username: "a:b", Token: "t"})
	require.ErrorIs(t, err, tracking.ErrInvalid)
	for _, part := range []string{"ftp", "query", "Retries", "Backoff", "Timeout", "MaxResponse", "both Username and Token", "colon"} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "secret")
	for _, address := range []string{"", "localhost:5000", "http://", "http://a b", "://"} {
		_, err := mlflow.Dial(address, nil)
		require.ErrorIs(t, err, tracking.ErrInvalid, address)
	}
}

func TestDialSendsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		_, _ = w.Write([]byte("3.17.2"))
	}))
	t.Cleanup(server.Close)
	dial := func(address string, o *mlflow.DialOptions) {
		t.Helper()
		c, err := mlflow.Dial(address, o)
		require.NoError(t, err)
		version, err := c.Version(t.Context())
		require.NoError(t, err)
		require.Equal(t, "3.17.2", version)
	}
	dial(strings.Replace(server.URL, "//", "//me:p%40ss@", 1)+"/ml/", nil)
	user, password, ok := seen.BasicAuth()
	require.True(t, ok)
	require.Equal(t, "me p@ss", user+" "+password)
	require.Equal(t, "/ml/version", seen.URL.Path)

	dial(server.URL, &mlflow.DialOptions{Token: "abc", Header: http.Header{"x-tenant": {"a"}}})
	require.Equal(t, "Bearer abc", seen.Header.Get("Authorization"))
	require.Equal(t, "a", seen.Header.Get("X-Tenant"))
	require.Equal(t, "millwright", seen.Header.Get("User-Agent"))
}

func TestAnswersBecomeErrorKinds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		body   string
		kind   error // nil: none
		text   string
	}{
		{400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid clause(s) in filter string."}`, tracking.ErrInvalid, "Invalid clause(s) in filter string"},
		{400, `{"error_code":"RESOURCE_ALREADY_EXISTS","message":"It already exists."}`, tracking.ErrExists, "It already exists"},
		{404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Run 'x' not found"}`, tracking.ErrNotFound, `mlflow: get run "x": Run 'x' not found (RESOURCE_DOES_NOT_EXIST, status 404): not found`},
		{404, `<html>nginx</html>`, tracking.ErrUnsupported, "is this an MLflow server"},
		{404, `{"detail":"Not Found"}`, tracking.ErrUnsupported, "Not Found"},
		{401, ``, nil, "check Username and Password or Token"},
		{403, `{"error_code":"PERMISSION_DENIED","message":"Permission denied"}`, nil, "Permission denied"},
		{409, `{"error_code":"RESOURCE_CONFLICT","message":"busy"}`, tracking.ErrConflict, "busy"},
		{413, `too big`, tracking.ErrInvalid, "too big"},
		{422, `{"detail":[{"msg":"field required"}]}`, tracking.ErrInvalid, "field required"},
		{429, `{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slow down"}`, tracking.ErrUnavailable, "slow down"},
		{500, `{"error_code":"INTERNAL_ERROR","message":"oops"}`, tracking.ErrUnavailable, "oops"},
		{501, `{"error_code":"NOT_IMPLEMENTED","message":"no"}`, tracking.ErrUnsupported, "no"},
		{502, `bad gateway`, tracking.ErrUnavailable, "bad gateway"},
		{200, `<html>login</html>`, tracking.ErrUnsupported, "is it an MLflow server?"},
	} {
		c := answerer(func(int, *http.Request) (*http.Response, error) { return answer(tc.status, tc.body), nil }).conn(t, mlflow.DialOptions{Retries: -1})
		_, err := c.Run(t.Context(), "x")
		require.ErrorContains(t, err, tc.text)
		for _, kind := range []error{tracking.ErrInvalid, tracking.ErrExists, tracking.ErrNotFound, tracking.ErrUnsupported, tracking.ErrConflict, tracking.ErrUnavailable} {
			require.Equal(t, errors.Is(tc.kind, kind), errors.Is(err, kind), "%v is %v", err, kind)
		}
		if answer := new(mlflow.ResponseError); tc.status != 200 {
			require.ErrorAs(t, err, &answer)
			require.Equal(t, tc.status, answer.Status)
		}
	}
}

func TestNetworkErrorsNameTheLikelyCause(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for base, want := range map[string]string{
		"http://" + address:                             "nothing listens at " + address,
		"https" + strings.TrimPrefix(plain.URL, "http"): "speaks http, not https",
	} {
		c, err := mlflow.Dial(base, &mlflow.DialOptions{Retries: -1})
		require.NoError(t, err)
		err = c.Ping(t.Context())
		require.ErrorIs(t, err, tracking.ErrUnavailable)
		require.ErrorContains(t, err, want)
	}
}

func TestRequestsAreSentAgainWhileThatIsSafe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		var times []time.Duration
		start := time.Now()
		c := answerer(func(n int, r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			bodies = append(bodies, string(body))
			times = append(times, time.Since(start))
			switch n {
			case 1:
				return answer(500, ""), nil
			case 2:
				return nil, io.ErrUnexpectedEOF
			case 3:
				return answer(503, "", "Retry-After", "30"), nil
			}
			return answer(200, "{}"), nil
		}).conn(t, mlflow.DialOptions{Backoff: time.Second})
		err := c.LogBatch(t.Context(), "r1", tracking.Batch{Metrics: []tracking.Metric{{Key: "m", Value: 1, Time: time.UnixMilli(1)}}})
		require.NoError(t, err)
		require.Len(t, bodies, 4)
		for _, body := range bodies {
			require.Equal(t, bodies[0], body)
			require.Contains(t, body, `"key":"m"`)
		}
		require.GreaterOrEqual(t, times[1], 500*time.Millisecond)
		require.LessOrEqual(t, times[1], time.Second)
		require.GreaterOrEqual(t, times[2]-times[1], time.Second)
		require.LessOrEqual(t, times[2]-times[1], 2*time.Second)
		require.Equal(t, 30*time.Second, times[3]-times[2])
	})
}

func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := answerer(func(int, *http.Request) (*http.Response, error) { n++; return answer(503, "down"), nil }).conn(t, mlflow.DialOptions{Retries: 3})
		_, err := c.Run(t.Context(), "x")
		require.ErrorIs(t, err, tracking.ErrUnavailable)
		require.ErrorContains(t, err, "4 attempts failed, the last: down")
		require.Equal(t, 4, n)

		// A wait that the context does not allow is not begun.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err = c.Run(ctx, "x")
		require.ErrorIs(t, err, tracking.ErrUnavailable)
		require.Zero(t, time.Since(start))

		// A context that ends during a wait ends it.
		ctx, cancel = context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Millisecond) //nolint:forbidigo // the clock of the bubble
			cancel()
		}()
		_, err = c.Run(ctx, "x")
		require.ErrorIs(t, err, context.Canceled)
	})
	synctest.Test(t, func(t *testing.T) { // an unreasonable Retry-After is no reason to hang
		c := answerer(func(int, *http.Request) (*http.Response, error) {
			return answer(429, "", "Retry-After", "86400"), nil
		}).conn(t, mlflow.DialOptions{})
		start := time.Now()
		_, err := c.Run(t.Context(), "x")
		require.ErrorIs(t, err, tracking.ErrUnavailable)
		require.Zero(t, time.Since(start))
	})
}

// A server that hangs is left after Timeout and asked again.
func TestAttemptsTimeOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := answerer(func(n int, r *http.Request) (*http.Response, error) {
			if n == 1 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return answer(200, oneRunJSON), nil
		}).conn(t, mlflow.DialOptions{Timeout: 3 * time.Second})
		start := time.Now()
		run, err := c.Run(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, tracking.RunID("r1"), run.ID)
		require.GreaterOrEqual(t, time.Since(start), 3*time.Second)
	})
}

func TestCreatesAreNotSentTwice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first func() (*http.Response, error)
		again bool
	}{
		"lost connection":            {func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, false},
		"bad gateway":                {func() (*http.Response, error) { return answer(502, ""), nil }, false},
		"internal error":             {func() (*http.Response, error) { return answer(500, ""), nil }, false},
		"503 of a proxy":             {func() (*http.Response, error) { return answer(503, "upstream reset"), nil }, false},
		"503 of MLflow":              {func() (*http.Response, error) { return answer(503, `{"error_code":"TEMPORARILY_UNAVAILABLE"}`), nil }, true},
		"503 with Retry-After":       {func() (*http.Response, error) { return answer(503, "", "Retry-After", "1"), nil }, true},
		"too many requests":          {func() (*http.Response, error) { return answer(429, ""), nil }, true},
		"no connection came about":   {func() (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: io.EOF} }, true},
		"name that does not resolve": {func() (*http.Response, error) { return nil, &net.DNSError{Err: "no such host"} }, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			for _, create := range []func(*mlflow.Conn) error{
				func(c *mlflow.Conn) error {
					_, err := c.CreateRun(t.Context(), tracking.RunInfo{Experiment: "1", Status: tracking.Running})
					return err
				},
				func(c *mlflow.Conn) error {
					_, err := c.CreateModel(t.Context(), tracking.LoggedModel{Experiment: "1", Name: "m"})
					return err
				},
			} {
				n := 0
				c := answerer(func(int, *http.Request) (*http.Response, error) {
					if n++; n == 1 {
						return tc.first()
					}
					return answer(200, `{"run":{"info":{"run_id":"r","status":"RUNNING"}},"model":{"info":{"model_id":"m"}}}`), nil
				}).conn(t, mlflow.DialOptions{})
				err := create(c)
				if tc.again {
					require.NoError(t, err, name)
					require.Equal(t, 2, n, name)
					continue
				}
				require.ErrorIs(t, err, tracking.ErrUnavailable, name)
				require.ErrorContains(t, err, "may have made it or not", name)
				require.Equal(t, 1, n, name)
			}
		})
	}
}

// The second deletion of a tag finds nothing, as the first one's answer was
// lost and not the deletion.
func TestLostAnswerOfADeletion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deletes := 0
		c := answerer(func(_ int, r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/runs/get") {
				return answer(200, strings.Replace(oneRunJSON, `"data":{}`, `"data":{"tags":[{"key":"t","value":""}]}`, 1)), nil
			}
			if deletes++; deletes == 1 {
				return nil, io.ErrUnexpectedEOF
			}
			return answer(404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no tag"}`), nil
		}).conn(t, mlflow.DialOptions{})
		require.NoError(t, c.UpdateRun(t.Context(), "r1", tracking.RunUpdate{DeleteTags: []string{"t"}}))
		require.Equal(t, 2, deletes)
		require.ErrorIs(t, c.UpdateRun(t.Context(), "r1", tracking.RunUpdate{DeleteTags: []string{"t", "t"}}), tracking.ErrNotFound)
	})
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/old/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(r.URL.String(), "old", "new", 1), http.StatusMovedPermanently)
	})
	var writes atomic.Int32
	mux.HandleFunc("/new/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			writes.Add(1)
		}
		_, _ = io.WriteString(w, oneRunJSON)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := mlflow.Dial(server.URL+"/old", nil)
	require.NoError(t, err)
	_, err = c.Run(t.Context(), "r1")
	require.NoError(t, err)
	err = c.LogBatch(t.Context(), "r1", tracking.Batch{Tags: map[string]string{"a": "b"}})
	require.ErrorIs(t, err, tracking.ErrUnavailable)
	require.ErrorContains(t, err, "redirects")
	require.Zero(t, writes.Load())
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	var sizes []string
	c := answerer(func(_ int, r *http.Request) (*http.Response, error) {
		if r.Body == nil {
			return answer(200, `{"x":"`+strings.Repeat("x", 5000)+`"}`), nil
		}
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		_, size, _ := strings.Cut(string(body), `"max_results":`)
		size, _, _ = strings.Cut(size, ",")
		size = strings.TrimRight(size, "}")
		sizes = append(sizes, size)
		if len(size) > 1 {
			return answer(200, `{"x":"`+strings.Repeat("x", 5000)+`"}`), nil
		}
		return answer(200, `{"runs":[]}`), nil
	}).conn(t, mlflow.DialOptions{MaxResponse: 4000})
	_, _, err := c.SearchRuns(t.Context(), tracking.RunQuery{Experiments: []tracking.ExperimentID{"1"}, Page: tracking.Page{Max: 100}})
	require.NoError(t, err)
	require.Equal(t, []string{"100", "25", "6"}, sizes)
	_, _, err = c.History(t.Context(), "r1", "m", tracking.Page{})
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorContains(t, err, "MaxResponse")
}

// An old server answers without run_id and with the name as a tag.
func TestOldServers(t *testing.T) {
	t.Parallel()
	c := answerer(func(int, *http.Request) (*http.Response, error) {
		return answer(200, `{"run":{"info":{"run_uuid":"r1","experiment_id":"1","status":"FINISHED","start_time":"5","end_time":"7","lifecycle_stage":"deleted"},
			"data":{"tags":[{"key":"mlflow.runName","value":"old"}],"metrics":[{"key":"m","value":"NaN","timestamp":"3","step":"2"}]}}}`), nil
	}).conn(t, mlflow.DialOptions{})
	run, err := c.Run(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, tracking.RunID("r1"), run.ID)
	require.Equal(t, "old", run.Name)
	require.Empty(t, run.Tags)
	require.True(t, run.Deleted)
	require.Equal(t, time.UnixMilli(7).UTC(), run.End)
	require.True(t, math.IsNaN(run.Metrics["m"].Value))
}
