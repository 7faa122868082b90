package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

// needContent reports whether clauses about a span are to be tested by this
// program.
func needContent(clauses []search.Clause) bool {
	return slices.ContainsFunc(clauses, func(c search.Clause) bool { return !spanInDatabase(&c) })
}

func spanInDatabase(c *search.Clause) bool {
	return c.Entity == search.Span && c.Op != search.RLike
}

// spanStatus is how MLflow names the status of a span in a filter.
const spanStatus = "CASE p.status WHEN 'STATE_UNSPECIFIED' THEN 'UNSET' ELSE p.status END"

var spanColumns = map[string]string{"name": "p.name", "type": "p.type", "status": spanStatus, "content": "p.content"}

// spanTerms are the conditions on one span p that the database can test, and
// conditions that must hold where it cannot.
func spanTerms(d sqldb.Dialect, clauses []search.Clause) sqlsearch.Fragment {
	var s sqlsearch.Statement
	for i := range clauses {
		c := &clauses[i]
		switch {
		case spanInDatabase(c):
			s.Write(" AND ").Add(sqlsearch.TextCondition(d, spanColumns[c.Key], c, false))
		case c.Entity == search.SpanAttribute && plainKey(c.Key):
			like, arg := d.Like("p.content", `%"`+strings.NewReplacer(`%`, `\%`, `_`, `\_`).Replace(c.Key)+`"%`)
			s.Write(" AND "+like, arg)
		}
	}
	return s.Fragment()
}

// plainKey reports whether JSON can only write the key as it is.
func plainKey(key string) bool {
	for _, c := range []byte(key) {
		if c < ' ' || c > '~' || strings.IndexByte("\"\\/<>&'", c) >= 0 {
			return false
		}
	}
	return true
}

// spanCondition holds for traces with a span that satisfies all clauses, as
// far as the database can tell.
func spanCondition(d sqldb.Dialect, clauses []search.Clause) sqlsearch.Condition {
	terms := spanTerms(d, clauses)
	out := sqlsearch.Condition{On: func(id string) sqlsearch.Fragment {
		return sqlsearch.Frag("EXISTS (SELECT 1 FROM mw_span p WHERE p.trace = "+id+terms.Text+")", terms.Args...)
	}}
	for i := range clauses {
		if c := &clauses[i]; c.Entity == search.Span && c.Key == "name" && (c.Op == search.Equal || c.Op == search.In) {
			by := sqlsearch.TextCondition(d, "p.name", c, true)
			out.Rows = sqlsearch.Frag("SELECT DISTINCT p.trace AS id FROM mw_span p WHERE "+by.Text+terms.Text, append(slices.Clone(by.Args), terms.Args...)...)
		}
	}
	return out
}

// tracesWithSpan returns those of the traces that have a span which satisfies
// all clauses. It reads the spans one by one, since each may be large.
func (s *Store) tracesWithSpan(ctx context.Context, tx *sqldb.Tx, ids []int64, clauses []search.Clause) (map[int64]bool, int64, error) {
	terms := spanTerms(s.dialect, clauses)
	query := "SELECT p.trace, p.name, p.type, " + spanStatus + ", p.content FROM mw_span p WHERE " + s.dialect.In("p.trace") + terms.Text
	rows, err := tx.QueryBuilt(ctx, query, append([]any{s.dialect.Ints(ids)}, terms.Args...)...)
	if err != nil {
		return nil, 0, err
	}
	found := map[int64]bool{}
	var read int64
	return found, read, drainRows(rows, func(rows *sql.Rows) error {
		var id int64
		var name, kind, status, content sql.RawBytes
		if err := rows.Scan(&id, &name, &kind, &status, &content); err != nil {
			return err
		}
		read += int64(len(content))
		if found[id] {
			return nil
		}
		columns := map[string]sql.RawBytes{"name": name, "type": kind, "status": status, "content": content}
		for i := range clauses {
			c := &clauses[i]
			text, exists := string(columns[c.Key]), true
			if c.Entity == search.SpanAttribute {
				text, exists = search.SpanText(content, c.Key)
			}
			if !exists || !c.MatchText(text) {
				return nil
			}
		}
		found[id] = true
		return nil
	})
}

// traceLinks returns the runs that traces are linked to, by row id.
func (s *Store) traceLinks(ctx context.Context, tx *sqldb.Tx, ids []int64) (map[int64][]string, error) {
	links := map[int64][]string{}
	query := `SELECT trace, run FROM mw_trace_run WHERE ` + s.dialect.In("trace")
	return links, eachRow(ctx, tx, query, []any{s.dialect.Ints(ids)}, func(rows *sql.Rows) error {
		var id int64
		var run string
		err := rows.Scan(&id, &run)
		links[id] = append(links[id], run)
		return err
	})
}

// matchTrace tests a clause on a trace without its spans.
func matchTrace(c *search.Clause, t *tracking.Trace, runs []string) bool {
	pair := func(pairs map[string]string) bool {
		text, exists := pairs[c.Key]
		return exists && c.MatchText(text)
	}
	switch c.Entity {
	case search.Tag:
		return pair(t.Tags)
	case search.Metadata:
		return pair(t.Metadata)
	case search.Feedback:
		return matchAssessments(c, t.Assessments, tracking.Feedback)
	case search.Expectation:
		return matchAssessments(c, t.Assessments, tracking.Expectation)
	}
	switch c.Key {
	case "request_id":
		return c.MatchText(string(t.ID))
	case "client_request_id":
		return t.ClientRequestID != "" && c.MatchText(t.ClientRequestID)
	case "status":
		return c.MatchText(string(t.State))
	case "prompt":
		return search.PromptLinked(t.Tags[search.TracePromptTag], c.Text)
	case "run_id":
		source, exists := t.Metadata[sourceRunKey]
		return exists && c.MatchText(source) || slices.ContainsFunc(runs, c.MatchText)
	}
	return false
}

func matchAssessments(c *search.Clause, list []tracking.Assessment, kind tracking.AssessmentKind) bool {
	return slices.ContainsFunc(list, func(a tracking.Assessment) bool {
		return a.Kind == kind && a.Name == c.Key && a.Valid && len(a.Value) > 0 && c.MatchAssessment(json.RawMessage(a.Value))
	})
}
