package search_test

import (
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking/search"
)

func TestMatchLike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"", []string{""}, []string{"a"}},
		{"%", []string{"", "a", "a\nb"}, nil},
		{"a", []string{"a"}, []string{"", "A", "aa"}},
		{"a%", []string{"a", "ab"}, []string{"ba", "A"}},
		{"%a", []string{"a", "ba", "aa"}, []string{"ab"}},
		{"%a%b%", []string{"ab", "xaxbx"}, []string{"ba"}},
		{"_", []string{"a", "é", "世"}, []string{"", "ab"}},
		{"%_b", []string{"ab", "aab"}, []string{"b"}},
		{"%ab_%c", []string{"ababxc", "abxc"}, []string{"abc"}},
		{`100\%`, []string{"100%"}, []string{"100x", `100\%`}},
		{`a\_b\\c`, []string{`a_b\c`}, []string{`axb\c`}},
		{`C:\temp%\`, []string{`C:\temp\x\`}, []string{`C:temp\`}},
		{"a*b?[c]", []string{"a*b?[c]"}, []string{"axbyc"}},
	} {
		clause := search.Clause{Op: search.Like, Text: c.pattern}
		for _, s := range c.yes {
			require.True(t, clause.MatchText(s), "%q LIKE %q", s, c.pattern)
		}
		for _, s := range c.no {
			require.False(t, clause.MatchText(s), "%q LIKE %q", s, c.pattern)
		}
	}
	i := search.Clause{Op: search.ILike, Text: "%Ab%É"}
	require.True(t, i.MatchText("xaBÉ"))
	require.False(t, i.MatchText("xaBé"), "only A to Z are folded")
}

// LIKE against the regular expression that means the same.
func TestMatchLikeRandom(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	letters := []string{"a", "b", "%", "_", `\`, "世", "."}
	word := func(n int) string {
		var b strings.Builder
		for range rng.IntN(n) {
			b.WriteString(letters[rng.IntN(len(letters))])
		}
		return b.String()
	}
	for range 20_000 {
		pattern, s := word(8), word(10)
		var re strings.Builder
		for _, part := range search.LikeParts(pattern) {
			switch {
			case part.Many:
				re.WriteString("(?s:.*)")
			case part.One:
				re.WriteString("(?s:.)")
			default:
				re.WriteString(regexp.QuoteMeta(part.Literal))
			}
		}
		want := regexp.MustCompile("^" + re.String() + "$").MatchString(s)
		clause := search.Clause{Op: search.Like, Text: pattern}
		require.Equal(t, want, clause.MatchText(s), "%q LIKE %q", s, pattern)
	}
}

func TestMatchNumber(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		op      search.Op
		value   float64
		yes, no []float64
	}{
		{search.Equal, 0, []float64{0, math.Copysign(0, -1)}, []float64{nan, 1}},
		{search.NotEqual, 0, []float64{nan, inf}, []float64{0}},
		{search.Greater, 1, []float64{2, inf}, []float64{nan, 1, -inf}},
		{search.GreaterEqual, 1, []float64{1}, []float64{nan, 0.5}},
		{search.Less, 1, []float64{-inf, 0}, []float64{nan, 1}},
		{search.LessEqual, inf, []float64{inf, 1}, []float64{nan}},
	} {
		clause := search.Clause{Op: c.op, Numeric: true, Number: c.value}
		for _, f := range c.yes {
			require.True(t, clause.MatchNumber(f), "%v %s %v", f, c.op, c.value)
		}
		for _, f := range c.no {
			require.False(t, clause.MatchNumber(f), "%v %s %v", f, c.op, c.value)
		}
		require.False(t, clause.MatchText("1"))
		require.False(t, clause.MatchAbsent())
	}
	null, there := search.Clause{Op: search.IsNull}, search.Clause{Op: search.IsNotNull}
	require.True(t, null.MatchAbsent())
	require.False(t, null.MatchText("") || null.MatchNumber(0) || there.MatchAbsent())
	require.True(t, there.MatchText("") && there.MatchNumber(nan))
}

func TestMatchTrace(t *testing.T) {
	t.Parallel()
	content := []byte(`{"name":"s","attributes":{"model":"\"gpt\"","n":"5","raw":{"a":1},"text":"plain","j":"{\"x\": 1}"}}`)
	for key, want := range map[string]string{"model": "gpt", "n": "5", "raw": `{"a":1}`, "text": "plain", "j": `{"x": 1}`} {
		got, ok := search.SpanText(content, key)
		require.True(t, ok, key)
		require.Equal(t, want, got, key)
	}
	_, ok := search.SpanText(content, "none")
	require.False(t, ok)
	_, ok = search.SpanText([]byte("[]"), "none")
	require.False(t, ok)

	match := func(filter, value string) bool {
		clauses, err := search.Traces().Filter(filter)
		require.NoError(t, err)
		return clauses[0].MatchAssessment([]byte(value))
	}
	require.True(t, match("feedback.a = 'yes'", `"yes"`))
	require.True(t, match("feedback.a = 'true'", `true`))
	require.True(t, match("feedback.a = '5'", ` 5 `))
	require.True(t, match("feedback.a > 4", `5`))
	require.False(t, match("feedback.a > 4", `"5"`))
	require.False(t, match("feedback.a > 4", `null`))
	require.True(t, match("feedback.a != 'x'", `null`))

	tag := `[{"name": "p", "version": "1"}]`
	require.True(t, search.PromptLinked(tag, "p/1"))
	require.False(t, search.PromptLinked(tag, "p/2"))
	require.False(t, search.PromptLinked("junk", "p/2"))
}

// Matching a value allocates nothing, except for patterns.
func TestMatchAllocations(t *testing.T) {
	clauses, err := search.Runs().Filter("metrics.a > 1 AND params.b != 'x' AND run_id IN ('a', 'b')")
	require.NoError(t, err)
	got := testing.AllocsPerRun(100, func() {
		clauses[0].MatchNumber(2)
		clauses[1].MatchText("y")
		clauses[2].MatchText("b")
	})
	require.Zero(t, got)
	got = testing.AllocsPerRun(100, func() { _, _ = search.Runs().Filter("metrics.a > 1 AND params.b != 'x'") })
	require.LessOrEqual(t, got, 60.0) // most of it is the grammar itself
}
