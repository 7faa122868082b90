package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	// expectProperty is the table property that holds the expectations: they are
	// versioned with the schema, and every writer has them.
	expectProperty = "millwright.expectations"
	// maxExpectBytes bounds the property, which is in every checkpoint.
	maxExpectBytes = 256 << 10
)

// ValidationError reports rows that are not as expected. It is an ErrInvalid,
// and nothing was committed.
type ValidationError struct {
	Dataset string
	Branch  string
	Report  *profile.Report
}

// Error says what failed, with examples.
func (e *ValidationError) Error() string {
	return fmt.Sprintf("%d of %d expectations fail: %s: invalid", len(e.Report.Failures()), len(e.Report.Results), e.Report)
}

// Is reports that a ValidationError is an ErrInvalid.
func (e *ValidationError) Is(target error) bool { return target == ErrInvalid }

// gate holds the rows that a commit brings against expectations. A nil gate lets
// everything pass.
type gate struct {
	b       *Branch
	tip     *snapshot
	checker *profile.Checker
	whole   bool // Something depends on the rows that are there already.
}

// gate prepares what the table and the call expect. stays gives the rows that
// will be beside those that come in; it is only asked when that matters.
func (b *Branch) gate(ctx context.Context, tip *snapshot, stays func() (*Version, error), opts *CommitOptions) (*gate, error) {
	list, err := tip.expectations()
	if err != nil {
		return nil, err
	}
	return b.gateOf(ctx, tip, tip.schema, append(list, opts.Expect...), stays)
}

// gateOf prepares expectations for rows of a schema.
func (b *Branch) gateOf(ctx context.Context, tip *snapshot, schema *arrow.Schema, list []profile.Expectation, stays func() (*Version, error)) (*gate, error) {
	if len(list) == 0 {
		return nil, nil
	}
	g := &gate{b: b, tip: tip}
	var rest *Version
	var err error
	check := &profile.CheckOptions{TempDir: b.dataset.catalog.tempDir, Reference: func(against string) (*profile.Table, error) { return b.reference(ctx, tip, against) }}
	for _, e := range list {
		if !e.Whole || g.whole {
			continue
		}
		g.whole = true
		if rest, err = stays(); err != nil {
			return nil, err
		}
		if rest == nil {
			continue
		}
		if check.Before, err = rest.profile(ctx); err != nil {
			return nil, fmt.Errorf("profile of the rows before: %w", err)
		}
	}
	if g.checker, err = profile.NewChecker(checkFields(schema), list, check); err != nil {
		return nil, err
	}
	if rest != nil {
		err = rest.known(ctx, g.checker)
	}
	return g, err
}

// reference is the profile that a drift is measured from, nil when there are no
// rows.
func (b *Branch) reference(ctx context.Context, tip *snapshot, against string) (*profile.Table, error) {
	var v *Version
	var err error
	if against == "" {
		v, err = b.dataset.version(ctx, b.log, tip)
	} else {
		v, err = b.dataset.resolve(ctx, against)
	}
	if err != nil {
		return nil, err
	}
	return v.profile(ctx)
}

// known gives the checker the keys that the rows of the version have.
func (v *Version) known(ctx context.Context, c *profile.Checker) error {
	keys := c.Keys()
	if len(keys) == 0 || v.Rows == 0 {
		return nil
	}
	return v.each(ctx, keys, func(rec arrow.Record) error {
		c.Known(int(rec.NumRows()), func(column string) profile.Values {
			return valuesOf(rec.Column(rec.Schema().FieldIndices(column)[0]))
		})
		return nil
	})
}

// add checks records on their way. columns[i] is the place in the record of
// column i of the table.
func (g *gate) add(rec arrow.Record, columns []int) {
	if g != nil {
		g.checker.Add(int(rec.NumRows()), func(i int) profile.Values { return valuesOf(rec.Column(columns[i])) })
	}
}

// finish gives the verdict on the rows that were added, whose profile is t, and
// puts the report into the commit record.
func (g *gate) finish(t *profile.Table, rec *record) error {
	if g == nil {
		return nil
	}
	report, err := g.checker.Finish(t)
	if err != nil {
		return err
	}
	if !report.Passed {
		return &ValidationError{g.b.dataset.name, g.b.name, report}
	}
	rec.Validation, err = json.Marshal(report)
	return err
}

// guard lets a commit happen only on what the expectations were checked against:
// the same ones, and, for those of the whole version, the same rows.
func (g *gate) guard(ch *change, plan planFunc) planFunc {
	if g == nil {
		return plan
	}
	return func(ctx context.Context, tip *snapshot) (*change, error) {
		switch {
		case tip == nil || tip == g.tip:
		case g.whole && tip.digest() != g.tip.digest():
			return nil, g.b.conflict(ch, tip, "rows were changed that the expectations of the whole version had been checked with", nil)
		case tip.metaData.Configuration[expectProperty] != g.tip.metaData.Configuration[expectProperty]:
			return nil, g.b.conflict(ch, tip, "the expectations were changed meanwhile", nil)
		}
		return plan(ctx, tip)
	}
}

// expectations are those kept with the table.
func (s *snapshot) expectations() ([]profile.Expectation, error) {
	text := ""
	if s.metaData != nil {
		text = s.metaData.Configuration[expectProperty]
	}
	if text == "" {
		return nil, nil
	}
	var list []profile.Expectation
	err := json.Unmarshal([]byte(text), &list)
	if err == nil {
		err = profile.ValidateExpectations(list)
	}
	if err != nil {
		return nil, fmt.Errorf("table property %q is damaged: %w: %w", expectProperty, err, ErrInvalid)
	}
	return list, nil
}

// encodeExpectations checks expectations for a table and writes its property.
func encodeExpectations(f *errs.Faults, schema *arrow.Schema, list []profile.Expectation) string {
	if _, err := profile.NewChecker(checkFields(schema), list, nil); err != nil {
		f.Addf("%v", err)
		return ""
	}
	text, err := json.Marshal(list)
	f.Check(err == nil && len(text) <= maxExpectBytes, "the expectations are %d bytes long, want at most %d: %v", len(text), maxExpectBytes, err)
	return string(text)
}

// SetExpectations keeps expectations with the table, in the place of those it
// had: the rows of every later Append and Overwrite are held against them, and a
// commit whose rows fail is refused with a *ValidationError. An empty list ends
// that. Rows that are there already are not looked at; see Version.Check.
//
// What a Merge or a Restore brings is held against the expectations of the branch
// that takes it, and what a Delete leaves against those of the whole version. To
// restore rows that are not as expected now, set other expectations first. What
// other engines append is not checked.
func (b *Branch) SetExpectations(ctx context.Context, list []profile.Expectation, opts *CommitOptions) (*Version, error) {
	return b.operate(ctx, "set the expectations of", opts, func(opts *CommitOptions) (*Version, error) {
		tip, done, err := b.ready(ctx, opts)
		if done != nil || err != nil {
			return done, err
		}
		m := *tip.metaData
		m.Configuration = make(map[string]string, len(tip.metaData.Configuration)+1)
		maps.Copy(m.Configuration, tip.metaData.Configuration)
		delete(m.Configuration, expectProperty)
		if len(list) > 0 {
			var f errs.Faults
			m.Configuration[expectProperty] = encodeExpectations(&f, tip.schema, list)
			if err := f.Err(b.subject("set the expectations of")); err != nil {
				return nil, err
			}
		}
		return b.commit(ctx, opts, b.fixed(tip, &change{operation: "SET TBLPROPERTIES", metaData: &m}))
	})
}

// Expectations are those kept with the version.
func (v *Version) Expectations(ctx context.Context) ([]profile.Expectation, error) {
	s, err := v.state(ctx)
	if err != nil {
		return nil, err
	}
	list, err := s.expectations()
	if err != nil {
		return nil, fmt.Errorf("dataset: expectations of %q version %d: %w", v.Dataset, v.Number, err)
	}
	return list, nil
}

// Validation is the report on the rows that the version's commit brought, nil
// when nothing was expected of them.
func (v *Version) Validation(ctx context.Context) (*profile.Report, error) {
	if v.commit == nil || v.commit.summary.Record == "" {
		return nil, nil
	}
	r, err := v.dataset.record(ctx, v.commit.summary.Record)
	var report *profile.Report
	if err == nil && len(r.Validation) > 0 {
		report, err = profile.ParseReport(r.Validation)
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: validation of %q version %d: %w", v.Dataset, v.Number, err)
	}
	return report, nil
}

// Check reads the rows of the version and holds them against expectations: those
// kept with it when list is nil. A report that failed is no error. Drift is
// measured from the version before unless the expectation names another.
func (v *Version) Check(ctx context.Context, list []profile.Expectation) (*profile.Report, error) {
	report, err := v.check(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("dataset: check %q version %d: %w", v.Dataset, v.Number, err)
	}
	return report, nil
}

func (v *Version) check(ctx context.Context, list []profile.Expectation) (*profile.Report, error) {
	full, err := v.Load(ctx)
	if err != nil {
		return nil, err
	}
	if list == nil {
		if list, err = full.snap.expectations(); err != nil {
			return nil, err
		}
	}
	c, err := profile.NewChecker(checkFields(full.schema), list, &profile.CheckOptions{
		TempDir:   full.dataset.catalog.tempDir,
		Reference: func(against string) (*profile.Table, error) { return full.referenceFor(ctx, against) },
	})
	if err != nil {
		return nil, err
	}
	var columns []string
	at := map[int]int{}
	for _, i := range c.Needs() {
		at[i] = len(columns)
		columns = append(columns, full.schema.Field(i).Name)
	}
	if len(columns) > 0 {
		err = full.each(ctx, columns, func(rec arrow.Record) error {
			c.Add(int(rec.NumRows()), func(i int) profile.Values { return valuesOf(rec.Column(at[i])) })
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	t, err := full.profile(ctx)
	if err != nil {
		return nil, err
	}
	return c.Finish(t)
}

// referenceFor is the profile that a drift of the version is measured from.
func (v *Version) referenceFor(ctx context.Context, against string) (*profile.Table, error) {
	if against == "" {
		if len(v.Parents) == 0 {
			return nil, nil
		}
		against = v.Parents[0]
	}
	before, err := v.dataset.resolve(ctx, against)
	if err != nil {
		return nil, err
	}
	return before.profile(ctx)
}

// stays shows the rows that an overwrite leaves: nil when none.
func (b *Branch) stays(ctx context.Context, tip *snapshot, kept *rewrite, opts *CommitOptions) (*Version, error) {
	if opts.Where.IsZero() {
		return nil, nil
	}
	v, err := b.untouched(ctx, tip, kept)
	if err != nil {
		return nil, err
	}
	files := v.live
	for _, a := range kept.adds {
		files = append(files, &dataFile{File: a.File, stats: a.stats, tags: a.tags, order: a.order})
	}
	return v.subset(files), nil
}
