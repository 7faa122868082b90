package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// maxSampled bounds the points of one run in a sample, for a metric with very
// many points at one step.
const maxSampled = 25_000

// SampleHistory implements tracking.Sampler. A run has at most 25,000 points
// in the answer, the first ones, where many have one step.
func (s *Store) SampleHistory(ctx context.Context, q tracking.SampleQuery) ([][]tracking.Metric, error) {
	out, err := s.sampleHistory(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("tracking/sqlstore: sample history of %q: %w", q.Key, err)
	}
	return out, nil
}

func (s *Store) sampleHistory(ctx context.Context, q tracking.SampleQuery) (out [][]tracking.Metric, err error) {
	rows := make([]int64, len(q.Runs)) // 0 where there is no such run
	for i, id := range q.Runs {
		rows[i], err = s.foldBefore(ctx, id)
		if err != nil && !errors.Is(err, tracking.ErrNotFound) {
			return nil, err
		}
	}
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		p := sampler{tx: tx, q: q, out: make([][]tracking.Metric, len(q.Runs))}
		err := p.sample(ctx, rows)
		out = p.out
		return err
	})
	return out, err
}

// sampler answers one query. It reads the directory of the blocks first, finds
// out which steps it wants, and then reads only the blocks that may have them.
type sampler struct {
	tx  *sqldb.Tx
	q   tracking.SampleQuery
	key int64
	out [][]tracking.Metric

	points []point // of one block
}

// sampleBlock is a row of the directory.
type sampleBlock struct {
	first point
	steps stepRange
}

func (p *sampler) sample(ctx context.Context, rows []int64) error {
	err := p.tx.QueryRowContext(ctx, `SELECT id FROM mw_key WHERE key = ?`, p.q.Key).Scan(&p.key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	directory := make([][]sampleBlock, len(rows))
	var ranges []stepRange
	for i, row := range rows {
		if row == 0 {
			continue
		}
		if directory[i], err = p.blocks(ctx, row); err != nil {
			return err
		}
		for j := range directory[i] {
			r := directory[i][j].steps
			if r.stride == 0 {
				r.load = p.loader(row, directory[i][j].first)
			}
			ranges = append(ranges, r)
		}
	}
	wanted, err := evenSteps(ctx, joinRanges(ranges), p.q.Max)
	if err != nil {
		return err
	}
	for i, row := range rows {
		if p.out[i], err = p.run(ctx, row, directory[i], wanted); err != nil {
			return err
		}
	}
	return nil
}

// blocks reads the directory of one run, those of the blocks that have steps
// within the bounds.
func (p *sampler) blocks(ctx context.Context, row int64) ([]sampleBlock, error) {
	var out []sampleBlock
	err := eachRow(ctx, p.tx, `
		SELECT ts_ms, step, value, is_nan, min_step, max_step, stride FROM mw_metric_block
		WHERE run = ? AND key = ? ORDER BY ts_ms, step, value, is_nan`, []any{row, p.key}, func(rows *sql.Rows) error {
		var b sampleBlock
		err := rows.Scan(&b.first.tsMS, &b.first.step, &b.first.value, &b.first.isNaN, &b.steps.first, &b.steps.last, &b.steps.stride)
		if err == nil && b.steps.clip(p.q.From, p.q.To) {
			out = append(out, b)
		}
		return err
	})
	return out, err
}

// loader reads the steps of a block that are no series.
func (p *sampler) loader(row int64, first point) func(context.Context) ([]int64, error) {
	return func(ctx context.Context) ([]int64, error) {
		if err := p.load(ctx, row, first); err != nil {
			return nil, err
		}
		return distinctSteps(p.points, p.q.From, p.q.To), nil
	}
}

// load reads one block into p.points.
func (p *sampler) load(ctx context.Context, row int64, first point) error {
	return eachRow(ctx, p.tx, `
		SELECT data FROM mw_metric_block WHERE run = ? AND key = ? AND ts_ms = ? AND step = ? AND value = ? AND is_nan = ?`,
		[]any{row, p.key, first.tsMS, first.step, first.value, first.isNaN}, func(rows *sql.Rows) error {
			var data sql.RawBytes
			err := rows.Scan(&data)
			if err == nil {
				p.points, err = decodeBlock(p.points[:0], data)
			}
			return err
		})
}

// run collects the points of one run at the wanted steps and at its own ends.
func (p *sampler) run(ctx context.Context, row int64, blocks []sampleBlock, wanted []int64) ([]tracking.Metric, error) {
	first, last, ok, err := p.ends(ctx, row, blocks)
	if err != nil || !ok {
		return nil, err
	}
	wanted = slices.Clone(wanted)
	wanted = append(wanted, first, last)
	slices.Sort(wanted)
	var out []tracking.Metric
	for i := range blocks {
		if !blocks[i].steps.mayHave(wanted) {
			continue
		}
		if err := p.load(ctx, row, blocks[i].first); err != nil {
			return nil, err
		}
		for _, point := range p.points {
			if _, found := slices.BinarySearch(wanted, point.step); found && p.within(point.step) {
				if len(out) == maxSampled {
					return out, nil
				}
				out = append(out, point.metric(p.q.Key))
			}
		}
	}
	return out, nil
}

func (p *sampler) within(step int64) bool {
	return (p.q.From == nil || step >= *p.q.From) && (p.q.To == nil || step <= *p.q.To)
}

// ends returns the first and the last step of a run within the bounds.
func (p *sampler) ends(ctx context.Context, row int64, blocks []sampleBlock) (first, last int64, ok bool, err error) {
	add := func(low, high int64) {
		if !ok {
			first, last, ok = low, high, true
		}
		first, last = min(first, low), max(last, high)
	}
	for i := range blocks {
		r := &blocks[i].steps
		if r.stride != 0 || p.within(r.first) && p.within(r.last) {
			add(r.first, r.last)
			continue
		}
		list, err := p.loader(row, blocks[i].first)(ctx)
		if err != nil {
			return 0, 0, false, err
		}
		if len(list) > 0 {
			add(list[0], list[len(list)-1])
		}
	}
	return first, last, ok, nil
}

// mayHave reports whether the range may have one of the sorted steps.
func (r *stepRange) mayHave(steps []int64) bool {
	at, _ := slices.BinarySearch(steps, r.first)
	for _, step := range steps[at:] {
		if step > r.last {
			return false
		}
		if r.stride == 0 || (uint64(step)-uint64(r.first))%uint64(r.stride) == 0 {
			return true
		}
	}
	return false
}

// mulDiv is ⌊a·b/c⌋ for a < c.
func mulDiv(a, b, c uint64) uint64 {
	high, low := bits.Mul64(a, b)
	q, _ := bits.Div64(high, low, c)
	return q
}
