package mlflow_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// importSource is a registry with everything that an import copies.
func importSource(t testing.TB) *registry.Registry {
	t.Helper()
	ctx := t.Context()
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	text, err := os.ReadFile("../testdata/mlmodel/sklearn-columns/MLmodel")
	require.NoError(t, err)
	_, err = reg.CreateModel(ctx, registry.Model{Name: "fraud", Description: "finds it", Tags: map[string]string{"team": "risk"}})
	require.NoError(t, err)
	for n := 1; n <= 5; n++ {
		_, err := reg.Register(ctx, "fraud", registry.Draft{
			Files: fstest.MapFS{
				"MLmodel": {Data: text}, "model.skops": {Data: fmt.Append(nil, "weights ", n)}, "sub dir/größe": {Data: []byte("same")},
			},
			Source: fmt.Sprintf("s3://bucket/fraud/%d", n), Run: fmt.Sprintf("%032x", n), Description: fmt.Sprint("number ", n), Tags: map[string]string{"n": fmt.Sprint(n)},
		})
		require.NoError(t, err)
	}
	for _, n := range []int{2, 4} {
		require.NoError(t, reg.UpdateVersion(ctx, "fraud", n, registry.VersionUpdate{Deleted: new(true)}))
	}
	require.NoError(t, reg.UpdateVersion(ctx, "fraud", 3, registry.VersionUpdate{Stage: registry.StageProduction}))
	require.NoError(t, reg.SetAlias(ctx, "fraud", "champion", 3, nil))
	require.NoError(t, reg.SetAlias(ctx, "fraud", "next", 5, nil))

	prompt := map[string]string{registry.PromptTag: "true"}
	_, err = reg.CreateModel(ctx, registry.Model{Name: "greeting", Tags: prompt})
	require.NoError(t, err)
	_, err = reg.Declare(ctx, "greeting", registry.Draft{Source: "prompt-template", Tags: map[string]string{registry.PromptTag: "true", "mlflow.prompt.text": "Hi {{name}}"}}, false)
	require.NoError(t, err)
	_, err = reg.CreateModel(ctx, registry.Model{Name: "empty"})
	require.NoError(t, err)
	return reg
}

func TestImport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	from := importSource(t)
	src := serveRegistry(t, from)
	to := registry.New(openStore(t), new(blob.Mem), nil)
	opts := &mlflow.ImportOptions{Source: "test"}

	got, err := mlflow.Import(ctx, src, to, opts)
	require.NoError(t, err)
	require.Equal(t, mlflow.ImportResult{Models: 3, Versions: 4, Aliases: 2, Files: 9, Bytes: got.Bytes}, got)
	m, err := to.Model(ctx, "fraud")
	require.NoError(t, err)
	require.Equal(t, "finds it", m.Description)
	require.Equal(t, map[string]string{"team": "risk"}, m.Tags)
	require.Equal(t, 5, m.Latest)
	for _, n := range []int{1, 3, 5} {
		want, err := from.Version(ctx, "fraud", n)
		require.NoError(t, err)
		have, err := to.Version(ctx, "fraud", n)
		require.NoError(t, err)
		require.Equal(t, want.Digest, have.Digest, "the files are the same to the byte")
		require.Equal(t, []any{want.Source, want.Run, want.Description, want.Tags, want.Aliases, want.Stage}, []any{have.Source, have.Run, have.Description, have.Tags, have.Aliases, have.Stage})
		require.Equal(t, "sklearn 1.9.1", have.Framework)
		require.Contains(t, string(have.Signature), `"größe"`)
		files, err := to.Open(ctx, have)
		require.NoError(t, err)
		text, err := fs.ReadFile(files, "model.skops")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("weights ", n), string(text))
	}
	v, err := to.Version(ctx, "fraud", 2)
	require.NoError(t, err)
	require.True(t, v.Deleted, "numbers of deleted versions are used up")
	v, err = to.Resolve(ctx, "greeting/1")
	require.NoError(t, err)
	require.Equal(t, "Hi {{name}}", v.Tags["mlflow.prompt.text"])
	_, err = to.VerifyAudit(ctx)
	require.NoError(t, err)

	// Again: nothing to do. Then what has changed.
	got, err = mlflow.Import(ctx, src, to, opts)
	require.NoError(t, err)
	require.Equal(t, mlflow.ImportResult{Models: 3, Skipped: 4}, got)
	require.NoError(t, from.SetAlias(ctx, "fraud", "champion", 5, &registry.AliasOptions{Expect: 3}))
	require.NoError(t, from.UpdateVersion(ctx, "fraud", 5, registry.VersionUpdate{Description: new("better"), SetTags: map[string]string{"a": "b"}}))
	got, err = mlflow.Import(ctx, src, to, opts)
	require.NoError(t, err)
	require.Equal(t, 1, got.Aliases)
	v, err = to.Resolve(ctx, "fraud@champion")
	require.NoError(t, err)
	require.Equal(t, []any{5, "better", "b"}, []any{v.Number, v.Description, v.Tags["a"]})

	// Somebody's own decision stays.
	require.NoError(t, to.SetAlias(ctx, "fraud", "champion", 1, &registry.AliasOptions{Expect: 5, By: "ann"}))
	got, err = mlflow.Import(ctx, src, to, opts)
	require.ErrorIs(t, err, registry.ErrConflict)
	require.Equal(t, []mlflow.Difference{{Model: "fraud", What: `alias "champion"`, Source: "is at version 5", Destination: `was moved to version 1 by "ann"`}}, got.Differences)
	require.NoError(t, to.SetAlias(ctx, "fraud", "champion", 5, &registry.AliasOptions{Expect: 1, By: "import from test"}))

	// Files that are no longer those that were imported.
	opts.Recheck = true
	_, err = mlflow.Import(ctx, src, to, opts)
	require.NoError(t, err)
	src = serveReplaced(t, from, "weights 3", "weights X")
	got, err = mlflow.Import(ctx, src, to, &mlflow.ImportOptions{Source: "test", Recheck: true, Models: []string{"fraud"}})
	require.ErrorIs(t, err, registry.ErrConflict)
	require.Len(t, got.Differences, 1)
	require.Equal(t, 3, got.Differences[0].Version)
	require.Contains(t, got.Differences[0].Destination, "differs in files")
}

// serveReplaced is serveRegistry on a server whose answers were tampered with.
func serveReplaced(t testing.TB, reg *registry.Registry, was, now string) *mlflow.Conn {
	t.Helper()
	h, err := mlflow.NewHandler(reg, nil)
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, err := w.Write([]byte(strings.ReplaceAll(rec.Body.String(), was, now)))
		require.NoError(t, err)
	}))
	t.Cleanup(server.Close)
	c, err := mlflow.Dial(server.URL, nil)
	require.NoError(t, err)
	return c
}

// An import that was cut off goes on where it was, however often.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	from := importSource(t)
	src := serveRegistry(t, from)
	store := openStore(t)
	to := registry.New(store, new(blob.Mem), nil)
	cut := errors.New("cut")
	for stop := 1; ; stop++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		seen := 0
		_, err := mlflow.Import(ctx, src, to, &mlflow.ImportOptions{Source: "test", Concurrency: 1, OnProgress: func(mlflow.ImportProgress) {
			if seen++; seen == stop {
				cancel(cut)
			}
		}})
		cancel(nil)
		if err == nil {
			require.Greater(t, stop, 5)
			break
		}
		require.ErrorIs(t, err, cut)
	}
	m, err := to.Model(t.Context(), "fraud")
	require.NoError(t, err)
	require.Equal(t, 5, m.Latest)
	v, err := to.Resolve(t.Context(), "fraud@champion")
	require.NoError(t, err)
	require.Equal(t, 3, v.Number)
	require.Len(t, v.Files, 3)
}

func TestImportDifferences(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	from := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	_, err := from.Declare(ctx, "elsewhere", registry.Draft{Source: "s3://bucket/model"}, false)
	require.NoError(t, err)
	_, err = from.Declare(ctx, "late", registry.Draft{Source: "s3://bucket/late"}, true)
	require.NoError(t, err)
	src := serveRegistry(t, from)
	to := registry.New(openStore(t), new(blob.Mem), nil)
	_, err = to.Register(ctx, "elsewhere", registry.Draft{Files: fstest.MapFS{"x": {Data: []byte("own")}}})
	require.NoError(t, err)

	got, err := mlflow.Import(ctx, src, to, nil)
	require.ErrorIs(t, err, registry.ErrConflict)
	told := map[string]string{}
	for _, d := range got.Differences {
		told[d.Model+" "+d.What] = d.String()
	}
	require.Len(t, told, 3)
	require.Contains(t, told["elsewhere files"], "which this server does not hand out")
	require.Equal(t, `version "elsewhere/1": number: source 1, destination 2`, told["elsewhere number"])
	require.Equal(t, `version "late/1": status: source is still being registered, destination waits for the next import`, told["late status"])

	// With a way to the files, and the registration ended.
	require.NoError(t, from.UpdateVersion(ctx, "late", 1, registry.VersionUpdate{Status: registry.Ready}))
	opened := ""
	_, err = mlflow.Import(ctx, src, to, &mlflow.ImportOptions{Models: []string{"late"}, OpenFrom: func(_ context.Context, uri string) (fs.FS, error) {
		opened = uri
		return fstest.MapFS{"model": {Data: []byte("there")}}, nil
	}})
	require.NoError(t, err)
	require.Equal(t, "s3://bucket/late", opened)
	v, err := to.Resolve(ctx, "late/1")
	require.NoError(t, err)
	require.Equal(t, registry.Ready, v.Status)
	require.Len(t, v.Files, 1)

	_, err = mlflow.Import(ctx, nil, nil, &mlflow.ImportOptions{Concurrency: -1, Source: "a b"})
	require.ErrorIs(t, err, registry.ErrInvalid)
	require.ErrorContains(t, err, "the source is nil")
}

// A number that is to be used up was taken when the import was killed.
func TestImportMendsGap(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	from := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	for n := range 2 {
		_, err := from.Register(ctx, "m", registry.Draft{Files: fstest.MapFS{"x": {Data: fmt.Append(nil, n)}}, Source: "s3://b/m"})
		require.NoError(t, err)
	}
	require.NoError(t, from.UpdateVersion(ctx, "m", 1, registry.VersionUpdate{Deleted: new(true)}))
	to := registry.New(openStore(t), new(blob.Mem), nil)
	_, err := to.Declare(ctx, "m", registry.Draft{Key: "test#1", Description: "Deleted before it was imported.", User: "import from test"}, false)
	require.NoError(t, err)
	for range 2 {
		_, err = mlflow.Import(ctx, serveRegistry(t, from), to, &mlflow.ImportOptions{Source: "test"})
		require.NoError(t, err)
	}
	v, err := to.Version(ctx, "m", 1)
	require.NoError(t, err)
	require.True(t, v.Deleted)
	v, err = to.Version(ctx, "m", 2)
	require.NoError(t, err)
	require.Len(t, v.Files, 1)
}
