package registry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

var (
	sumA = strings.Repeat("a", 64)
	sumB = strings.Repeat("0b", 32)
)

// The text and its digest are what every registered version was given: this
// test may gain cases and never change one.
func TestManifestIsCanonical(t *testing.T) {
	t.Parallel()
	files := []registry.File{
		{Path: "z", Size: 0, SHA256: sumA},
		{Path: "dir/with space", Size: 12, SHA256: sumB},
		{Path: "dir-1", Size: 9223372036854775807, SHA256: sumA},
	}
	before := slices.Clone(files)
	const want = "millwright-manifest 1\n" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 9223372036854775807 dir-1\n" +
		"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b 12 dir/with space\n" +
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 0 z\n"
	require.Equal(t, want, string(registry.EncodeManifest(files)))
	require.Equal(t, before, files, "the argument is left alone")
	require.Equal(t, "sha256:"+hexSum(want), registry.ManifestDigest(files))
	slices.Reverse(files)
	require.Equal(t, want, string(registry.EncodeManifest(files)))

	got, err := registry.DecodeManifest([]byte(want))
	require.NoError(t, err)
	require.Equal(t, []registry.File{before[2], before[1], before[0]}, got)
	got, err = registry.DecodeManifest([]byte("millwright-manifest 1\n"))
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestDecodeManifestRefuses(t *testing.T) {
	t.Parallel()
	const head = "millwright-manifest 1\n"
	for text, want := range map[string]string{
		"":                                       "does not start with",
		"millwright-manifest 2\n":                "does not start with",
		head + sumA + " 1 a":                     "line 2 has no end",
		head + "\n":                              "line 2 is not a digest",
		head + sumA + "\n":                       "line 2 is not a digest",
		head + sumA + " 1\n":                     "line 2 is not a digest",
		head + sumA + " 01 a\n":                  "line 2 is not a digest",
		head + sumA + " +1 a\n":                  "line 2 is not a digest",
		head + sumA + " 9223372036854775808 a\n": "line 2 is not a digest",
		head + sumA + " -1 a\n":                  "has size -1",
		head + strings.ToUpper(sumA) + " 1 a\n":  "want 64 lower-case hex digits",
		head + "aa 1 a\n":                        "want 64 lower-case hex digits",
		head + sumA + " 1 b\n" + sumA + " 1 a\n": "line 3 is out of order",
		head + sumA + " 1 a\n" + sumA + " 1 a\n": "line 3 is out of order",
		head + sumA + " 1 a\n" + sumA + " 1 a-\n" + sumA + " 1 a/b\n": `path "a" is a file and a folder`,
		head + sumA + " 1 ../a\n":                                     "not a relative",
		head + sumA + " 1 .\n":                                        "not a relative",
		head + sumA + " 1 a\\b\n":                                     "backslash",
		head + sumA + " 1 a\tb\n":                                     "control character",
		head + sumA + " 1 a\xff\n":                                    "in UTF-8",
		head + sumA + " 1 " + strings.Repeat("a", 1025) + "\n":        "path of 1025 bytes",
	} {
		_, err := registry.DecodeManifest([]byte(text))
		require.ErrorIs(t, err, registry.ErrInvalid, "%q", text)
		require.ErrorContains(t, err, want, "%q", text)
	}
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add("millwright-manifest 1\n")
	f.Add("millwright-manifest 1\n" + sumA + " 1 a\n" + sumB + " 20 b/c d\n")
	f.Add("millwright-manifest 1\n" + sumA + " 1 a\n" + sumB + " 20 a/c\n")
	f.Add("millwright-manifest 1\n" + sumA + " 18446744073709551616 \n")
	f.Fuzz(func(t *testing.T, text string) {
		files, err := registry.DecodeManifest([]byte(text))
		if err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
			return
		}
		require.Equal(t, text, string(registry.EncodeManifest(files)), "one set of files has one text")
	})
}

func TestParseRef(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]registry.Ref{
		"fraud/3":           {Name: "fraud", Number: 3},
		"fraud@champion":    {Name: "fraud", Alias: "champion"},
		"a b.c/12":          {Name: "a b.c", Number: 12},
		"ann@work/1":        {Name: "ann@work", Number: 1},
		"ann@work@champion": {Name: "ann@work", Alias: "champion"},
		"größe@a_b-c":       {Name: "größe", Alias: "a_b-c"},
		"fraud@ünï-7":       {Name: "fraud", Alias: "ünï-7"},
	} {
		got, err := registry.ParseRef(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	for text, want := range map[string]string{
		"":                              `want "name/3" or "name@alias"`,
		"fraud":                         `want "name/3" or "name@alias"`,
		"fraud/":                        `version "" is not a number from 1 up`,
		"fraud/0":                       "is not a number from 1 up",
		"fraud/-1":                      "is not a number from 1 up",
		"fraud/03":                      "is not a number from 1 up",
		"fraud/+3":                      "is not a number from 1 up",
		"fraud/99999999999999999999":    "is not a number from 1 up",
		"fraud/latest":                  "is not a number from 1 up",
		"fraud/3/x":                     "is not a number from 1 up",
		"models:/fraud/3":               "is not a number from 1 up",
		"/3":                            "the model name is empty",
		"../3":                          "is a path step",
		"@champion":                     "the model name is empty",
		"fraud@":                        "the alias is empty",
		"fraud@latest":                  "is reserved",
		"fraud@v3":                      "looks like a version number",
		"fraud@a b":                     "something else than letters",
		"fraud@a,b":                     "something else than letters",
		"fraud@a\xff":                   "something else than letters",
		"a:b@champion":                  "a colon",
		"a\x00@champion":                "control character",
		strings.Repeat("n", 256) + "/1": "model name of 256 bytes",
	} {
		_, err := registry.ParseRef(text)
		require.ErrorIs(t, err, registry.ErrInvalid, "%q", text)
		require.ErrorContains(t, err, want, "%q", text)
	}
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"fraud/3", "fraud@champion", "a@b@c", "a@b/1", "models:/x/1", "x@v1", "x/00", "\xff/1", "é/1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := registry.ParseRef(text)
		if err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
			require.Less(t, len(err.Error()), 8000)
			return
		}
		require.Equal(t, text, ref.String(), "a reference has one spelling")
		require.True(t, (ref.Number > 0) != (ref.Alias != ""))
	})
}
