package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

// Sizes of pages: what a caller gets who names none, and the most.
const (
	defaultFound = 100
	maxFound     = 1000
	// maxEntriesOnPage bounds the params, tags, metrics and inputs of a page
	// of runs together, beyond the first.
	maxEntriesOnPage = 50_000
)

// The kinds of searches, the first byte of their tokens.
const (
	experimentSearch byte = 'E'
	runSearch        byte = 'R'
	modelSearch      byte = 'M'
	traceSearch      byte = 'T'
)

func searchedRuns() *sqlsearch.Schema {
	return &sqlsearch.Schema{
		From: "mw_run e",
		Attrs: map[string]sqlsearch.Column{
			"run_id":       {Expr: "e.run_id"},
			"run_name":     {Expr: "e.name"},
			"user_id":      {Expr: "e.user_id"},
			"status":       {Expr: "e.status"},
			"artifact_uri": {Expr: "e.artifact_uri"},
			"start_time":   {Expr: "e.start_ms", Number: true},
			"end_time":     {Expr: "e.end_ms", Number: true, Nullable: true},
		},
		Pairs: map[search.Entity]sqlsearch.Pairs{
			search.Metric: {Table: "mw_latest", Owner: "run", Interned: true, Metric: true},
			search.Param:  {Table: "mw_param", Owner: "run", Interned: true, Head: true},
			search.Tag:    {Table: "mw_tag", Owner: "run", Interned: true, Head: true},
		},
		Special: datasetCondition,
		Ties:    []sqlsearch.OrderColumn{{Expr: "e.start_ms", Desc: true, Kind: sqlsearch.IntValue}, {Expr: "e.run_id", Kind: sqlsearch.TextValue}},
	}
}

// datasetCondition holds when one input of the run satisfies the clause.
func datasetCondition(d sqldb.Dialect, c *search.Clause, id string) (sqlsearch.Fragment, bool) {
	if c.Entity != search.Dataset {
		return sqlsearch.Fragment{}, false
	}
	expr := map[string]string{"name": "d.name", "digest": "d.digest", "context": "NULLIF(p.context, '')"}[c.Key]
	cond := sqlsearch.TextCondition(d, expr, c, false)
	text := "EXISTS (SELECT 1 FROM mw_input p JOIN mw_dataset d ON d.id = p.dataset WHERE p.run = " + id + " AND " + cond.Text + ")"
	return sqlsearch.Frag(text, cond.Args...), true
}

// SearchRuns implements tracking.Store.
func (s *Store) SearchRuns(ctx context.Context, q tracking.RunQuery) ([]tracking.RunInfo, string, error) {
	page, next, err := s.searchRuns(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("tracking/sqlstore: search runs: %w", err)
	}
	return page, next, nil
}

func (s *Store) searchRuns(ctx context.Context, q tracking.RunQuery) (page []tracking.RunInfo, next string, err error) {
	grammar := search.Runs()
	clauses, err := grammar.Filter(q.Filter)
	if err != nil {
		return nil, "", err
	}
	orders, err := grammar.Order(q.OrderBy)
	if err != nil {
		return nil, "", err
	}
	rows := experimentRows(q.Experiments)
	sum := sqlsearch.QuerySum(runSearch, sqlsearch.ListPart(q.Experiments), string(q.View), q.Filter, sqlsearch.ListPart(q.OrderBy))
	if err := s.foldExperiments(ctx, rows); err != nil {
		return nil, "", err
	}
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		page, next = nil, ""
		l, none, err := s.newLookup(ctx, tx, searchedRuns(), clauses, orders)
		if err != nil {
			return err
		}
		l.Groups = inExperiments(s.dialect, rows)
		l.Base = inView(q.View)
		from, err := sqlsearch.Open(runSearch, sum, q.Page.Token, l.Fits)
		if err != nil || none || len(rows) == 0 {
			return err
		}
		size := foundSize(q.Page)
		entries, err := l.Page(ctx, from, size+1)
		if err != nil {
			return err
		}
		found, err := s.foundRuns(ctx, tx, entries[:min(size, len(entries))])
		if err != nil {
			return err
		}
		for _, f := range found {
			page = append(page, f.info)
		}
		if len(found) < len(entries) {
			next = sqlsearch.Seal(runSearch, sum, entries[len(found)-1].At)
		}
		return nil
	})
	return page, next, err
}

// foundRuns reads the runs of a page, or fewer when they hold much.
func (s *Store) foundRuns(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry) ([]foundRun, error) {
	byID := make(map[int64]foundRun, len(entries))
	err := eachRow(ctx, tx, `SELECT `+runColumns+` FROM mw_run r WHERE `+s.dialect.In("r.id"), []any{s.dialect.Ints(sqlsearch.IDs(entries))}, func(rows *sql.Rows) error {
		f, err := scanRun(rows.Scan)
		byID[f.row] = f
		return err
	})
	if err != nil {
		return nil, err
	}
	found := make([]foundRun, 0, len(entries))
	held := 0
	for _, e := range entries {
		f := byID[e.ID]
		if held += f.entries; held > maxEntriesOnPage && len(found) > 0 {
			break
		}
		found = append(found, f)
	}
	return found, s.readContents(ctx, tx, found, false)
}

func foundSize(p tracking.Page) int {
	if p.Max <= 0 {
		return defaultFound
	}
	return min(p.Max, maxFound)
}

// newLookup compiles a filter and an order. none is true when the filter
// selects nothing, whatever there is.
func (s *Store) newLookup(ctx context.Context, tx *sqldb.Tx, kind *sqlsearch.Schema, clauses []search.Clause, orders []search.Order) (l *sqlsearch.Lookup, none bool, err error) {
	keys, err := s.findKeys(ctx, tx, kind.UsedKeys(clauses, orders))
	if err != nil {
		return nil, false, err
	}
	l, none = sqlsearch.New(tx, kind, keys, clauses, orders)
	return l, none, nil
}

// experimentRows are the row ids that the ids can mean, each once.
func experimentRows(ids []tracking.ExperimentID) []int64 {
	var rows []int64
	for _, id := range ids {
		if row := parseExperimentID(id); row != unknownExperiment {
			rows = append(rows, row)
		}
	}
	slices.Sort(rows)
	return slices.Compact(rows)
}

// inExperiments selects by experiment, one group for each while they are few.
func inExperiments(d sqldb.Dialect, rows []int64) []sqlsearch.Fragment {
	if len(rows) > sqlsearch.MaxGroups {
		return []sqlsearch.Fragment{sqlsearch.Frag(d.In("e.experiment_id"), d.Ints(rows))}
	}
	groups := make([]sqlsearch.Fragment, len(rows))
	for i, row := range rows {
		groups[i] = sqlsearch.Frag("e.experiment_id = ?", row)
	}
	return groups
}

func inView(v tracking.View) []sqlsearch.Fragment {
	switch v {
	case tracking.ActiveOnly:
		return []sqlsearch.Fragment{sqlsearch.Frag("e.deleted_ms IS NULL")}
	case tracking.DeletedOnly:
		return []sqlsearch.Fragment{sqlsearch.Frag("e.deleted_ms IS NOT NULL")}
	case tracking.All:
		return nil
	}
	return []sqlsearch.Fragment{sqlsearch.Frag("1 = 0")} // no view of ours
}
