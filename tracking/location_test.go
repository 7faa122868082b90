package tracking_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
)

func TestCleanLocation(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"s3://bucket/prefix":             "s3://bucket/prefix",
		"s3://bucket/prefix//":           "s3://bucket/prefix",
		"s3://bucket/":                   "s3://bucket",
		"file:///var/lib/artifacts/":     "file:///var/lib/artifacts",
		"mlflow-artifacts:/5":            "mlflow-artifacts:/5",
		"mlflow-artifacts:/":             "mlflow-artifacts:",
		"mlflow-artifacts:":              "mlflow-artifacts:",
		"mlflow-artifacts://host:5000/a": "mlflow-artifacts://host:5000/a",
		"s3://bucket/100%25 sure/ü":      "s3://bucket/100%25 sure/ü",
	} {
		got, err := tracking.CleanLocation(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{
		"", "/", "/etc", "./mlruns", "mlruns", "C:/x", `C:\x`, "http:///#/../../etc/", "http:///?/../../etc/", "file:///a/../b",
		"file:///a/%2e%2e/b", "file:///a/%252e%252e/b", "file:///a/..%2fb", `s3://b/..\..\x`, "s3://b/a%5c..%5cb", "s3://b/x%00", "s3://b/x\n",
		"s3://user:secret@bucket/x", "s3://b/x;/../y", "s3://b/x\xff", "s3://" + strings.Repeat("x", 2048), "s3://b/ .. /x", "file:..", "s3://", "file:///", "file:///..",
	} {
		_, err := tracking.CleanLocation(bad)
		require.ErrorIs(t, err, tracking.ErrInvalid, "%q", bad)
		require.Less(t, len(err.Error()), 500)
	}
}

func TestArtifactKey(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"mlflow-artifacts:/3/run/artifacts":             "3/run/artifacts",
		"mlflow-artifacts://host:5000/3/run/artifacts":  "3/run/artifacts",
		"mlflow-artifacts:":                             "",
		"s3://bucket/prefix/3":                          "prefix/3",
		"mlflow-artifacts:/3/models/m-1/artifacts/a%20": "3/models/m-1/artifacts/a%20",
	} {
		key, err := tracking.ArtifactKey(uri)
		require.NoError(t, err, uri)
		require.Equal(t, want, key)
	}
	_, err := tracking.ArtifactKey("mlflow-artifacts:/3/../4")
	require.ErrorIs(t, err, tracking.ErrInvalid)
}

func FuzzCleanLocation(f *testing.F) {
	for _, seed := range []string{"s3://b/p/", "mlflow-artifacts:/", "file:///a/%2e%2e/b", "a://%25%32%65/", "x:;..", "ab:/..;/", "s3:////a//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		clean, err := tracking.CleanLocation(uri)
		if err != nil {
			require.ErrorIs(t, err, tracking.ErrInvalid)
			return
		}
		again, err := tracking.CleanLocation(clean)
		require.NoError(t, err, "%q", clean)
		require.Equal(t, clean, again)
		require.False(t, strings.HasSuffix(clean, "/"))
		u, err := url.Parse(clean)
		require.NoError(t, err)
		require.Greater(t, len(u.Scheme), 1)
		for _, text := range []string{clean, u.Path, u.Opaque} {
			for part := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == '/' || c == ':' }) {
				require.NotEqual(t, "..", part)
			}
		}
		key, err := tracking.ArtifactKey(clean)
		require.NoError(t, err)
		require.False(t, strings.HasPrefix(key, "/"))
	})
}
