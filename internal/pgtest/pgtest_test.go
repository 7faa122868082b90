package pgtest_test

import (
	"database/sql"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/pgtest"
)

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestEveryURLIsAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	for range 2 {
		db := open(t, pgtest.URL(t))
		_, err := db.ExecContext(t.Context(), `CREATE TABLE t (a int)`)
		require.NoError(t, err)
		var encoding, collation string
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT current_setting('server_encoding'), datcollate FROM pg_database WHERE datname = current_database()`).Scan(&encoding, &collation))
		require.Equal(t, "UTF8 C", encoding+" "+collation)
	}
}

func TestEverySchemaIsEmpty(t *testing.T) {
	t.Parallel()
	for range 2 {
		_, err := open(t, pgtest.SchemaURL(t)).ExecContext(t.Context(), `CREATE TABLE t (a int)`)
		require.NoError(t, err)
	}
}

func TestServerStopsAndComesBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, &pgtest.Options{Settings: map[string]string{"max_connections": "7"}})
	db := open(t, server.URL(t))
	_, err := db.ExecContext(t.Context(), `CREATE TABLE t (a int)`)
	require.NoError(t, err)
	for _, fault := range []func(testing.TB){server.Restart, func(t testing.TB) { server.Kill(t); server.Start(t) }} {
		_, err := db.ExecContext(t.Context(), `INSERT INTO t VALUES (1)`)
		require.NoError(t, err)
		fault(t)
		db.SetMaxIdleConns(0) // drop what is broken
		db.SetMaxIdleConns(2)
	}
	var n int
	var limit string
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*), current_setting('max_connections') FROM t`).Scan(&n, &limit))
	require.Equal(t, 2, n)
	require.Equal(t, "7", limit)
	server.Stop(t)
	require.Error(t, db.PingContext(t.Context()))
}
