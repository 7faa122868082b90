package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

func searchedExperiments() *sqlsearch.Schema {
	return &sqlsearch.Schema{
		From: "mw_experiment e",
		Attrs: map[string]sqlsearch.Column{
			"name":             {Expr: "e.name"},
			"experiment_id":    {Expr: "e.id", Number: true}, // in an order; see special
			"creation_time":    {Expr: "e.created_ms", Number: true},
			"last_update_time": {Expr: "e.updated_ms", Number: true},
		},
		Pairs: map[search.Entity]sqlsearch.Pairs{
			search.Tag: {Table: "mw_experiment_tag", Owner: "experiment"},
		},
		Special: experimentIDCondition,
		Ties:    []sqlsearch.OrderColumn{{Expr: "e.created_ms", Desc: true, Kind: sqlsearch.IntValue}, {Expr: "e.id", Kind: sqlsearch.IntValue}},
	}
}

// experimentIDCondition compares the id, which is a number in the database and
// a text in a filter.
func experimentIDCondition(d sqldb.Dialect, c *search.Clause, _ string) (sqlsearch.Fragment, bool) {
	if c.Entity != search.Attribute || c.Key != "experiment_id" {
		return sqlsearch.Fragment{}, false
	}
	list := c.List
	if c.Op == search.Equal || c.Op == search.NotEqual {
		list = []string{c.Text}
	}
	rows := make([]int64, 0, len(list))
	for _, id := range list {
		if row := parseExperimentID(tracking.ExperimentID(id)); row != unknownExperiment {
			rows = append(rows, row)
		}
	}
	cond := sqlsearch.Frag(d.In("e.id"), d.Ints(rows))
	if c.Op == search.NotEqual || c.Op == search.NotIn {
		cond.Text = "NOT (" + cond.Text + ")"
	}
	return cond, true
}

// SearchExperiments implements tracking.Store.
func (s *Store) SearchExperiments(ctx context.Context, q tracking.ExperimentQuery) ([]tracking.Experiment, string, error) {
	page, next, err := s.searchExperiments(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("tracking/sqlstore: search experiments: %w", err)
	}
	return page, next, nil
}

func (s *Store) searchExperiments(ctx context.Context, q tracking.ExperimentQuery) (page []tracking.Experiment, next string, err error) {
	grammar := search.Experiments()
	clauses, err := grammar.Filter(q.Filter)
	if err != nil {
		return nil, "", err
	}
	orders, err := grammar.Order(q.OrderBy)
	if err != nil {
		return nil, "", err
	}
	sum := sqlsearch.QuerySum(experimentSearch, string(q.ID), q.Name, string(q.View), q.Filter, sqlsearch.ListPart(q.OrderBy))
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		page, next = nil, ""
		l, none, err := s.newLookup(ctx, tx, searchedExperiments(), clauses, orders)
		if err != nil {
			return err
		}
		l.Base = inView(q.View)
		if q.ID != "" {
			l.Base = append(l.Base, sqlsearch.Frag("e.id = ?", parseExperimentID(q.ID)))
		}
		if q.Name != "" {
			l.Base = append(l.Base, sqlsearch.Frag("e.name = ?", q.Name))
		}
		from, err := sqlsearch.Open(experimentSearch, sum, q.Page.Token, l.Fits)
		if err != nil || none {
			return err
		}
		size := foundSize(q.Page)
		entries, err := l.Page(ctx, from, size+1)
		if err != nil {
			return err
		}
		if len(entries) > size {
			entries = entries[:size]
			next = sqlsearch.Seal(experimentSearch, sum, entries[size-1].At)
		}
		page, err = s.foundExperiments(ctx, tx, entries)
		return err
	})
	return page, next, err
}

// foundExperiments reads the experiments of a page.
func (s *Store) foundExperiments(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry) ([]tracking.Experiment, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	args := []any{s.dialect.Ints(sqlsearch.IDs(entries))}
	byID := make(map[int64]*tracking.Experiment, len(entries))
	query := `SELECT id, name, artifact_location, created_ms, updated_ms, deleted_ms FROM mw_experiment WHERE ` + s.dialect.In("id")
	err := eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
		var id, created, updated int64
		var deleted sql.NullInt64
		e := &tracking.Experiment{Tags: map[string]string{}}
		if err := rows.Scan(&id, &e.Name, &e.ArtifactLocation, &created, &updated, &deleted); err != nil {
			return err
		}
		e.ID, e.Created, e.Updated = formatExperimentID(id), fromMS(created), fromMS(updated)
		e.Deleted, e.DeletedAt = deleted.Valid, fromNull(deleted)
		byID[id] = e
		return nil
	})
	if err != nil {
		return nil, err
	}
	query = `SELECT experiment, key, value FROM mw_experiment_tag WHERE ` + s.dialect.In("experiment")
	err = eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
		var id int64
		var key, value string
		err := rows.Scan(&id, &key, &value)
		if err == nil {
			byID[id].Tags[key] = value
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]tracking.Experiment, len(entries))
	for i, e := range entries {
		out[i] = *byID[e.ID]
	}
	return out, nil
}
