package sqlstore

import (
	"context"
	"fmt"
	"strconv"

	"github.com/millwright-ml/millwright/internal/sqldb"
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
func searchedTraces(sourceRun int64) *searched {
	from := "(SELECT m.value FROM mw_trace_metadata m WHERE m.trace = e.id AND m.key = " + strconv.FormatInt(sourceRun, 10) + ")"
	return &searched{
		from: "mw_trace e",
		attrs: map[string]column{
			"request_id":        {expr: "e.trace_id"},
			"client_request_id": {expr: "NULLIF(e.client_request_id, '')", nullable: true},
			"status":            {expr: "e.state"},
			"experiment_id":     {expr: "e.experiment_id", number: true},
			"timestamp_ms":      {expr: "e.start_ms", number: true},
			"execution_time_ms": {expr: "e.duration_ms", number: true, nullable: true},
			"end_time_ms":       {expr: "(e.start_ms + COALESCE(e.duration_ms, 0))", number: true},
			"run_id":            {expr: from, nullable: true}, // in an order; see traceCondition
		},
		pairs: map[search.Entity]pairs{
			search.Tag:      {table: "mw_trace_tag", owner: "trace", interned: true, head: true},
			search.Metadata: {table: "mw_trace_metadata", owner: "trace", interned: true, head: true},
		},
		special: func(d sqldb.Dialect, c *search.Clause, id string) (fragment, bool) {
			return traceCondition(d, c, id, sourceRun)
		},
		ties: []orderColumn{{expr: "e.start_ms", desc: true, kind: intValue}, {expr: "e.trace_id", kind: textValue}},
	}
}

// traceCondition compiles the clauses about what belongs to a trace.
func traceCondition(d sqldb.Dialect, c *search.Clause, id string, sourceRun int64) (fragment, bool) {
	var s statement
	switch {
	case c.Entity == search.Attribute && c.Key == "run_id":
		linked := textCondition(d, "p.run", c, false)
		source := textCondition(d, "m.value", c, false)
		s.write("(EXISTS (SELECT 1 FROM mw_trace_run p WHERE p.trace = " + id + " AND ").add(linked)
		s.write(") OR EXISTS (SELECT 1 FROM mw_trace_metadata m WHERE m.trace = "+id+" AND m.key = ? AND ", sourceRun).add(source)
		s.write("))")
	case c.Entity == search.Issue:
		s.write("EXISTS (SELECT 1 FROM mw_assessment p WHERE p.trace = "+id+" AND p.kind = ? AND ", string(tracking.IssueRef))
		s.add(textCondition(d, "p.name", c, false)).write(")")
	case c.Entity == search.Feedback || c.Entity == search.Expectation:
		kind := tracking.Feedback
		if c.Entity == search.Expectation {
			kind = tracking.Expectation
		}
		if c.Op == search.IsNull {
			s.write("NOT ")
		}
		s.write("EXISTS (SELECT 1 FROM mw_assessment p WHERE p.trace = "+id+" AND p.kind = ? AND p.name = ? AND p.valid = 1", string(kind), c.Key)
		switch {
		case c.Op == search.IsNull || c.Op == search.IsNotNull:
		case c.Numeric:
			s.write(" AND p.value_number "+string(c.Op)+" ?", c.Number)
		default:
			s.write(" AND ").add(textCondition(d, "p.value_text", c, false))
		}
		s.write(")")
	default:
		return fragment{}, false
	}
	return fragment{s.text.String(), s.args}, true
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
	sum := querySum(traceSearch, listPart(q.Experiments), q.Filter, listPart(q.OrderBy))
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
		l.groups = inExperiments(s.dialect, rows)
		if len(split.spans) > 0 {
			cond := spanCondition(s.dialect, split.spans)
			cond.pos = len(l.conds)
			l.conds = append(l.conds, cond)
		}
		from, err := openPlace(traceSearch, sum, q.Page.Token, l.fits)
		if err != nil || none || len(rows) == 0 {
			return err
		}
		p := tracePage{store: s, lookup: l, clauses: split, size: foundSize(q.Page)}
		entries, at, err := p.read(ctx, from)
		if err != nil {
			return err
		}
		if at != nil {
			next = sealPlace(traceSearch, sum, *at)
		}
		found, err := s.foundTraces(ctx, tx, entryIDs(entries), false)
		for _, e := range entries {
			if err == nil {
				page = append(page, *found[e.id])
			}
		}
		return err
	})
	return page, next, err
}

// tracePage reads one page.
type tracePage struct {
	store   *Store
	lookup  *lookup
	clauses traceClauses
	size    int
}

// read returns the traces of the page and the place where the next begins, nil
// when there is none.
func (p *tracePage) read(ctx context.Context, from *place) ([]entry, *place, error) {
	if len(p.clauses.rest) == 0 && !needContent(p.clauses.spans) {
		entries, err := p.lookup.page(ctx, from, p.size+1)
		if err != nil || len(entries) <= p.size {
			return entries, nil, err
		}
		return entries[:p.size], &entries[p.size-1].at, nil
	}
	var out []entry
	var bytes int64
	for looked := 0; ; {
		candidates, err := p.lookup.page(ctx, from, traceStep)
		if err != nil {
			return nil, nil, err
		}
		good, n, err := p.test(ctx, candidates)
		if err != nil {
			return nil, nil, err
		}
		for i, c := range candidates {
			if !good[c.id] {
				continue
			}
			if out = append(out, c); len(out) == p.size {
				if i == len(candidates)-1 && len(candidates) < traceStep {
					return out, nil, nil
				}
				return out, &out[len(out)-1].at, nil
			}
		}
		if len(candidates) < traceStep {
			return out, nil, nil
		}
		from = &candidates[len(candidates)-1].at
		looked, bytes = looked+len(candidates), bytes+n
		if looked >= maxTraceSteps || bytes >= maxSearched {
			return out, from, nil
		}
	}
}

// test returns those of the candidates that satisfy what the database does not
// test, and the number of bytes it read of their spans.
func (p *tracePage) test(ctx context.Context, candidates []entry) (map[int64]bool, int64, error) {
	good := make(map[int64]bool, len(candidates))
	if len(candidates) == 0 {
		return good, 0, nil
	}
	ids := entryIDs(candidates)
	for _, id := range ids {
		good[id] = true
	}
	var read int64
	if needContent(p.clauses.spans) {
		matching, n, err := p.store.tracesWithSpan(ctx, p.lookup.tx, ids, p.clauses.spans)
		if err != nil {
			return nil, n, err
		}
		good, read = matching, n
	}
	if len(p.clauses.rest) == 0 {
		return good, read, nil
	}
	found, err := p.store.foundTraces(ctx, p.lookup.tx, ids, false)
	if err != nil {
		return nil, read, err
	}
	links, err := p.store.traceLinks(ctx, p.lookup.tx, ids)
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
