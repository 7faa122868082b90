package sqldb_test

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/sqldb"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the expectations are POSIX paths")
	}
	wd, err := filepath.Abs(".")
	require.NoError(t, err)
	for url, want := range map[string]string{
		"sqlite:///var/lib/a.db": "/var/lib/a.db",
		"sqlite:/var/lib/a.db":   "/var/lib/a.db",
		"SQLite:///a.db":         "/a.db",
		"sqlite:a.db":            wd + "/a.db",
		"sqlite:../a.db":         filepath.Dir(wd) + "/a.db",
		"sqlite:///a%20b.db":     "/a b.db",
		"sqlite:///100%25.db":    "/100%.db",
	} {
		got, err := sqldb.ParseURL(url)
		require.NoError(t, err, url)
		require.Equal(t, want, got, url)
	}
}

func TestParseURLErrors(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]struct {
		kind error
		text string
	}{
		"":                        {errs.ErrInvalid, "no scheme"},
		"/var/lib/a.db":           {errs.ErrInvalid, "sqlite:///absolute"},
		"file:///a.db":            {errs.ErrInvalid, `scheme "file"`},
		"sqlite:":                 {errs.ErrInvalid, "no file"},
		"sqlite:///":              {errs.ErrInvalid, "no file"},
		"sqlite://a/b.db":         {errs.ErrInvalid, "two slashes"},
		"sqlite:///a.db?mode=ro":  {errs.ErrInvalid, "query"},
		"sqlite:///a.db#x":        {errs.ErrInvalid, "fragment"},
		"sqlite:///a%2.db":        {errs.ErrInvalid, "percent"},
		"sqlite:///a%00.db":       {errs.ErrInvalid, "control"},
		"sqlite:///a%ff.db":       {errs.ErrInvalid, "UTF-8"},
		"sqlite::memory:":         {errs.ErrUnsupported, "in-memory"},
		"postgres://u:secret@h/d": {errs.ErrInvalid, "scheme"},
		"postgresql://h/d":        {errs.ErrInvalid, "scheme"},
		"mysql://u:secret@h/d":    {errs.ErrInvalid, "mysql"},
	} {
		_, err := sqldb.ParseURL(url)
		require.ErrorIs(t, err, want.kind, url)
		require.ErrorContains(t, err, want.text, url)
		require.NotContains(t, err.Error(), "secret")
	}
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"sqlite:///a.db", "sqlite:a", "sqlite:%2e%2e/a", "postgres://u:p@h/d", "sqlite://x", ":", "sqlite:///a%", "sqlite:\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		path, err := sqldb.ParseURL(url)
		if err != nil {
			if !errors.Is(err, errs.ErrInvalid) && !errors.Is(err, errs.ErrUnsupported) {
				t.Fatalf("error without a kind: %v", err)
			}
			if len(err.Error()) > 2000 {
				t.Fatalf("an error of %d bytes repeats its input", len(err.Error()))
			}
			return
		}
		if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
			t.Fatalf("%q became the path %q", url, path)
		}
	})
}
