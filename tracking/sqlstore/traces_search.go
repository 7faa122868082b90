package sqlstore

import (
	"context"
	"fmt"
	"strconv"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

// Limits of one page of a search with clauses that no index and no operator of
// the database knows: it ends early, with a token, rather than late.
const (
	traceStep     = 200     // traces looked at between two looks at the limits
	maxTraceSteps = 10_000  // traces looked at
	maxSearched   = 1 << 28 // bytes of spans looked at
)

// sourceRunKey is the metadata in which MLflow keeps the run a trace came
// from.
const sourceRunKey = "mlflow.sourceRun"

// traceClauses are the clauses of a filter by how they are tested.
type traceClauses struct {
	direct []search.Clause // each by the database alone
	spans  []search.Clause // all on one span
	rest   []search.Clause // by this program, on the trace
}

func splitTraceClauses(clauses []search.Clause) traceClauses {
	var out traceClauses
	for _, c := range clauses {
		switch {
		case c.Entity == search.Span || c.Entity == search.SpanAttribute:
			out.spans = append(out.spans, c)
		case c.Op == search.RLike || c.Entity == search.Attribute && c.Key == "prompt":
			out.rest = append(out.rest, c)
		default:
			out.direct = append(out.direct, c)
		}
	}
	return out
}

// searchedTraces describes traces. sourceRun is the id of the key
// sourceRunKey, 0 when it was never used.
func searchedTraces(sourceRun int64) *sqlsearch.Schema {
	from := "(SELECT m.value FROM mw_trace_metadata m WHERE m.trace = e.id AND m.key = " + strconv.FormatInt(sourceRun, 10) + ")"
	return &sqlsearch.Schema{
		From: "mw_trace e",
		Attrs: map[string]sqlsearch.Column{
			"request_id":        {Expr: "e.trace_id"},
			"client_request_id": {Expr: "NULLIF(e.client_request_id, '')", Nullable: true},
			"status":            {Expr: "e.state"},
			"experiment_id":     {Expr: "e.experiment_id", Number: true},
			"timestamp_ms":      {Expr: "e.start_ms", Number: true},
			"execution_time_ms": {Expr: "e.duration_ms", Number: true, Nullable: true},
			"end_time_ms":       {Expr: "(e.start_ms + COALESCE(e.duration_ms, 0))", Number: true},
			"run_id":            {Expr: from, Nullable: true}, // in an order; see traceCondition
		},
		Pairs: map[search.Entity]sqlsearch.Pairs{
			search.Tag:      {Table: "mw_trace_tag", Owner: "trace", Interned: true, Head: true},
			search.Metadata: {Table: "mw_trace_metadata", Owner: "trace", Interned: true, Head: true},
		},
		Special: func(d sqldb.Dialect, c *search.Clause, id string) (sqlsearch.Fragment, bool) {
			return traceCondition(d, c, id, sourceRun)
		},
		Ties: []sqlsearch.OrderColumn{{Expr: "e.start_ms", Desc: true, Kind: sqlsearch.IntValue}, {Expr: "e.trace_id", Kind: sqlsearch.TextValue}},
	}
}

// traceCondition compiles the clauses about what belongs to a trace.
func traceCondition(d sqldb.Dialect, c *search.Clause, id string, sourceRun int64) (sqlsearch.Fragment, bool) {
	var s sqlsearch.Statement
	switch {
	case c.Entity == search.Attribute && c.Key == "run_id":
		linked := sqlsearch.TextCondition(d, "p.run", c, false)
		source := sqlsearch.TextCondition(d, "m.value", c, false)
		s.Write("(EXISTS (SELECT 1 FROM mw_trace_run p WHERE p.trace = " + id + " AND ").Add(linked)
		s.Write(") OR EXISTS (SELECT 1 FROM mw_trace_metadata m WHERE m.trace = "+id+" AND m.key = ? AND ", sourceRun).Add(source)
		s.Write("))")
	case c.Entity == search.Issue:
		s.Write("EXISTS (SELECT 1 FROM mw_assessment p WHERE p.trace = "+id+" AND p.kind = ? AND ", string(tracking.IssueRef))
		s.Add(sqlsearch.TextCondition(d, "p.name", c, false)).Write(")")
	case c.Entity == search.Feedback || c.Entity == search.Expectation:
		kind := tracking.Feedback
		if c.Entity == search.Expectation {
			kind = tracking.Expectation
		}
		if c.Op == search.IsNull {
			s.Write("NOT ")
		}
		s.Write("EXISTS (SELECT 1 FROM mw_assessment p WHERE p.trace = "+id+" AND p.kind = ? AND p.name = ? AND p.valid = 1", string(kind), c.Key)
		switch {
		case c.Op == search.IsNull || c.Op == search.IsNotNull:
		case c.Numeric:
			s.Write(" AND p.value_number "+string(c.Op)+" ?", c.Number)
		default:
			s.Write(" AND ").Add(sqlsearch.TextCondition(d, "p.value_text", c, false))
		}
		s.Write(")")
	default:
		return sqlsearch.Fragment{}, false
	}
	return s.Fragment(), true
}

// SearchTraces implements tracking.TraceStore.
func (s *Store) SearchTraces(ctx context.Context, q tracking.TraceQuery) ([]tracking.Trace, string, error) {
	page, next, err := s.searchTraces(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("tracking/sqlstore: search traces: %w", err)
	}
	return page, next, nil
}

func (s *Store) searchTraces(ctx context.Context, q tracking.TraceQuery) (page []tracking.Trace, next string, err error) {
	grammar := search.Traces()
	clauses, err := grammar.Filter(q.Filter)
	if err != nil {
		return nil, "", err
	}
	orders, err := grammar.Order(q.OrderBy)
	if err != nil {
		return nil, "", err
	}
	split := splitTraceClauses(clauses)
	rows := experimentRows(q.Experiments)
	sum := sqlsearch.QuerySum(traceSearch, sqlsearch.ListPart(q.Experiments), q.Filter, sqlsearch.ListPart(q.OrderBy))
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		page, next = nil, ""
		keys, err := s.findKeys(ctx, tx, []string{sourceRunKey})
		if err != nil {
			return err
		}
		l, none, err := s.newLookup(ctx, tx, searchedTraces(keys[sourceRunKey]), split.direct, orders)
		if err != nil {
			return err
		}
		l.Groups = inExperiments(s.dialect, rows)
		if len(split.spans) > 0 {
			l.And(spanCondition(s.dialect, split.spans))
		}
		from, err := sqlsearch.Open(traceSearch, sum, q.Page.Token, l.Fits)
		if err != nil || none || len(rows) == 0 {
			return err
		}
		p := tracePage{store: s, lookup: l, clauses: split, size: foundSize(q.Page)}
		entries, at, err := p.read(ctx, from)
		if err != nil {
			return err
		}
		if at != nil {
			next = sqlsearch.Seal(traceSearch, sum, *at)
		}
		found, err := s.foundTraces(ctx, tx, sqlsearch.IDs(entries), false)
		for _, e := range entries {
			if err == nil {
				page = append(page, *found[e.ID])
			}
		}
		return err
	})
	return page, next, err
}

// tracePage reads one page.
type tracePage struct {
	store   *Store
	lookup  *sqlsearch.Lookup
	clauses traceClauses
	size    int
}

// read returns the traces of the page and the place where the next begins, nil
// when there is none.
func (p *tracePage) read(ctx context.Context, from *sqlsearch.Place) ([]sqlsearch.Entry, *sqlsearch.Place, error) {
	if len(p.clauses.rest) == 0 && !needContent(p.clauses.spans) {
		entries, err := p.lookup.Page(ctx, from, p.size+1)
		if err != nil || len(entries) <= p.size {
			return entries, nil, err
		}
		return entries[:p.size], &entries[p.size-1].At, nil
	}
	var out []sqlsearch.Entry
	var bytes int64
	for looked := 0; ; {
		candidates, err := p.lookup.Page(ctx, from, traceStep)
		if err != nil {
			return nil, nil, err
		}
		good, n, err := p.test(ctx, candidates)
		if err != nil {
			return nil, nil, err
		}
		for i, c := range candidates {
			if !good[c.ID] {
				continue
			}
			if out = append(out, c); len(out) == p.size {
				if i == len(candidates)-1 && len(candidates) < traceStep {
					return out, nil, nil
				}
				return out, &out[len(out)-1].At, nil
			}
		}
		if len(candidates) < traceStep {
			return out, nil, nil
		}
		from = &candidates[len(candidates)-1].At
		looked, bytes = looked+len(candidates), bytes+n
		if looked >= maxTraceSteps || bytes >= maxSearched {
			return out, from, nil
		}
	}
}

// test returns those of the candidates that satisfy what the database does not
// test, and the number of bytes it read of their spans.
func (p *tracePage) test(ctx context.Context, candidates []sqlsearch.Entry) (map[int64]bool, int64, error) {
	good := make(map[int64]bool, len(candidates))
	if len(candidates) == 0 {
		return good, 0, nil
	}
	ids := sqlsearch.IDs(candidates)
	for _, id := range ids {
		good[id] = true
	}
	var read int64
	if needContent(p.clauses.spans) {
		matching, n, err := p.store.tracesWithSpan(ctx, p.lookup.Tx, ids, p.clauses.spans)
		if err != nil {
			return nil, n, err
		}
		good, read = matching, n
	}
	if len(p.clauses.rest) == 0 {
		return good, read, nil
	}
	found, err := p.store.foundTraces(ctx, p.lookup.Tx, ids, false)
	if err != nil {
		return nil, read, err
	}
	links, err := p.store.traceLinks(ctx, p.lookup.Tx, ids)
	if err != nil {
		return nil, read, err
	}
	for id, t := range found {
		for i := range p.clauses.rest {
			good[id] = good[id] && matchTrace(&p.clauses.rest[i], t, links[id])
		}
	}
	return good, read, nil
}
