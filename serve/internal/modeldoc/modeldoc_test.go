package modeldoc_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/modeldoc"
)

// The same document in both forms.
const (
	asJSON   = `{"name": "a\u00e9\n", "list": [1, 2.5, -3], "deep": {"yes": true, "none": null}, "mixed": [1, "x"]}`
	asUBJSON = "{U\x04nameSU\x04a\xc3\xa9\nU\x04list[$d#U\x03\x3f\x80\x00\x00\x40\x20\x00\x00\xc0\x40\x00\x00U\x04deep{U\x03yesTU\x04noneZ}U\x05mixed[U\x01SU\x01x]}"
)

func TestBothForms(t *testing.T) {
	t.Parallel()
	require.False(t, modeldoc.IsUBJSON([]byte(asJSON)))
	require.True(t, modeldoc.IsUBJSON([]byte(asUBJSON)))
	for _, text := range []string{asJSON, asUBJSON} {
		doc, err := modeldoc.Parse([]byte(text))
		require.NoError(t, err)
		require.Equal(t, "aé\n", doc.Get("name").Text())
		list, err := doc.Get("list").Floats64()
		require.NoError(t, err)
		require.Equal(t, []float64{1, 2.5, -3}, list)
		require.True(t, doc.Get("deep", "yes").Has())
		require.False(t, doc.Get("deep", "no").Has())
		mixed := doc.Get("mixed").Items()
		require.Len(t, mixed, 2)
		require.Equal(t, "x", mixed[1].Text())
		n, err := mixed[0].Int()
		require.NoError(t, err)
		require.Equal(t, int64(1), n)
	}
}

// A claim is checked against what is there before memory is taken for it.
func TestRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":              "",
		"JSON without an end":  `{"a": [1, 2`,
		"JSON and more":        `{} {}`,
		"deep JSON":            strings.Repeat(`{"a":`, 1_000_000),
		"deep lists":           strings.Repeat(`[`, 1_000_000),
		"deep UBJSON":          strings.Repeat("{U\x01a", 1_000_000),
		"10^9 floats":          "{U\x01a[$d#l\x3b\x9a\xca\x00",
		"10^9 objects":         "{U\x01a[#l\x3b\x9a\xca\x00",
		"10^9 of nothing":      "{U\x01a[$Z#l\x3b\x9a\xca\x00",
		"a negative length":    "{U\x01a[$d#l\xff\xff\xff\xff",
		"a text without end":   "{U\x01aSl\x3b\x9a\xca\x00x",
		"a type of nobody's":   "{U\x01a?}",
		"an unfinished number": "{U\x01ad\x00",
	} {
		_, err := modeldoc.Parse([]byte(text))
		require.ErrorIs(t, err, errs.ErrInvalid, name)
	}
	for i := range len(asUBJSON) {
		_, err := modeldoc.Parse([]byte(asUBJSON[:i]))
		require.Error(t, err)
	}
}

// Any bytes are a document or refused. Numbers are read when they are asked for.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{asJSON, asUBJSON, `[1e400]`, `{"a": NaN}`, `"\ud800"`, `{"a":1,"a":2}`, "[A]", "{U\x01a[$d#U\x01"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := modeldoc.Parse(data)
		if err != nil {
			require.ErrorIs(t, err, errs.ErrInvalid)
			return
		}
		_, _ = doc.Floats64()
		_, _ = doc.Get("a").Float()
		_, _ = doc.Get("a").Int()
		_ = doc.Get("a", "b").Items()
		_ = doc.Text()
	})
}
