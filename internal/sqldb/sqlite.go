package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"

	"github.com/millwright-ml/millwright/internal/errs"
)

// busySlice is how long the engine itself waits for a lock before it answers
// BUSY. It is short so that the retry loops around it see an ended context.
const busySlice = 50 * time.Millisecond

func openSQLite(ctx context.Context, rawURL string, o Options) (*DB, error) {
	path, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if err := checkPath(path); err != nil {
		return nil, fmt.Errorf("open %q: %w", path, err)
	}
	db, err := connect(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", path, err)
	}
	return db, nil
}

// checkPath names the ordinary mistakes in words. It only stats: opening and
// closing the file here would drop the POSIX locks that another handle of this
// process holds on it.
func checkPath(path string) error {
	parent := filepath.Dir(path)
	st, err := os.Stat(parent)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %q does not exist: %w", parent, errs.ErrNotFound)
	case err != nil:
		return fmt.Errorf("the folder %q cannot be reached (%w): %w", parent, err, errs.ErrUnavailable)
	case !st.IsDir():
		return fmt.Errorf("%q is a file, not a folder: %w", parent, errs.ErrInvalid)
	}
	st, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the file cannot be reached (%w): %w", err, errs.ErrUnavailable)
	case st.IsDir():
		return fmt.Errorf("the path is a folder, name a file in it: %w", errs.ErrInvalid)
	}
	return nil
}

func connect(ctx context.Context, path string, o Options) (*DB, error) {
	syncMode := "NORMAL"
	if o.FullSync {
		syncMode = "FULL"
	}
	write, err := openPool(path, 1, []string{
		// The driver applies busy_timeout before everything else.
		"_busy_timeout=" + strconv.FormatInt(busySlice.Milliseconds(), 10),
		"_journal_mode=WAL",
		"_synchronous=" + syncMode,
		"_foreign_keys=1",
		"_pragma=cache_size(-65536)",
		// After a long reader let the log go, give its disk space back.
		"_pragma=journal_size_limit(67108864)",
		"_dqs=0",
		"_error_rc=1",
	})
	if err != nil {
		return nil, err
	}
	var mode string
	err = retryBusy(ctx, o.BusyTimeout, func() error {
		// The first statement makes the connection, and with it the switch to
		// WAL, which answers BUSY at once while others do the same.
		return write.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode)
	})
	if err == nil && mode != "wal" {
		err = fmt.Errorf("the journal mode is %q, want wal: the file system has no shared memory (a network folder?): %w", mode, errs.ErrUnsupported)
	}
	if err != nil {
		return nil, errors.Join(explain(ctx, err), write.Close())
	}
	// As many again serve DB.Read.
	read, err := openPool(path, 2*o.Readers, []string{
		"_busy_timeout=" + strconv.FormatInt(o.BusyTimeout.Milliseconds(), 10),
		"_query_only=1",
		"_foreign_keys=1",
		"_pragma=cache_size(-16384)",
		"_dqs=0",
		"_error_rc=1",
	})
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	db := &DB{dialect: SQLite, name: path, wait: o.BusyTimeout, pool: read}
	db.group = &group{db: db, writer: newSessions(write, 1, true)}
	db.readers = newSessions(read, o.Readers, true)
	// The writer goes last: the last connection to leave folds the log into
	// the file, and a reader may not.
	db.own = []*sql.DB{read, write}
	return db, nil
}

func openPool(path string, size int, params []string) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn(path, params))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errs.ErrInvalid)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	return pool, nil
}

// retryBusy calls fn until it answers something else than BUSY, the limit has
// passed or ctx ends. The pause between two calls is the engine's own wait,
// and a millisecond where the engine does not wait at all.
func retryBusy(ctx context.Context, limit time.Duration, fn func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := fn()
		if err == nil || !isBusy(err) || time.Now().After(deadline) {
			return err
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("%w while waiting for the database lock", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
