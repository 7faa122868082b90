package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
)

// maxStatements bounds the prepared statements of one connection. Texts beyond
// it run without; there are far fewer constant ones in the program. maxBuilt is
// how many of those that were built for one call are kept for the next: searches
// come in few shapes. longBuilt is the length of one that is not worth it.
const (
	maxStatements = 500
	maxBuilt      = 64
	longBuilt     = 8 << 10
)

// session is one SQLite connection with its prepared statements: parsing a
// short statement takes longer than running it.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // nil: prepare nothing
	built map[string]*sql.Stmt
}

// prepared returns the statement of a constant text, nil when it is not kept.
func (s *session) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s.stmts == nil {
		return nil, nil
	}
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	if len(s.stmts) >= maxStatements {
		return nil, nil
	}
	text := query
	if strings.HasPrefix(strings.TrimLeft(query, " \t\n"), "SELECT") || strings.HasPrefix(query, "WITH") {
		text = steady.Replace(query)
	}
	stmt, err := s.conn.PrepareContext(ctx, text)
	if err == nil {
		s.stmts[query] = stmt
	}
	return stmt, err
}

// steady keeps SQLite from choosing the plan of a SELECT by the values of its
// parameters (limits, patterns, and in a database with statistics those that an
// index is searched for), since then it compiles the statement again each time:
// a plus before a parameter changes nothing, but hides it.
var steady = strings.NewReplacer("LIMIT ?", "LIMIT +?", "GLOB ?", "GLOB +?", "= ?", "= +?", "< ?", "< +?", "> ?", "> +?")

// preparedBuilt is prepared for a text that was built for one call.
func (s *session) preparedBuilt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s.stmts == nil || len(query) > longBuilt {
		return nil, nil
	}
	if stmt, ok := s.built[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, steady.Replace(query))
	if err != nil {
		return nil, err
	}
	if s.built == nil {
		s.built = map[string]*sql.Stmt{}
	}
	s.built[query] = stmt
	return stmt, nil
}

// forget gives up the built statements when they have become too many. It is
// for the end of a transaction, when none of them runs.
func (s *session) forget() {
	if len(s.built) <= maxBuilt {
		return
	}
	for _, stmt := range s.built {
		_ = stmt.Close() // only fails with the connection
	}
	clear(s.built)
}

func (s *session) exec(ctx context.Context, query string) error {
	stmt, err := s.prepared(ctx, query) //nolint:sqlclosecheck // the session keeps it
	switch {
	case err != nil:
		return err
	case stmt != nil:
		_, err = stmt.ExecContext(ctx)
	default:
		_, err = s.conn.ExecContext(ctx, query)
	}
	return err
}

// close gives the connection up. A broken one leaves its pool, too.
func (s *session) close(broken bool) {
	for _, stmts := range []map[string]*sql.Stmt{s.stmts, s.built} {
		for _, stmt := range stmts {
			_ = stmt.Close() // only fails with the connection
		}
	}
	if broken {
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = s.conn.Close()
}

// sessions hands out the connections of a pool, at most cap(free) at once. Of
// a pool that this package opened it keeps them; from the application's own
// pool it borrows each for one transaction.
type sessions struct {
	pool *sql.DB
	keep bool
	free chan *session // nil: to be opened
}

func newSessions(pool *sql.DB, size int, keep bool) *sessions {
	s := &sessions{pool: pool, keep: keep, free: make(chan *session, size)}
	for range size {
		s.free <- nil
	}
	return s
}

func (p *sessions) acquire(ctx context.Context) (*session, error) {
	var s *session
	select {
	case s = <-p.free:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s != nil {
		return s, nil
	}
	conn, err := p.pool.Conn(ctx)
	if err != nil {
		p.free <- nil
		return nil, err
	}
	s = &session{conn: conn}
	if p.keep {
		s.stmts = map[string]*sql.Stmt{}
	}
	return s, nil
}

func (p *sessions) release(s *session, broken bool) {
	if broken || !p.keep {
		s.close(broken)
		s = nil
	} else {
		s.forget()
	}
	p.free <- s
}

// close waits for the sessions in use and ends all.
func (p *sessions) close() {
	for range cap(p.free) {
		if s := <-p.free; s != nil {
			s.close(false)
		}
	}
}
