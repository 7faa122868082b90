package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/millwright-ml/millwright/internal/sqldb"
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

func searchedRuns() *searched {
	return &searched{
		from: "mw_run e",
		attrs: map[string]column{
			"run_id":       {expr: "e.run_id"},
			"run_name":     {expr: "e.name"},
			"user_id":      {expr: "e.user_id"},
			"status":       {expr: "e.status"},
			"artifact_uri": {expr: "e.artifact_uri"},
			"start_time":   {expr: "e.start_ms", number: true},
			"end_time":     {expr: "e.end_ms", number: true, nullable: true},
		},
		pairs: map[search.Entity]pairs{
			search.Metric: {table: "mw_latest", owner: "run", interned: true, metric: true},
			search.Param:  {table: "mw_param", owner: "run", interned: true, head: true},
			search.Tag:    {table: "mw_tag", owner: "run", interned: true, head: true},
		},
		special: datasetCondition,
		ties:    []orderColumn{{expr: "e.start_ms", desc: true, kind: intValue}, {expr: "e.run_id", kind: textValue}},
	}
}

// datasetCondition holds when one input of the run satisfies the clause.
func datasetCondition(d sqldb.Dialect, c *search.Clause, id string) (fragment, bool) {
	if c.Entity != search.Dataset {
		return fragment{}, false
	}
	expr := map[string]string{"name": "d.name", "digest": "d.digest", "context": "NULLIF(p.context, '')"}[c.Key]
	cond := textCondition(d, expr, c, false)
	return fragment{
		"EXISTS (SELECT 1 FROM mw_input p JOIN mw_dataset d ON d.id = p.dataset WHERE p.run = " + id + " AND " + cond.text + ")",
		cond.args,
	}, true
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
	sum := querySum(runSearch, listPart(q.Experiments), string(q.View), q.Filter, listPart(q.OrderBy))
	if err := s.foldExperiments(ctx, rows); err != nil {
		return nil, "", err
	}
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		page, next = nil, ""
		l, none, err := s.newLookup(ctx, tx, searchedRuns(), clauses, orders)
		if err != nil {
			return err
		}
		l.groups = inExperiments(s.dialect, rows)
		l.base = inView(q.View)
		from, err := openPlace(runSearch, sum, q.Page.Token, l.fits)
		if err != nil || none || len(rows) == 0 {
			return err
		}
		size := foundSize(q.Page)
		entries, err := l.page(ctx, from, size+1)
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
			next = sealPlace(runSearch, sum, entries[len(found)-1].at)
		}
		return nil
	})
	return page, next, err
}

// foundRuns reads the runs of a page, or fewer when they hold much.
func (s *Store) foundRuns(ctx context.Context, tx *sqldb.Tx, entries []entry) ([]foundRun, error) {
	byID := make(map[int64]foundRun, len(entries))
	err := eachRow(ctx, tx, `SELECT `+runColumns+` FROM mw_run r WHERE `+s.dialect.In("r.id"), []any{s.dialect.Ints(entryIDs(entries))}, func(rows *sql.Rows) error {
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
		f := byID[e.id]
		if held += f.entries; held > maxEntriesOnPage && len(found) > 0 {
			break
		}
		found = append(found, f)
	}
	return found, s.readContents(ctx, tx, found, false)
}

func entryIDs(entries []entry) []int64 {
	ids := make([]int64, len(entries))
	for i, e := range entries {
		ids[i] = e.id
	}
	return ids
}

func foundSize(p tracking.Page) int {
	if p.Max <= 0 {
		return defaultFound
	}
	return min(p.Max, maxFound)
}

// newLookup compiles a filter and an order. none is true when the filter
// selects nothing, whatever there is.
func (s *Store) newLookup(ctx context.Context, tx *sqldb.Tx, kind *searched, clauses []search.Clause, orders []search.Order) (l *lookup, none bool, err error) {
	keys, err := s.findKeys(ctx, tx, kind.usedKeys(clauses, orders))
	if err != nil {
		return nil, false, err
	}
	c := &compiler{dialect: s.dialect, kind: kind, keys: keys}
	l = &lookup{tx: tx, dialect: s.dialect, kind: kind, keys: c.orderKeys(orders)}
	for i := range clauses {
		cond := c.clause(&clauses[i])
		cond.pos = i
		none = none || isNever(cond)
		l.conds = append(l.conds, cond)
	}
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
func inExperiments(d sqldb.Dialect, rows []int64) []fragment {
	if len(rows) > maxGroups {
		return []fragment{frag(d.In("e.experiment_id"), d.Ints(rows))}
	}
	groups := make([]fragment, len(rows))
	for i, row := range rows {
		groups[i] = frag("e.experiment_id = ?", row)
	}
	return groups
}

func inView(v tracking.View) []fragment {
	switch v {
	case tracking.ActiveOnly:
		return []fragment{frag("e.deleted_ms IS NULL")}
	case tracking.DeletedOnly:
		return []fragment{frag("e.deleted_ms IS NOT NULL")}
	case tracking.All:
		return nil
	}
	return []fragment{frag("1 = 0")} // no view of ours
}
