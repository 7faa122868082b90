package sqldb_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/internal/sqldb"
)

// onBoth runs a test on a fresh database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, nil))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, openPostgres(t, pgtest.SchemaURL(t), nil))
	})
}

func openPostgres(t testing.TB, url string, opts *sqldb.Options) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), url, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// createTexts makes a table of texts as the schemas have them.
func createTexts(t *testing.T, db *sqldb.DB, texts []string) {
	t.Helper()
	create := `CREATE TABLE t (s TEXT NOT NULL UNIQUE)`
	if db.Dialect() == sqldb.Postgres {
		create = `CREATE TABLE t (s text COLLATE "C" NOT NULL UNIQUE)`
	}
	execSQL(t, db, create)
	execSQL(t, db, `INSERT INTO t (s) SELECT k.value FROM `+db.Dialect().EachText("k")+` WHERE true`, db.Dialect().Texts(texts))
}

func readTexts(t *testing.T, db *sqldb.DB, query string, args ...any) []string {
	t.Helper()
	var out []string
	require.NoError(t, db.View(t.Context(), func(tx *sqldb.Tx) error {
		out = nil
		rows, err := tx.QueryBuilt(t.Context(), query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			out = append(out, s)
		}
		return rows.Err()
	}))
	return out
}

var oddTexts = []string{
	"", "a", "A", "b", "B", "ab", "AB", "aB", "a_b", "a%b", `a\b`, `a\%b`, "a*b", "a?b", "a[b]", "a]b", "[", "]", "^a", "[^a]", "ä", "Ä", "äb",
	"日本", "日", "🙂x", "Straße", "STRASSE", "a\nb", "--", "'", `"`, "$1", "?1", "K", "k", "ſ",
}

func TestTextsAreOrderedAndMatchedAlike(t *testing.T) {
	t.Parallel()
	patterns := []string{
		"%", "_", "__", "a%", "%b", "A%", "a_b", `a\_b`, `a\%b`, `a\\b`, `a\b`, `\`, `%\`, "a*b", "a?b", "a[b]", "[%", "%]%", "^%", "ä%", "Ä%",
		"日_", "🙂_", "%s%", "", "%%", "_%_", "k", "stra%", "'", "--%", "$1", "?1", "a%b%", "%[^a]%",
	}
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		createTexts(t, db, oddTexts)
		sorted := slices.Sorted(slices.Values(oddTexts))
		require.Equal(t, sorted, readTexts(t, db, `SELECT s FROM t ORDER BY s`))
		for _, pattern := range patterns {
			for name, like := range map[string]func(expr, pattern string) (string, string){"LIKE": db.Dialect().Like, "ILIKE": db.Dialect().ILike} {
				var want []string
				for _, s := range sorted {
					if likeModel(s, pattern, name == "ILIKE") {
						want = append(want, s)
					}
				}
				cond, arg := like("s", pattern)
				require.Equal(t, want, readTexts(t, db, `SELECT s FROM t WHERE `+cond+` ORDER BY s`, arg), "%s %q", name, pattern)
			}
		}
	})
}

// likeModel says what Like and ILike mean, slowly.
func likeModel(s, pattern string, fold bool) bool {
	if fold {
		lower := func(r rune) rune {
			if r >= 'A' && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		}
		s, pattern = strings.Map(lower, s), strings.Map(lower, pattern)
	}
	return likeRunes([]rune(s), []rune(pattern))
}

func likeRunes(s, p []rune) bool {
	if len(p) == 0 {
		return len(s) == 0
	}
	switch {
	case p[0] == '%':
		return likeRunes(s, p[1:]) || len(s) > 0 && likeRunes(s[1:], p)
	case p[0] == '_':
		return len(s) > 0 && likeRunes(s[1:], p[1:])
	case p[0] == '\\' && len(p) > 1 && strings.ContainsRune(`%_\`, p[1]):
		p = p[1:]
	}
	return len(s) > 0 && s[0] == p[0] && likeRunes(s[1:], p[1:])
}

func TestListParameters(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		createTexts(t, db, oddTexts)
		d := db.Dialect()
		require.Equal(t, []string{"a", `a\%b`, "日本"}, readTexts(t, db, `SELECT s FROM t WHERE `+d.In("s")+` AND s <> ? ORDER BY s`, d.Texts([]string{"日本", "a", `a\%b`, "absent", "A"}), "A"))
		require.Empty(t, readTexts(t, db, `SELECT s FROM t WHERE `+d.In("s"), d.Texts(nil)))
		require.Equal(t, []string{"-9223372036854775808", "2", "9223372036854775807"},
			readTexts(t, db, `SELECT CAST(k.value AS text) FROM `+d.Each("k")+` WHERE k.value <> ? ORDER BY k.value`, d.Ints([]int64{2, 3, 1<<63 - 1, -1 << 63}), 3))
		require.Empty(t, readTexts(t, db, `SELECT s FROM t WHERE `+d.In("length(s)"), d.Ints(nil)))
		require.Equal(t, []string{"?", "2 1"}, readTexts(t, db, `SELECT '?' -- why ?
			UNION ALL SELECT CAST(?2 AS text) || ' ' || CAST(?1 AS text) ORDER BY 1 DESC`, "1", "2")[0:2])
	})
}

func TestConstraintsAreRecognised(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		execSQL(t, db, `CREATE TABLE a (id bigint PRIMARY KEY)`)
		execSQL(t, db, `CREATE TABLE b (a bigint NOT NULL REFERENCES a (id))`)
		execSQL(t, db, `INSERT INTO a (id) VALUES (1)`)
		insert := func(query string) error {
			return db.Tx(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.ExecContext(t.Context(), query)
				return err
			})
		}
		require.True(t, sqldb.IsUnique(insert(`INSERT INTO a (id) VALUES (1)`)))
		require.True(t, sqldb.IsForeignKey(insert(`INSERT INTO b (a) VALUES (2)`)))
		require.False(t, sqldb.IsUnique(insert(`INSERT INTO b (a) VALUES (2)`)))
		require.NoError(t, insert(`INSERT INTO b (a) VALUES (1)`))
	})
}

func TestTxIsAllOrNothingOnBoth(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		execSQL(t, db, `CREATE TABLE n (i bigint)`)
		stop := errors.New("stop")
		for _, end := range []func(){func() {}, func() { panic("stop") }} {
			func() {
				defer func() { _ = recover() }()
				err := db.Tx(t.Context(), func(tx *sqldb.Tx) error {
					_, err := tx.ExecContext(t.Context(), `INSERT INTO n (i) VALUES (?)`, 1)
					require.NoError(t, err)
					end()
					return stop
				})
				require.ErrorIs(t, err, stop)
			}()
		}
		execSQL(t, db, `INSERT INTO n (i) VALUES (?)`, 5)
		require.NoError(t, db.View(t.Context(), func(tx *sqldb.Tx) error {
			var sum, after int
			require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT SUM(i) FROM n`).Scan(&sum))
			require.Equal(t, 5, sum)
			execSQL(t, db, `INSERT INTO n (i) VALUES (1)`)
			require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT SUM(i) FROM n`).Scan(&after))
			require.Equal(t, 5, after, "a view is one snapshot")
			return nil
		}))
		err := db.View(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO n (i) VALUES (1)`)
			return err
		})
		require.ErrorIs(t, err, errs.ErrUnavailable, "a view cannot write")
	})
}

func TestNewUsesTheApplicationsConnections(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, owner *sqldb.DB) {
		ctx := t.Context()
		driver, url := "sqlite", "file:"+owner.Name()+"?_pragma=busy_timeout(1000)"
		if owner.Dialect() == sqldb.Postgres {
			driver, url = "pgx", "postgres://millwright@"+owner.Name()+"?sslmode=disable&search_path="+readTexts(t, owner, `SELECT CAST(current_schema() AS text)`)[0]
		}
		pool, err := sql.Open(driver, url)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, pool.Close()) })
		pool.SetMaxOpenConns(1) // the least that works
		db, err := sqldb.New(ctx, pool, owner.Dialect(), nil)
		require.NoError(t, err)
		files := both(steps(2))
		require.ErrorIs(t, sqldb.Validate(ctx, db, "line", files), errs.ErrInvalid)
		require.NoError(t, sqldb.Migrate(ctx, db, "line", files))
		require.NoError(t, sqldb.Validate(ctx, db, "line", files))
		require.ErrorIs(t, sqldb.Validate(ctx, db, "line", both(steps(1))), errs.ErrUnsupported)
		for i := range 3 {
			execSQL(t, db, `INSERT INTO mw_t1 (a) VALUES (?)`, fmt.Sprint(i))
		}
		require.Len(t, readTexts(t, db, `SELECT CAST(a AS text) FROM mw_t1`), 5)
		require.NoError(t, db.Close())
		require.ErrorIs(t, db.View(ctx, func(*sqldb.Tx) error { return nil }), errs.ErrClosed)
		require.NoError(t, pool.PingContext(ctx), "the pool stays open")
		_, err = sqldb.New(ctx, pool, "oracle", nil)
		require.ErrorIs(t, err, errs.ErrInvalid)
	})
}
