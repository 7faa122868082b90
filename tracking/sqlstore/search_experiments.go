package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

func searchedExperiments() *searched {
	return &searched{
		from: "mw_experiment e",
		attrs: map[string]column{
			"name":             {expr: "e.name"},
			"experiment_id":    {expr: "e.id", number: true}, // in an order; see special
			"creation_time":    {expr: "e.created_ms", number: true},
			"last_update_time": {expr: "e.updated_ms", number: true},
		},
		pairs: map[search.Entity]pairs{
			search.Tag: {table: "mw_experiment_tag", owner: "experiment"},
		},
		special: experimentIDCondition,
		ties:    []orderColumn{{expr: "e.created_ms", desc: true, kind: intValue}, {expr: "e.id", kind: intValue}},
	}
}

// experimentIDCondition compares the id, which is a number in the database and
// a text in a filter.
func experimentIDCondition(d sqldb.Dialect, c *search.Clause, _ string) (fragment, bool) {
	if c.Entity != search.Attribute || c.Key != "experiment_id" {
		return fragment{}, false
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
	cond := frag(d.In("e.id"), d.Ints(rows))
	if c.Op == search.NotEqual || c.Op == search.NotIn {
		cond.text = "NOT (" + cond.text + ")"
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
	sum := querySum(experimentSearch, string(q.ID), q.Name, string(q.View), q.Filter, listPart(q.OrderBy))
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		page, next = nil, ""
		l, none, err := s.newLookup(ctx, tx, searchedExperiments(), clauses, orders)
		if err != nil {
			return err
		}
		l.base = inView(q.View)
		if q.ID != "" {
			l.base = append(l.base, frag("e.id = ?", parseExperimentID(q.ID)))
		}
		if q.Name != "" {
			l.base = append(l.base, frag("e.name = ?", q.Name))
		}
		from, err := openPlace(experimentSearch, sum, q.Page.Token, l.fits)
		if err != nil || none {
			return err
		}
		size := foundSize(q.Page)
		entries, err := l.page(ctx, from, size+1)
		if err != nil {
			return err
		}
		if len(entries) > size {
			entries = entries[:size]
			next = sealPlace(experimentSearch, sum, entries[size-1].at)
		}
		page, err = s.foundExperiments(ctx, tx, entries)
		return err
	})
	return page, next, err
}

// foundExperiments reads the experiments of a page.
func (s *Store) foundExperiments(ctx context.Context, tx *sqldb.Tx, entries []entry) ([]tracking.Experiment, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	args := []any{s.dialect.Ints(entryIDs(entries))}
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
		out[i] = *byID[e.id]
	}
	return out, nil
}
