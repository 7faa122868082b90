package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/feed"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/loader"
)

func TestAStreamIsTheShardOfTheLoader(t *testing.T) {
	t.Parallel()
	c, v := catalog(t, &blob.Mem{}, 9)
	s := serve(t, c, nil)
	l, err := loader.New(context.Background(), v, &loader.Options{Shuffle: true, Seed: 5, Window: 2, BatchRows: 70})
	require.NoError(t, err)
	for rank := range 4 {
		var want []int64
		shard, err := l.Shard(loader.Shard{Epoch: 3, Rank: rank, World: 4})
		require.NoError(t, err)
		rows, _ := shard.Rows()
		for rec, err := range shard.Records(context.Background()) {
			require.NoError(t, err)
			want = append(want, ids(rec)...)
		}
		req := feed.Request{Shuffle: true, Seed: 5, Window: 2, BatchRows: 70, Epoch: 3, Rank: rank, World: 4}
		resp := ask(t, address(s, "trips", req.Values()))
		require.Equal(t, "application/vnd.apache.arrow.stream", resp.Header.Get("Content-Type"))
		require.Equal(t, v.Digest, resp.Header.Get("Millwright-Digest"))
		require.Equal(t, fmt.Sprint(rows), resp.Header.Get("Millwright-Rows"))
		a := read(t, resp)
		require.NoError(t, a.err)
		require.Equal(t, want, a.ids)
		require.Equal(t, shard.Token().String(), a.last)
		digest, _ := a.schema.Metadata().GetValue("millwright.digest")
		require.Equal(t, v.Digest, digest)

		// From each record on.
		for i, token := range a.tokens {
			req.Token, req.Epoch, req.Rank, req.World = token, 0, 0, 0
			rest := read(t, ask(t, address(s, "trips", req.Values())))
			require.NoError(t, rest.err)
			var before int64
			for _, n := range a.rows[:i+1] {
				before += n
			}
			require.Equal(t, want[before:], append([]int64{}, rest.ids...))
		}
	}
}

func TestARefStaysWithItsVersion(t *testing.T) {
	t.Parallel()
	c, v := catalog(t, &blob.Mem{}, 3)
	s := serve(t, c, nil)
	head, err := http.Head(address(s, "trips", nil))
	require.NoError(t, err)
	require.NoError(t, head.Body.Close())
	require.Equal(t, "300", head.Header.Get("Millwright-Rows"))
	ref := head.Header.Get("Millwright-Ref")
	d, err := c.Open(t.Context(), "trips")
	require.NoError(t, err)
	newest := grow(t, d, 300)
	for _, ref := range []string{ref, v.Digest, fmt.Sprint(v.Number)} {
		require.Len(t, read(t, ask(t, address(s, "trips", url.Values{"ref": {ref}}))).ids, 300)
	}
	resp := ask(t, address(s, "trips", nil))
	require.Equal(t, newest.Digest, resp.Header.Get("Millwright-Digest"))
	require.Len(t, read(t, resp).ids, 400)
}

func TestColumnsFilterAndSplit(t *testing.T) {
	t.Parallel()
	c, _ := catalog(t, &blob.Mem{}, 3)
	s := serve(t, c, nil)
	req := feed.Request{
		Columns: []string{"id"}, Where: filter.And(filter.Gt("id", 20), filter.Eq("city", "LAX")),
		Split: &loader.Split{Seed: "a", Key: []string{"id", "city"}, From: 10, To: 500_000},
	}
	resp := ask(t, address(s, "trips", req.Values()))
	require.Empty(t, resp.Header.Get("Millwright-Rows"))
	a := read(t, resp)
	var want []int64
	for id := int64(21); id < 300; id += 2 {
		if b := dataset.Bucket("a", fmt.Sprintf("%d:LAX", id)); 10 <= b && b < 500_000 {
			want = append(want, id)
		}
	}
	require.Equal(t, want, a.ids)
	require.Equal(t, 1, a.schema.NumFields())
}

func TestAnEmptyShardIsAStreamToo(t *testing.T) {
	t.Parallel()
	c, _ := catalog(t, &blob.Mem{}, 1)
	s := serve(t, c, nil)
	a := read(t, ask(t, address(s, "trips", url.Values{"where": {"id < 0"}})))
	require.NoError(t, a.err)
	require.Empty(t, a.ids)
	require.Equal(t, 2, a.schema.NumFields())
	require.NotEmpty(t, a.last)
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	c, _ := catalog(t, &blob.Mem{}, 1)
	s := serve(t, c, &feed.Options{Limits: &feed.Limits{Window: 4, BatchRows: 1000}})
	other := read(t, ask(t, address(s, "trips", url.Values{"seed": {"9"}, "shuffle": {"true"}}))).last
	for _, tc := range []struct {
		path   string
		status int
		texts  []string
	}{
		{"trips?colums=id&seed=x&even=yes&rank=1&rank=2&where=id+%3E", 400, []string{`no parameter "colums"`, `seed is "x"`, `even is "yes"`, "rank is given 2 times", "where:"}},
		{"trips?columns=nope", 400, []string{`no column "nope"`}},
		{"trips?world=2&rank=2", 400, []string{"rank is 2 of 2"}},
		{"trips?window=5&batch_rows=1001", 400, []string{"window is 5, this server allows 4", "batch_rows is 1001"}},
		{"trips?token=abc", 400, []string{"token"}},
		{"trips?token=" + other, 409, []string{"is not of"}},
		{"trips?seed=9&shuffle=true&rank=1&world=3&epoch=2&token=" + other, 400, []string{"rank is 1, and the token is of 0", "world is 3", "epoch is 2"}},
		{"trips?ref=77", 404, []string{"77"}},
		{"trips?ref=nothing", 404, []string{"nothing"}},
		{"planes", 404, []string{"planes"}},
		{"%20", 400, nil},
		{"", 404, nil},
	} {
		resp := ask(t, s.URL+"/feed/"+tc.path)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, tc.status, resp.StatusCode, "%s: %s", tc.path, text)
		for _, part := range tc.texts {
			require.Contains(t, string(text), part)
		}
	}
}

func TestAuthorizeRefusesAndNarrows(t *testing.T) {
	t.Parallel()
	c, _ := catalog(t, &blob.Mem{}, 2)
	s := serve(t, c, &feed.Options{Authorize: func(r *http.Request, req *feed.Request) error {
		switch r.Header.Get("Authorization") {
		case "Bearer all":
			return nil
		case "Bearer some":
			if req.Dataset != "trips" {
				return feed.ErrDenied
			}
			req.Where = filter.And(req.Where, filter.Lt("id", 50))
			return nil
		}
		return fmt.Errorf("no bearer: %w", feed.ErrUnauthenticated)
	}})
	get := func(name, token string, q url.Values) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address(s, name, q), nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", token)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	require.Equal(t, http.StatusUnauthorized, get("trips", "", nil).StatusCode)
	require.Equal(t, http.StatusForbidden, get("planes", "Bearer some", nil).StatusCode)
	require.Equal(t, http.StatusNotFound, get("planes", "Bearer all", nil).StatusCode)
	require.Len(t, read(t, get("trips", "Bearer all", nil)).ids, 200)
	require.Len(t, read(t, get("trips", "Bearer some", nil)).ids, 50)
	require.Len(t, read(t, get("trips", "Bearer some", url.Values{"where": {"id > 40 OR id > 30"}})).ids, 19)
}

func TestReshardOverHTTP(t *testing.T) {
	t.Parallel()
	c, v := catalog(t, &blob.Mem{}, 8)
	s := serve(t, c, nil)
	req := feed.Request{Shuffle: true, Window: 1, BatchRows: 50, World: 3, Ref: fmt.Sprint(v.Number)}
	var tokens []string
	var got []int64
	for req.Rank = range 3 {
		a := read(t, ask(t, address(s, "trips", req.Values())))
		tokens = append(tokens, a.tokens[1]) // One group each.
		got = append(got, a.ids[:100]...)
	}
	req.Rank, req.World = 0, 0
	post := func(body string) (int, []byte) {
		hr, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/feed/trips/reshard?"+req.Values().Encode(), strings.NewReader(body))
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(hr)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, text
	}
	body, err := json.Marshal(map[string]any{"world": 2, "tokens": tokens})
	require.NoError(t, err)
	status, text := post(string(body))
	require.Equal(t, http.StatusOK, status, "%s", text)
	var out struct{ Tokens []string }
	require.NoError(t, json.Unmarshal(text, &out))
	require.Len(t, out.Tokens, 2)
	for _, req.Token = range out.Tokens {
		got = append(got, read(t, ask(t, address(s, "trips", req.Values()))).ids...)
	}
	slices.Sort(got)
	require.Len(t, got, 800)
	require.Len(t, slices.Compact(got), 800)

	req.Token = ""
	for _, body := range []string{"", "{", `{"world":2,"tokens":["x"]}`, `{"world":2}`} {
		status, text = post(body)
		require.Equal(t, http.StatusBadRequest, status, "%s", text)
	}
	status, _ = post(`{"tokens":["` + strings.Repeat("A", 9<<20) + `"]}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
}

// broken damages the bytes of all data files but the first few that are asked
// for.
type broken struct {
	blob.Store
	whole int // Files that stay whole; -1 for all.

	mu   sync.Mutex
	seen map[string]bool
}

func (b *broken) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := b.Store.Get(ctx, key, off, n)
	if err != nil || !strings.HasSuffix(key, ".parquet") {
		return r, err
	}
	b.mu.Lock()
	if len(b.seen) < b.whole || b.whole < 0 {
		b.seen[key] = true
	}
	whole := b.seen[key]
	b.mu.Unlock()
	if whole {
		return r, nil
	}
	data, err := io.ReadAll(r)
	for i := range data {
		data[i] ^= 0x40
	}
	return io.NopCloser(bytes.NewReader(data)), errors.Join(err, r.Close())
}

func TestAStreamThatFailsNeverLooksWhole(t *testing.T) {
	t.Parallel()
	store := &broken{Store: &blob.Mem{}, whole: 3, seen: map[string]bool{}}
	c, _ := catalog(t, store, 12)
	var told atomic.Pointer[error]
	s := serve(t, c, &feed.Options{
		Limits:  &feed.Limits{Prefetch: -1, Workers: 1},
		OnError: func(_ *http.Request, err error) { told.Store(&err) },
	})
	// Window by window, the fourth file is broken.
	resp := ask(t, address(s, "trips", url.Values{"window": {"1"}, "batch_rows": {"100"}}))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	_, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Empty(t, resp.Trailer.Get("Millwright-Token"))

	// Before the first record there is a status.
	store.mu.Lock()
	store.whole, store.seen = 0, nil
	store.mu.Unlock()
	resp = ask(t, address(s, "trips", nil))
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NotContains(t, string(text), "sha256")
	var damage *dataset.CorruptError
	require.ErrorAs(t, *told.Load(), &damage)
}

// gate lets data files through one read at a time.
type gate struct {
	blob.Store
	open chan struct{}
	gets atomic.Int64
	gone atomic.Int64
}

func (g *gate) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if strings.HasSuffix(key, ".parquet") {
		g.gets.Add(1)
		select {
		case <-g.open:
		case <-ctx.Done():
			g.gone.Add(1)
			return nil, ctx.Err()
		}
	}
	return g.Store.Get(ctx, key, off, n)
}

func TestAClientThatGoesAwayEndsItsStream(t *testing.T) {
	t.Parallel()
	g := &gate{Store: &blob.Mem{}, open: make(chan struct{})}
	c, _ := catalog(t, g, 6)
	s := serve(t, c, &feed.Options{MaxStreams: 1})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address(s, "trips", nil), nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		done <- err
	}()
	require.Eventually(t, func() bool { return g.gets.Load() > 0 }, waitFor, tick)

	// One stream is what this server allows.
	full := ask(t, address(s, "trips", nil))
	require.Equal(t, http.StatusServiceUnavailable, full.StatusCode)
	require.Equal(t, "1", full.Header.Get("Retry-After"))

	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.Eventually(t, func() bool { return g.gone.Load() > 0 }, waitFor, tick)
	close(g.open)
	require.Eventually(t, func() bool { return ask(t, address(s, "trips", nil)).StatusCode == http.StatusOK }, waitFor, tick)
}

func TestFaultsOfTheOptionsComeTogether(t *testing.T) {
	t.Parallel()
	_, err := feed.New(nil, &feed.Options{MaxStreams: -1, WriteTimeout: -5})
	require.ErrorIs(t, err, feed.ErrInvalid)
	require.ErrorContains(t, err, "max streams is -1")
	require.ErrorContains(t, err, "write timeout")
	_, err = feed.New(nil, &feed.Options{Limits: &feed.Limits{Window: -1, BatchRows: -1, Prefetch: -2, Workers: -1}})
	for _, text := range []string{"the catalog is nil", "window is -1", "batch rows are -1", "prefetch is -2", "workers are -1"} {
		require.ErrorContains(t, err, text)
	}
}

func FuzzParseValues(f *testing.F) {
	full := feed.Request{
		Ref: "main@3", Columns: []string{"a", "b"}, Where: filter.Eq("a", "x"), Split: &loader.Split{Seed: "s", Key: []string{"k"}, From: 1, To: 2},
		Shuffle: true, Seed: 1 << 63, Window: 3, Even: true, BatchRows: 5, Epoch: 7, Rank: 1, World: 2, Token: "abc",
	}
	for _, s := range []string{"", full.Values().Encode(), "seed=18446744073709551616", "where=((", "split_to=1", "%", "a=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, err := feed.ParseValues("d", q)
		if err != nil {
			require.ErrorIs(t, err, feed.ErrInvalid)
			return
		}
		again, err := feed.ParseValues("d", r.Values())
		require.NoError(t, err)
		require.Equal(t, r.Values(), again.Values())
	})
}
