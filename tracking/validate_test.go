package tracking_test

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func TestValidateKey(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"a", "loss", "val/loss", "layer.0/grad norm", "a:b", "A-b_c.d", "été", "学習率", "½", " ", "a/b/c", "...a"[3:], "a..b", ".hidden", strings.Repeat("x", 250), strings.Repeat("é", 250),
	} {
		require.NoError(t, tracking.ValidateKey(good), good)
	}
	for _, bad := range []string{
		"", ".", "..", "../a", "..a", "a/../b", "./a", "a/.", "a//b", "/a", "a/", "a\nb", "a\tb", "a\x00", `a\b`, "a=b", "a'b", "a\"b", "a`b", "a%b", "🙂", "\xff", strings.Repeat("x", 251), strings.Repeat("é", 251),
	} {
		err := tracking.ValidateKey(bad)
		require.ErrorIs(t, err, tracking.ErrInvalid, "%q", bad)
		require.Less(t, len(err.Error()), 500)
	}
}

func TestValidateRunID(t *testing.T) {
	t.Parallel()
	for _, good := range []tracking.RunID{"a", "0", "a-b_C", "8d3f0a2b9c8e4f1aa0b1c2d3e4f50617", tracking.RunID(strings.Repeat("a", 256))} {
		require.NoError(t, tracking.ValidateRunID(good), good)
	}
	for _, bad := range []tracking.RunID{"", "-a", "_a", "a/b", "a b", "a.b", "..", "é", "a\n", tracking.RunID(strings.Repeat("a", 257))} {
		require.ErrorIs(t, tracking.ValidateRunID(bad), tracking.ErrInvalid, "%q", bad)
	}
}

func TestValidateArtifactPath(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "model/weights.json", "a b/ü.txt", "..a", "a..b", "...", ".hidden", strings.Repeat("a/", 249) + "ab"} {
		require.NoError(t, tracking.ValidateArtifactPath(good), good)
	}
	for _, bad := range []string{
		"", ".", "..", "../a", "a/../b", "a/..", "./a", "a/.", "a//b", "/a", "a/", `a\b`, `..\a`, "a\x00b", "a\nb", "a\u0085b", "\xff", strings.Repeat("a/", 250) + "a", strings.Repeat("x", 256), "C:\\x",
	} {
		require.ErrorIs(t, tracking.ValidateArtifactPath(bad), tracking.ErrInvalid, "%q", bad)
	}
}

func TestBatchValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	now := time.Now()
	require.NoError(t, tracking.Batch{}.Validate())
	err := tracking.Batch{
		Metrics: []tracking.Metric{{Key: "/m", Time: now}, {Key: "m", Time: time.UnixMilli(-1)}, {Key: "zero"}, {Key: "far", Time: now.AddDate(400_000, 0, 0)}},
		Params:  map[string]string{"p": strings.Repeat("x", 6001), "": "empty key"},
		Tags:    map[string]string{"t": strings.Repeat("x", 8001), "u": "nul \x00"},
		Inputs: []tracking.DatasetInput{
			{Source: strings.Repeat("s", 1<<16), Schema: strings.Repeat("s", 1<<20), Profile: "\xff"},
			{Name: strings.Repeat("n", 501), Digest: strings.Repeat("d", 129), Version: strings.Repeat("v", 251), Context: strings.Repeat("c", 501), SourceType: strings.Repeat("s", 251)},
		},
	}.Validate()
	require.ErrorIs(t, err, tracking.ErrInvalid)
	for _, fault := range []string{
		`metric key "/m"`, `metric "m" at step 0 has the time 1969`, `metric "zero"`, `metric "far"`,
		`param "p"`, `param key ""`, `tag "t"`, `tag "u", its value: it has a NUL`,
		"input 0, its Name: it is empty", "input 0, its Digest", "input 0, its Source: it has 65536 bytes", "input 0, its Schema", "input 0, its Profile: it is not valid UTF-8",
		"input 1, its Name", "input 1, its Digest", "input 1, its Version", "input 1, its Context", "input 1, its SourceType",
	} {
		require.ErrorContains(t, err, fault)
	}
}

func TestBatchValidateLimits(t *testing.T) {
	t.Parallel()
	many := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint(i)] = ""
		}
		return m
	}
	metrics := make([]tracking.Metric, 1001)
	for i := range metrics {
		metrics[i] = tracking.Metric{Key: "m", Time: time.UnixMilli(1)}
	}
	require.NoError(t, tracking.Batch{Metrics: metrics[:1000]}.Validate())
	require.NoError(t, tracking.Batch{Metrics: metrics[:800], Params: many(100), Tags: many(100)}.Validate())
	for text, b := range map[string]tracking.Batch{
		"1001 metrics":                           {Metrics: metrics},
		"101 params":                             {Params: many(101)},
		"101 tags":                               {Tags: many(101)},
		"101 inputs":                             {Inputs: make([]tracking.DatasetInput, 101)},
		"1001 metrics, params and tags together": {Metrics: metrics[:900], Params: many(100), Tags: many(1)},
	} {
		err := b.Validate()
		require.ErrorIs(t, err, tracking.ErrInvalid)
		require.ErrorContains(t, err, text)
	}

	for i := range metrics {
		metrics[i].Key = "/bad"
	}
	err := tracking.Batch{Metrics: metrics[:1000]}.Validate()
	require.ErrorContains(t, err, "and 980 more")
	require.Less(t, len(err.Error()), 10_000)
}

func FuzzValidateKey(f *testing.F) {
	for _, seed := range []string{"a", "val/loss", "..", "a/../b", "/a", "é", "\xff", "a\x00", "layer 0: x", strings.Repeat("é", 250)} {
		f.Add(seed)
	}
	store := &trackingtest.Memory{}
	_, run := startRun(f, store, nil)
	f.Fuzz(func(t *testing.T, key string) {
		err := tracking.ValidateKey(key)
		logged := run.LogBatch(t.Context(), tracking.Batch{Metrics: []tracking.Metric{{Key: key}}})
		if err != nil {
			require.ErrorIs(t, err, tracking.ErrInvalid)
			require.ErrorIs(t, logged, tracking.ErrInvalid, "one rule for all ways in")
			return
		}
		require.NoError(t, logged)
		require.True(t, utf8.ValidString(key))
		require.LessOrEqual(t, utf8.RuneCountInString(key), 250)
		require.Equal(t, path.Clean(key), key)
		require.False(t, path.IsAbs(key) || strings.HasPrefix(key, "..") || strings.ContainsAny(key, "\x00\n\\'\"`%"))
	})
}

func FuzzValidateRunID(f *testing.F) {
	for _, seed := range []string{"a", "-a", "a-b_C", "é", "a/b", "..", strings.Repeat("a", 257)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if tracking.ValidateRunID(tracking.RunID(id)) == nil {
			require.Regexp(t, `^[a-zA-Z0-9][a-zA-Z0-9_-]{0,255}$`, id)
			require.True(t, fs.ValidPath(id) && !strings.Contains(id, "/"))
		}
	})
}

func FuzzValidateArtifactPath(f *testing.F) {
	for _, seed := range []string{"a", "model/weights.json", "../a", "a/../../b", "/a", `a\b`, "a\x00", "C:/x", "a//b", "\xff", "..."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if tracking.ValidateArtifactPath(p) == nil {
			require.True(t, fs.ValidPath(p) && p != ".")
			require.NotContains(t, p, `\`)
			require.LessOrEqual(t, len(p), 500)
			require.Equal(t, path.Join("root", p), "root/"+p, "it stays below its root")
		}
	})
}
