package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/registry/webhook"
)

var errDied = errors.New("the process died")

// process is one that dies at a statement: before it is sent, or after it was
// carried out, without an answer. Its connections are gone then.
type process struct {
	driver.Connector
	mu    sync.Mutex
	calls int
	dies  int // at this call, counted from 1; 0: never
	late  bool
	dead  bool
	conns []driver.Conn
}

func (p *process) Connect(ctx context.Context) (driver.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return nil, errDied
	}
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	p.conns = append(p.conns, c)
	return &mortalConn{Conn: c, p: p}, nil
}

// arm makes the process die at the n-th call from now.
func (p *process) arm(n int, late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.dies, p.late = 0, n, late
}

func (p *process) die() {
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// do makes one call, unless the process dies.
func do[T any](p *process, call func() (T, error)) (out T, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return out, errDied
	}
	p.calls++
	p.dead = p.calls == p.dies
	if p.dead && !p.late {
		p.die()
		return out, errDied
	}
	if out, err = call(); p.dead {
		if rows, ok := any(out).(driver.Rows); ok && err == nil {
			_ = rows.Close()
		}
		p.die()
		var none T
		return none, errDied
	}
	return out, err
}

type mortalConn struct {
	driver.Conn
	p *process
}

func (c *mortalConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return do(c.p, func() (driver.Result, error) { return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args) })
}

func (c *mortalConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return do(c.p, func() (driver.Rows, error) { return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args) })
}

func (c *mortalConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return do(c.p, func() (driver.Stmt, error) { return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query) })
}

func (c *mortalConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := do(c.p, func() (driver.Tx, error) { return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts) })
	if err != nil {
		return nil, err
	}
	return mortalTx{tx, c.p}, nil
}

func (c *mortalConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *mortalConn) Close() error {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.p.dead {
		return nil // it is closed
	}
	return c.Conn.Close()
}

type mortalTx struct {
	driver.Tx
	p *process
}

func (t mortalTx) Commit() error {
	_, err := do(t.p, func() (struct{}, error) { return struct{}{}, t.Tx.Commit() })
	return err
}

func (t mortalTx) Rollback() error {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if t.p.dead {
		return errDied
	}
	return t.Tx.Rollback()
}

// dsn is a data source of a driver that has no connector.
type dsn struct {
	d    driver.Driver
	name string
}

func (d dsn) Connect(context.Context) (driver.Conn, error) { return d.d.Open(d.name) }
func (d dsn) Driver() driver.Driver                        { return d.d }

// startProcess opens the database at url as a process of its own.
func startProcess(t *testing.T, url string) (*process, *sqlstore.Store) {
	t.Helper()
	p, dialect := new(process), sqlstore.SQLite
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		p.Connector = dsn{new(sqlite.Driver), "file:" + filepath.ToSlash(path) + "?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=synchronous(0)"}
	} else {
		dialect = sqlstore.Postgres
		cfg, err := pgx.ParseConfig(url)
		require.NoError(t, err)
		p.Connector = stdlib.GetConnector(*cfg)
	}
	pool := sql.OpenDB(p)
	t.Cleanup(func() { _ = pool.Close() })
	s, err := sqlstore.New(t.Context(), pool, dialect, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return p, s
}

// at is a time that every store keeps exactly.
func at(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Microsecond)
}

func digest(n int) string { return fmt.Sprintf("%064x", n) }

func version(name string, n int) *registry.Version {
	files := []registry.File{{Path: "model", Size: 1, SHA256: digest(n)}}
	return &registry.Version{
		Name: name, Created: at(n), Files: files, Digest: registry.ManifestDigest(files), Status: registry.Ready,
		Tags: map[string]string{"a": "1", "b": "2"}, Metrics: map[string]float64{"auc": 0.9}, Key: fmt.Sprintf("key-%d", n),
	}
}

// populate makes what the transactions below change.
func populate(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	ctx, yes := t.Context(), true
	// Somebody wants to be told of everything, by the same transactions.
	require.NoError(t, s.CreateWebhook(ctx, webhook.Record{
		Webhook: webhook.Webhook{ID: "w", Name: "all", URL: "https://example.com", Events: webhook.Events(), Status: webhook.Active, Created: at(0), Updated: at(0)},
	}, 10))
	for n := 1; n <= 4; n++ {
		_, err := s.CreateVersion(ctx, version("fraud", n), "")
		require.NoError(t, err)
	}
	for i, alias := range []string{"champion", "shadow"} {
		_, err := s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: alias, To: 1, Time: at(i)}, 0)
		require.NoError(t, err)
	}
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{Stage: registry.StageProduction, Time: at(1)}))
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 4, registry.VersionUpdate{Deleted: &yes, Time: at(1)}))
	_, err := s.CreateVersion(ctx, version("gone", 5), "")
	require.NoError(t, err)
	require.NoError(t, s.UpdateModel(ctx, "gone", registry.ModelUpdate{Deleted: &yes, Time: at(1)}))
	for _, l := range []struct {
		token string
		until int
	}{{"upload", 1000}, {"dead", 10}} {
		_, err = s.Lease(ctx, l.token, []string{digest(20), digest(21)}, at(l.until))
		require.NoError(t, err)
	}
	_, err = s.Condemn(ctx, "collector", []string{digest(30), digest(31)}, at(0), at(100))
	require.NoError(t, err)
}

// transactions are the writing methods, each with much to write.
var transactions = map[string]func(ctx context.Context, s *sqlstore.Store) error{
	"create model": func(ctx context.Context, s *sqlstore.Store) error {
		_, err := s.CreateModel(ctx, registry.Model{Name: "new", Tags: map[string]string{"a": "1", "b": "2"}, Created: at(50)})
		return err
	},
	"create version": func(ctx context.Context, s *sqlstore.Store) error {
		_, err := s.CreateVersion(ctx, version("fraud", 20), "upload")
		return err
	},
	"create first version": func(ctx context.Context, s *sqlstore.Store) error {
		_, err := s.CreateVersion(ctx, version("new", 20), "upload")
		return err
	},
	"update model": func(ctx context.Context, s *sqlstore.Store) error {
		text := "text"
		return s.UpdateModel(ctx, "fraud", registry.ModelUpdate{Rename: "renamed", Description: &text, SetTags: map[string]string{"a": "3", "c": "4"}, Time: at(50)})
	},
	"delete version": func(ctx context.Context, s *sqlstore.Store) error {
		yes := true
		return s.UpdateVersion(ctx, "fraud", 1, registry.VersionUpdate{Deleted: &yes, SetTags: map[string]string{"c": "4"}, DeleteTags: []string{"a"}, Time: at(50)})
	},
	"move stage": func(ctx context.Context, s *sqlstore.Store) error {
		return s.UpdateVersion(ctx, "fraud", 3, registry.VersionUpdate{Stage: registry.StageProduction, ArchiveOthers: true, Time: at(50)})
	},
	"sign": func(ctx context.Context, s *sqlstore.Store) error {
		return s.UpdateVersion(ctx, "fraud", 3, registry.VersionUpdate{Sign: &registry.Envelope{PayloadType: "p"}, Time: at(50)})
	},
	"promote": func(ctx context.Context, s *sqlstore.Store) error {
		_, err := s.Record(ctx, registry.Entry{Kind: registry.KindPromotion, Name: "fraud", Alias: "champion", To: 2, Time: at(50), Evidence: []byte(`{"gates":[]}`)}, 1)
		return err
	},
	"purge version": func(ctx context.Context, s *sqlstore.Store) error { return s.PurgeVersion(ctx, "fraud", 4, "ann") },
	"purge model":   func(ctx context.Context, s *sqlstore.Store) error { return s.PurgeModel(ctx, "gone", "ann") },
	"lease": func(ctx context.Context, s *sqlstore.Store) error {
		_, err := s.Lease(ctx, "upload", []string{digest(22), digest(23)}, at(2000))
		return err
	},
	"condemn": func(ctx context.Context, s *sqlstore.Store) error {
		_, err := s.Condemn(ctx, "other", []string{digest(1), digest(20), digest(40)}, at(200), at(300))
		return err
	},
	"clear": func(ctx context.Context, s *sqlstore.Store) error {
		return s.Cleared(ctx, "collector", []string{digest(30), digest(31)})
	},
}

// state is all that the database holds, but for numbers of rows that no one
// sees and the time of purges.
func state(t *testing.T, pool *sql.DB, s *sqlstore.Store) (out []string) {
	t.Helper()
	for _, query := range []string{
		`SELECT name, latest, updated_us, COALESCE(deleted_us, 0), description FROM mw_reg_models ORDER BY name`,
		`SELECT m.name, t.key, t.value FROM mw_reg_model_tags t JOIN mw_reg_models m ON m.id = t.model_id ORDER BY 1, 2`,
		`SELECT name, number, updated_us, COALESCE(deleted_us, 0), stage, status, COALESCE(signed, ''), manifest FROM mw_reg_versions ORDER BY name, number`,
		`SELECT v.name, v.number, t.key, t.value FROM mw_reg_version_tags t JOIN mw_reg_versions v ON v.id = t.version_id ORDER BY 1, 2, 3`,
		`SELECT v.name, v.number, f.digest FROM mw_reg_files f JOIN mw_reg_versions v ON v.id = f.version_id ORDER BY 1, 2, 3`,
		`SELECT m.name, a.alias, a.number, a.moved_us FROM mw_reg_aliases a JOIN mw_reg_models m ON m.id = a.model_id ORDER BY 1, 2`,
		`SELECT seq, kind, name, alias, from_number, to_number, made_by, reason FROM mw_reg_audit ORDER BY seq`,
		`SELECT id, seq FROM mw_reg_audit_head`,
		`SELECT name FROM mw_reg_purged ORDER BY name`,
		`SELECT token, until_us FROM mw_reg_leases ORDER BY 1`,
		`SELECT token, digest FROM mw_reg_lease_digests ORDER BY 1, 2`,
		`SELECT digest, token, until_us FROM mw_reg_condemned ORDER BY 1`,
		`SELECT webhook_id, event FROM mw_reg_outbox ORDER BY number`,
	} {
		rows, err := pool.QueryContext(t.Context(), query)
		require.NoError(t, err)
		defer rows.Close()
		names, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			row := make([]any, len(names))
			to := make([]any, len(names))
			for i := range row {
				to[i] = &row[i]
			}
			require.NoError(t, rows.Scan(to...))
			out = append(out, fmt.Sprint(query[7:20], row))
		}
		require.NoError(t, rows.Err())
	}
	_, err := registry.New(s, nil, nil).VerifyAudit(t.Context())
	require.NoError(t, err)
	return out
}

// A process dies at each statement of each transaction, before it and after
// it: all of the transaction is there, or nothing of it; all only where the
// commit was the last that it sent.
func TestDeathAtEveryStatement(t *testing.T) {
	t.Parallel()
	template := filepath.Join(t.TempDir(), "template.db")
	s, err := sqlstore.Open(t.Context(), fileURL(template), nil)
	require.NoError(t, err)
	populate(t, s)
	require.NoError(t, s.Close()) // all of it is in the one file then
	file, err := os.ReadFile(template)
	require.NoError(t, err)
	for name, work := range transactions {
		t.Run(name+"/SQLite", func(t *testing.T) {
			t.Parallel()
			testDeath(t, func() string {
				path := filepath.Join(t.TempDir(), "registry.db")
				require.NoError(t, os.WriteFile(path, file, 0o600))
				return fileURL(path)
			}, work)
		})
		if os.Getenv("REQUIRE_REAL") != "1" && name != "create version" && name != "promote" && name != "condemn" {
			continue // a schema takes its time
		}
		t.Run(name+"/Postgres", func(t *testing.T) {
			t.Parallel()
			testDeath(t, func() string {
				url := pgtest.SchemaURL(t)
				populate(t, open(t, url).Store)
				return url
			}, work)
		})
	}
}

func testDeath(t *testing.T, fresh func() string, work func(ctx context.Context, s *sqlstore.Store) error) {
	ctx := t.Context()
	watch := func(url string) (*sql.DB, *sqlstore.Store) {
		p, s := startProcess(t, url)
		pool := sql.OpenDB(p)
		t.Cleanup(func() { _ = pool.Close() })
		return pool, s
	}
	url := fresh()
	pool, s := watch(url)
	clean := state(t, pool, s)
	p, mine := startProcess(t, url)
	p.arm(0, false)
	require.NoError(t, work(ctx, mine))
	steps := p.calls
	done := state(t, pool, s)
	require.NotEqual(t, clean, done)
	require.GreaterOrEqual(t, steps, 3)

	committed := 0
	url = fresh()
	pool, s = watch(url)
	require.Equal(t, clean, state(t, pool, s))
	for step := 1; step <= steps; step++ {
		for _, late := range []bool{false, true} {
			p, mine := startProcess(t, url)
			p.arm(step, late)
			require.ErrorIs(t, work(ctx, mine), errDied, "statement %d", step)
			left := state(t, pool, s)
			if late && step == steps {
				require.Equal(t, done, left, "the commit was carried out")
				committed++
				continue
			}
			require.Equal(t, clean, left, "statement %d of %d, late %v", step, steps, late)
		}
	}
	require.Equal(t, 1, committed)
	t.Logf("%d statements", steps)
}

// Of many promotions at once that saw the same champion, over several
// connections to one database, one wins, and the others learn who.
func TestOnePromotionWins(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		ctx := t.Context()
		const many = 8
		first := registry.New(open(t, url), nil, nil)
		s := open(t, url)
		for n := 1; n <= many+1; n++ {
			_, err := s.CreateVersion(ctx, version("fraud", n), "")
			require.NoError(t, err)
		}
		_, err := first.Promote(ctx, "fraud", "champion", many+1, &registry.PromoteOptions{By: "ci"})
		require.NoError(t, err)
		var here sync.WaitGroup
		here.Add(many)
		together := registry.Gate{Name: "all are here", Check: func(context.Context, registry.Candidate) (registry.Verdict, error) {
			here.Done()
			here.Wait()
			return registry.Verdict{Pass: true}, nil
		}}
		stores := []*registry.Registry{first, registry.New(s, nil, nil)}
		errs := make([]error, many)
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				_, errs[i] = stores[i%2].Promote(ctx, "fraud", "champion", i+1, &registry.PromoteOptions{By: "ci", Gates: []registry.Gate{together}})
			})
		}
		wg.Wait()
		won, err := first.Alias(ctx, "fraud", "champion")
		require.NoError(t, err)
		for i, err := range errs {
			if i+1 == won {
				require.NoError(t, err)
				continue
			}
			conflict, ok := errors.AsType[*registry.ConflictError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, registry.ConflictError{Name: "fraud", Alias: "champion", To: i + 1, Want: many + 1, Have: won}, *conflict)
		}
		head, err := first.VerifyAudit(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 2, head.Seq)
	})
}
