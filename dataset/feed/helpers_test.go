package feed_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
	array18 "github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/feed"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "city", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// catalog has a dataset "trips" with groups of 100 rows and ids from 0 on.
func catalog(t testing.TB, s blob.Store, groups int) (*dataset.Catalog, *dataset.Version) {
	t.Helper()
	c := dataset.New(s, nil)
	d, err := c.Create(context.Background(), "trips", schema, nil)
	require.NoError(t, err)
	var v *dataset.Version
	for g := range groups {
		v = grow(t, d, int64(g)*100)
	}
	return c, v
}

func grow(t testing.TB, d *dataset.Dataset, from int64) *dataset.Version {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for id := from; id < from+100; id++ {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append([]string{"SFO", "LAX"}[id%2])
	}
	rr, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
	require.NoError(t, err)
	v, err := d.Append(context.Background(), rr, nil)
	require.NoError(t, err)
	return v
}

func serve(t testing.TB, c *dataset.Catalog, opts *feed.Options) *httptest.Server {
	t.Helper()
	h, err := feed.New(c, opts)
	require.NoError(t, err)
	s := httptest.NewServer(http.StripPrefix("/feed", h))
	t.Cleanup(s.Close)
	return s
}

func address(s *httptest.Server, name string, q url.Values) string {
	return s.URL + "/feed/" + name + "?" + q.Encode()
}

func ask(t testing.TB, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// answer is what a client sees of one stream.
type answer struct {
	ids    []int64
	tokens []string // Of each record.
	rows   []int64  // Of each record.
	schema *arrow18.Schema
	last   string // The trailer.
	err    error
}

func read(t testing.TB, resp *http.Response) (a answer) {
	t.Helper()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	r, err := ipc.NewReader(resp.Body)
	require.NoError(t, err)
	defer r.Release()
	a.schema = r.Schema()
	for r.Next() {
		rec := r.RecordBatch()
		a.ids = append(a.ids, rec.Column(rec.Schema().FieldIndices("id")[0]).(*array18.Int64).Int64Values()...)
		token, ok := rec.(arrow18.RecordBatchWithMetadata).Metadata().GetValue("millwright.token")
		require.True(t, ok)
		a.tokens, a.rows = append(a.tokens, token), append(a.rows, rec.NumRows())
	}
	a.err = r.Err()
	if a.err == nil {
		if _, a.err = io.Copy(io.Discard, resp.Body); errors.Is(a.err, io.EOF) {
			a.err = nil
		}
	}
	a.last = resp.Trailer.Get("Millwright-Token")
	return a
}

func ids(rec arrow.Record) []int64 {
	return append([]int64(nil), rec.Column(0).(*array.Int64).Int64Values()...)
}

const (
	waitFor = 20 * time.Second
	tick    = 5 * time.Millisecond
)
