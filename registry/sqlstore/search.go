package sqlstore

import (
	"context"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/tracking/search"
)

// The kinds of searches, the first byte of their tokens.
const (
	modelSearch   byte = 'm'
	versionSearch byte = 'v'
)

// Sizes of pages: what a caller gets who names none, the most, and the bytes
// after which no more are read.
const (
	defaultFound = 100
	maxFound     = 1000
	maxPageBytes = 16 << 20
)

// atOnce is how many entries are read by the next statement, when have of them
// held so many bytes: few while their size is not known.
func atOnce(have, bytes, few int) int {
	const (
		many = 250
		goal = 2 << 20
	)
	if have == 0 {
		return few
	}
	return max(1, min(many, goal/(bytes/have+1)))
}

// query is a search of either kind.
type query struct {
	kind    byte
	grammar *search.Grammar
	schema  func(ordered bool) *sqlsearch.Schema
	base    []sqlsearch.Fragment
	model   string // expression of the model's id

	name    string
	view    registry.View
	filter  string
	orderBy []string
	page    registry.Page
	few     int // to begin with: a version may have thousands of files
}

// SearchModels implements registry.Store.
func (s *Store) SearchModels(ctx context.Context, q registry.ModelQuery) ([]registry.Model, string, error) {
	read := s.foundModels
	if q.Latest {
		read = s.latestModels
	}
	return find(ctx, s, query{
		kind: modelSearch, grammar: search.RegisteredModels(), schema: searchedModels,
		few: 100, model: "e.id", name: q.Name, view: q.View, filter: q.Filter, orderBy: q.OrderBy, page: q.Page,
	}, read)
}

// SearchVersions implements registry.Store.
func (s *Store) SearchVersions(ctx context.Context, q registry.VersionQuery) ([]*registry.Version, string, error) {
	read, few := s.foundVersions, 25
	if q.Brief {
		read, few = s.briefVersions, 100
	}
	return find(ctx, s, query{
		kind: versionSearch, grammar: search.ModelVersions(), schema: searchedVersions,
		base: []sqlsearch.Fragment{sqlsearch.Frag("e.gone = 0")},
		few:  few, model: "e.model_id", name: q.Name, view: q.View, filter: q.Filter, orderBy: q.OrderBy, page: q.Page,
	}, read)
}

func searchedModels(bool) *sqlsearch.Schema {
	return &sqlsearch.Schema{
		From: "mw_reg_models e",
		Attrs: map[string]sqlsearch.Column{
			"name":                   {Expr: "e.name", Indexed: true},
			"creation_timestamp":     {Expr: "e.created_us", Number: true},
			"last_updated_timestamp": {Expr: "e.updated_us", Number: true},
		},
		Pairs:   map[search.Entity]sqlsearch.Pairs{search.Tag: {Table: "mw_reg_model_tags", Owner: "model_id", Head: true}},
		Special: promptCondition("mw_reg_model_tags", "model_id"),
		Ties:    []sqlsearch.OrderColumn{{Expr: "e.name", Kind: sqlsearch.TextValue}},
	}
}

// searchedVersions describes versions. Without an order of the caller's they
// come by their update.
func searchedVersions(ordered bool) *sqlsearch.Schema {
	ties := []sqlsearch.OrderColumn{
		{Expr: "e.updated_us", Desc: true, Kind: sqlsearch.IntValue},
		{Expr: "e.name", Kind: sqlsearch.TextValue}, {Expr: "e.number", Desc: true, Kind: sqlsearch.IntValue},
	}
	if ordered {
		ties = ties[1:]
	}
	return &sqlsearch.Schema{
		From: "mw_reg_versions e", Narrow: "mw_reg_versions_narrow",
		Parent: &sqlsearch.Parent{Table: "mw_reg_models", Owner: "model_id", Attr: "name", Name: "name", Size: "latest", Newest: "updated_us"},
		Attrs: map[string]sqlsearch.Column{
			"name":                   {Expr: "e.name", Indexed: true},
			"version_number":         {Expr: "e.number", Number: true},
			"run_id":                 {Expr: "e.run", Indexed: true},
			"source_path":            {Expr: "e.source"},
			"creation_timestamp":     {Expr: "e.created_us", Number: true},
			"last_updated_timestamp": {Expr: "e.updated_us", Number: true},
		},
		Pairs:   map[search.Entity]sqlsearch.Pairs{search.Tag: {Table: "mw_reg_version_tags", Owner: "version_id", Head: true}},
		Special: promptCondition("mw_reg_version_tags", "version_id"),
		Ties:    ties,
	}
}

func speaksOfPrompts(c *search.Clause) bool {
	return c.Entity == search.Tag && c.Key == registry.PromptTag
}

// promptCondition compiles the clauses about prompts, in which an absent tag is
// "false".
func promptCondition(table, owner string) func(sqldb.Dialect, *search.Clause, string) (sqlsearch.Fragment, bool) {
	return func(d sqldb.Dialect, c *search.Clause, id string) (sqlsearch.Fragment, bool) {
		if !speaksOfPrompts(c) || c.Op == search.IsNull || c.Op == search.IsNotNull {
			return sqlsearch.Fragment{}, false
		}
		value := "COALESCE((SELECT p.value FROM " + table + " p WHERE p." + owner + " = " + id + " AND p.key = '" + registry.PromptTag + "'), 'false')"
		return sqlsearch.TextCondition(d, value, c, false), true
	}
}

func inView(v registry.View) []sqlsearch.Fragment {
	switch v {
	case registry.DeletedOnly:
		return []sqlsearch.Fragment{sqlsearch.Frag("e.deleted_us IS NOT NULL")}
	case registry.All:
		return nil
	}
	// Every other view is ActiveOnly, as for View.Includes.
	return []sqlsearch.Fragment{sqlsearch.Frag("e.deleted_us IS NULL")}
}

// find answers a search; read reads what was found, and tells its size.
func find[T any](ctx context.Context, s *Store, q query, read func(context.Context, *sqldb.Tx, []sqlsearch.Entry) ([]T, int, error)) (page []T, next string, err error) {
	clauses, err := q.grammar.Filter(q.filter)
	if err != nil {
		return nil, "", err
	}
	orders, err := q.grammar.Order(q.orderBy)
	if err != nil {
		return nil, "", err
	}
	size := defaultFound
	if q.page.Max > 0 {
		size = min(q.page.Max, maxFound)
	}
	sum := sqlsearch.QuerySum(q.kind, q.name, string(q.view), q.filter, sqlsearch.ListPart(q.orderBy))
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		page, next = nil, ""
		l, none, from, err := q.lookup(ctx, tx, clauses, orders, sum)
		if err != nil || none {
			return err
		}
		entries, err := l.Page(ctx, from, size+1)
		if err != nil {
			return err
		}
		for held := 0; len(page) < min(size, len(entries)) && held < maxPageBytes; {
			part, n, err := read(ctx, tx, entries[len(page):min(len(page)+atOnce(len(page), held, q.few), size, len(entries))])
			if err != nil {
				return err
			}
			page, held = append(page, part...), held+n
		}
		if len(page) < len(entries) {
			next = sqlsearch.Seal(q.kind, sum, entries[len(page)-1].At)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// lookup compiles the query and reads its token. none is true when it selects
// nothing, whatever there is.
func (q *query) lookup(ctx context.Context, tx *sqldb.Tx, clauses []search.Clause, orders []search.Order, sum [8]byte) (l *sqlsearch.Lookup, none bool, from *sqlsearch.Place, err error) {
	schema := q.schema(len(orders) > 0)
	l, none = sqlsearch.New(tx, schema, nil, clauses, orders)
	l.Base = append(inView(q.view), q.base...)
	prompts := q.name != ""
	for i := range clauses {
		prompts = prompts || speaksOfPrompts(&clauses[i])
	}
	if q.name != "" {
		l.Base = append(l.Base, sqlsearch.Frag("e.name = ?", q.name))
	}
	if !prompts {
		l.Base = append(l.Base, sqlsearch.Frag("e.prompt = 0"))
	}
	if from, err = sqlsearch.Open(q.kind, sum, q.page.Token, l.Fits); err == nil {
		err = narrow(ctx, tx, l, clauses, q.model)
	}
	return l, none, from, err
}
