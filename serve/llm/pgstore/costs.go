package pgstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/serve/llm"
)

var _ llm.CostStore = (*Store)(nil)

// AddCosts implements llm.CostStore. A commit without an answer is looked up, so
// that nothing is counted twice.
func (s *Store) AddCosts(ctx context.Context, lines []llm.CostLine) error {
	lines = slices.Clone(lines)
	// Replicas that add at once lock in one order.
	slices.SortFunc(lines, func(a, b llm.CostLine) int {
		return strings.Compare(a.Day+"\x00"+a.Tenant+"\x00"+a.Model, b.Day+"\x00"+b.Tenant+"\x00"+b.Model)
	})
	var days, tenants, models []string
	numbers := make([][]int64, 6)
	for i := range lines {
		l := &lines[i]
		days, tenants, models = append(days, l.Day), append(tenants, l.Tenant), append(models, l.Model)
		for k, v := range [...]int64{l.Requests, l.Errors, l.Input, l.Cached, l.Output, int64(l.Cost)} {
			numbers[k] = append(numbers[k], v)
		}
	}
	d := sqldb.Postgres
	args := []any{d.Texts(days), d.Texts(tenants), d.Texts(models)}
	for _, list := range numbers {
		args = append(args, d.Ints(list))
	}
	err := s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO mw_llm_cost AS c (day, tenant, model, requests, errors, input, cached, output, cost)
			SELECT CAST(n.day AS date), n.tenant, n.model, n.requests, n.errors, n.input, n.cached, n.output, n.cost
			FROM unnest(CAST(? AS text[]), CAST(? AS text[]), CAST(? AS text[]), CAST(? AS bigint[]), CAST(? AS bigint[]), CAST(? AS bigint[]), CAST(? AS bigint[]), CAST(? AS bigint[]), CAST(? AS bigint[]))
				AS n (day, tenant, model, requests, errors, input, cached, output, cost)
			ON CONFLICT (day, tenant, model) DO UPDATE SET
				requests = c.requests + excluded.requests, errors = c.errors + excluded.errors, input = c.input + excluded.input,
				cached = c.cached + excluded.cached, output = c.output + excluded.output, cost = c.cost + excluded.cost`, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("llm/pgstore: add costs: %w", err)
	}
	return nil
}

// Costs implements llm.CostStore.
func (s *Store) Costs(ctx context.Context, from, to string, limit int) ([]llm.CostLine, error) {
	var list []llm.CostLine
	err := s.db.View(ctx, func(tx *sqldb.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `
			SELECT CAST(day AS text), tenant, model, requests, errors, input, cached, output, cost FROM mw_llm_cost
			WHERE day BETWEEN CAST(CAST(? AS text) AS date) AND CAST(CAST(? AS text) AS date) ORDER BY day, tenant, model LIMIT ?`, from, to, limit)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // It was read to its end.
		for rows.Next() {
			var l llm.CostLine
			if err := rows.Scan(&l.Day, &l.Tenant, &l.Model, &l.Requests, &l.Errors, &l.Input, &l.Cached, &l.Output, (*int64)(&l.Cost)); err != nil {
				return err
			}
			list = append(list, l)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("llm/pgstore: costs: %w", err)
	}
	return list, nil
}
