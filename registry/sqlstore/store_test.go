package sqlstore_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

func files(model string) fs.FS { return fstest.MapFS{"model": {Data: []byte(model)}} }

func folder(tb testing.TB, dir string) *dirblob.Store {
	tb.Helper()
	s, err := dirblob.Open(dir)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

// Two registries with their own handles, as two processes have them, register
// into one model from eight goroutines.
func TestConcurrentRegister(t *testing.T) {
	t.Parallel()
	ctx, first, dir := t.Context(), fresh(t), t.TempDir()
	regs := []*registry.Registry{
		registry.New(first, folder(t, dir), nil),
		registry.New(open(t, first.url), folder(t, dir), nil),
	}
	const workers, each = 8, 3
	versions := make([][]*registry.Version, workers)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				v, err := regs[w%2].Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{
					"shared": {Data: []byte("the same for all")},
					"own":    {Data: fmt.Append(nil, w, i)},
				}})
				if err != nil {
					errs[w] = err
					return
				}
				versions[w] = append(versions[w], v)
			}
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for w := range workers {
		require.NoError(t, errs[w])
		for i, v := range versions[w] {
			require.False(t, seen[v.Number], "number %d was given out twice", v.Number)
			seen[v.Number] = true
			got, err := regs[(w+1)%2].Version(ctx, "fraud", v.Number)
			require.NoError(t, err)
			require.Equal(t, v, got)
			fsys, err := regs[(w+1)%2].Open(ctx, got)
			require.NoError(t, err)
			own, err := fs.ReadFile(fsys, "own")
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(w, i), string(own))
		}
	}
	for n := 1; n <= workers*each; n++ {
		require.True(t, seen[n], "number %d is missing", n)
	}
}

func TestAliasesSurviveReopening(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	url := "sqlite://" + filepath.ToSlash(filepath.Join(dir, "r.db"))
	for round := 1; round <= 3; round++ {
		store, err := sqlstore.Open(ctx, url, nil)
		require.NoError(t, err)
		reg := registry.New(store, folder(t, filepath.Join(dir, "files")), nil)
		if round > 1 {
			v, err := reg.Resolve(ctx, "fraud@champion")
			require.NoError(t, err)
			require.Equal(t, round-1, v.Number)
		}
		v, err := reg.Register(ctx, "fraud", registry.Draft{Files: files(fmt.Sprint(round))})
		require.NoError(t, err)
		require.NoError(t, reg.SetAlias(ctx, "fraud", "champion", v.Number, &registry.AliasOptions{Expect: round - 1}))
		require.NoError(t, store.Close())
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, err := sqlstore.Open(ctx, "sqlite://"+filepath.ToSlash(filepath.Join(t.TempDir(), "r.db")), nil)
	require.NoError(t, err)
	reg := registry.New(store, folder(t, t.TempDir()), nil)
	_, err = reg.Register(ctx, "fraud", registry.Draft{Files: files("1")})
	require.NoError(t, err)
	require.NoError(t, store.Close())
	require.NoError(t, store.Close())

	_, err = reg.Register(ctx, "fraud", registry.Draft{Files: files("2")})
	require.ErrorIs(t, err, registry.ErrClosed)
	_, err = reg.Version(ctx, "fraud", 1)
	require.ErrorIs(t, err, registry.ErrClosed)
	_, err = reg.Alias(ctx, "fraud", "champion")
	require.ErrorIs(t, err, registry.ErrClosed)
	require.ErrorIs(t, reg.SetAlias(ctx, "fraud", "champion", 1, nil), registry.ErrClosed)
	for _, err := range reg.Models(ctx) {
		require.ErrorIs(t, err, registry.ErrClosed)
	}
}

func TestOpenExplains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o600))
	for url, want := range map[string]struct {
		kind error
		text string
	}{
		"postgres://user:secret@host/db": {sqlstore.ErrUnsupported, "PostgreSQL is not supported"},
		"registry.db":                    {sqlstore.ErrInvalid, "no scheme"},
		"sqlite://" + filepath.ToSlash(dir) + "/missing/r.db": {sqlstore.ErrNotFound, "missing"},
		"sqlite://" + filepath.ToSlash(dir):                   {sqlstore.ErrInvalid, "folder"},
		"sqlite://" + filepath.ToSlash(text):                  {sqlstore.ErrInvalid, "not an SQLite database"},
	} {
		s, err := sqlstore.Open(t.Context(), url, nil)
		require.ErrorIs(t, err, want.kind, url)
		require.Nil(t, s)
		require.ErrorContains(t, err, "registry/sqlstore: ")
		require.ErrorContains(t, err, want.text)
		require.NotContains(t, err.Error(), "secret")
	}
}

// tamper runs statements on the file of h from outside.
func tamper(t *testing.T, url string, statements ...string) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), url, nil)
	require.NoError(t, err)
	require.NoError(t, db.Tx(t.Context(), func(tx *sqldb.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, db.Close())
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	h := fresh(t)
	tamper(t, h.url, `INSERT INTO mw_migrations (line, version, name, applied_ms) VALUES ('registry', 999, '0999_future.sql', 0)`)
	_, err := sqlstore.Open(t.Context(), h.url, nil)
	require.ErrorIs(t, err, sqlstore.ErrUnsupported)
	require.ErrorContains(t, err, "newer")
}

func TestFileMayBeShared(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "app.db"))
	tamper(t, url, `CREATE TABLE orders (id INTEGER PRIMARY KEY)`, `INSERT INTO orders VALUES (7)`)
	s := open(t, url)
	reg := registry.New(s, folder(t, t.TempDir()), nil)
	_, err := reg.Register(ctx, "fraud", registry.Draft{Files: files("1")})
	require.NoError(t, err)
	tamper(t, url, `INSERT INTO orders VALUES (8)`)

	db, err := sqldb.Open(ctx, url, nil)
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.Read().QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		require.True(t, name == "orders" || strings.HasPrefix(name, "mw_"), "table %q is not ours to make", name)
	}
	require.NoError(t, rows.Err())
}

func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"manifest":  `UPDATE mw_reg_versions SET manifest = 'millwright-manifest 1' || char(10) || 'x'`,
		"signature": `UPDATE mw_reg_versions SET signature = '{'`,
		"metrics":   `UPDATE mw_reg_versions SET metrics = '{"auc":1e999}'`,
		"tags":      `UPDATE mw_reg_versions SET tags = '[]'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, h := t.Context(), fresh(t)
			reg := registry.New(h, folder(t, t.TempDir()), nil)
			_, err := reg.Register(ctx, "fraud", registry.Draft{Files: files("1"), Tags: map[string]string{"a": "b"}})
			require.NoError(t, err)
			tamper(t, h.url, statement)
			_, err = reg.Version(ctx, "fraud", 1)
			require.ErrorContains(t, err, `registry: version 1 of "fraud": the record of version 1 in the database is damaged`)
			require.NotErrorIs(t, err, registry.ErrInvalid, "the caller's input is in order")
			require.NotErrorIs(t, err, registry.ErrNotFound)
		})
	}
	// A manifest that was swapped for another well-formed one is noticed when
	// the files are opened.
	ctx, h := t.Context(), fresh(t)
	reg := registry.New(h, folder(t, t.TempDir()), nil)
	for _, m := range []string{"1", "2"} {
		_, err := reg.Register(ctx, "fraud", registry.Draft{Files: files(m)})
		require.NoError(t, err)
	}
	tamper(t, h.url, `UPDATE mw_reg_versions SET manifest = (SELECT manifest FROM mw_reg_versions WHERE number = 1) WHERE number = 2`)
	v, err := reg.Version(ctx, "fraud", 2)
	require.NoError(t, err)
	_, err = reg.Open(ctx, v)
	require.ErrorContains(t, err, "the record was altered")
}

// testdata/0001.sql is a file as schema 1 wrote it: it must stay readable.
func TestOldFilesStayReadable(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dump, err := os.ReadFile(filepath.Join("testdata", "0001.sql"))
	require.NoError(t, err)
	url := "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "old.db"))
	tamper(t, url, string(dump))
	reg := registry.New(open(t, url), folder(t, t.TempDir()), nil)

	v, err := reg.Resolve(ctx, "fraud@champion")
	require.NoError(t, err)
	require.Equal(t, "fraud/2", v.Ref())
	require.Equal(t, "2026-03-01T12:00:00.000002Z", v.Created.Format("2006-01-02T15:04:05.999999999Z07:00"))
	require.Equal(t, registry.ManifestDigest(v.Files), v.Digest)
	require.Equal(t, []string{"model.bin", "profile.json"}, []string{v.Files[0].Path, v.Files[1].Path})
	require.Equal(t, `{"inputs":[]}`, string(v.Signature))
	require.Equal(t, []registry.Dataset{{Name: "payments", Version: "12", Digest: "sha256:ab", Context: "training"}}, v.Datasets)
	require.Equal(t, map[string]float64{"auc": 0.91}, v.Metrics)
	require.Equal(t, map[string]string{"team": "risk"}, v.Tags)
	require.Equal(t, []string{"xgboost 2.1", "xgboost-json", "run-1", "key-2"}, []string{v.Framework, v.Flavor, v.Run, v.Key})
	var moves []string
	for m, err := range reg.History(ctx, "fraud", "champion") {
		require.NoError(t, err)
		moves = append(moves, fmt.Sprintf("%d->%d %s %s %s", m.From, m.To, m.By, m.Reason, m.Evidence))
	}
	require.Equal(t, []string{`1->2 retrain better {"auc":0.91}`, `0->1   `}, moves)
	next, err := reg.Register(ctx, "fraud", registry.Draft{Files: files("3")})
	require.NoError(t, err)
	require.Equal(t, 3, next.Number)
}
