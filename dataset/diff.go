package dataset

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
)

// ChangeKind says what happened to a column or a row.
type ChangeKind string

// The kinds of change, seen from the older version.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
)

// DiffOptions say how two versions are compared.
type DiffOptions struct {
	// Key names the columns that tell rows apart: booleans, integers, texts,
	// binaries, dates, timestamps or decimals. A row whose key is in both
	// versions, with other values, is Changed. The default is no key: the whole
	// row is compared, and rows are only Added or Removed.
	Key []string
	// Columns are the names that rows are compared by and delivered with; those
	// of the key come along in any case. The default is all columns of both
	// versions.
	Columns []string
	// BatchRows is how many rows a record has at most. The default is 4096.
	BatchRows int
	// Memory is how many bytes of rows are held to sort them. More goes to
	// temporary files. The default is 256 MiB, the least 8 MiB.
	Memory int64
	// TempDir is where the temporary files go, as they are: not encrypted. The
	// default is the system's folder for them.
	TempDir string
}

const (
	defaultSortMemory = 256 << 20
	leastSortMemory   = 8 << 20
	defaultDiffRows   = 4096
)

func (o *DiffOptions) withDefaults() DiffOptions {
	var out DiffOptions
	if o != nil {
		out = *o
	}
	if out.BatchRows == 0 {
		out.BatchRows = defaultDiffRows
	}
	if out.Memory == 0 {
		out.Memory = defaultSortMemory
	}
	return out
}

// Diff is how one version differs from another. It is a plain value.
type Diff struct {
	// From and To are the versions that were compared.
	From, To *Version
	// Columns are the columns that changed: those of To in its order, then those
	// that it lost.
	Columns []ColumnChange
	// Properties are the table properties that changed, by name: those of Create,
	// and the expectations.
	Properties []PropertyChange
	// Added and Removed are the files that only To or only From has, by their
	// content.
	Added, Removed []File
	// Shared are the files, and SharedRows the rows of them, that both have.
	// They are not read.
	Shared     int
	SharedRows int64

	opts           DiffOptions
	removed, added []*dataFile
	schema         *arrow.Schema // Of the rows that are compared.
	faults         []string      // Why rows cannot be compared.
}

// ColumnChange is what happened to one column. Before is nil for one that was
// Added, After for one that was Removed.
type ColumnChange struct {
	Name          string
	Kind          ChangeKind
	Before, After *arrow.Field
}

// PropertyChange is what happened to one table property. Before is "" for one
// that was Added, After for one that was Removed.
type PropertyChange struct {
	Name          string
	Kind          ChangeKind
	Before, After string
}

// ColumnStatistics are the summaries of a column in both versions. One is nil
// when the version does not have the column, or no summary of it.
type ColumnStatistics struct {
	Name          string
	Before, After *profile.Column
}

// Diff compares two versions by their schemas, properties and files; rows and
// statistics are fetched when they are asked for. The versions may be of any
// branch, and of another dataset too.
func (d *Dataset) Diff(ctx context.Context, from, to *Version, opts *DiffOptions) (*Diff, error) {
	if from == nil || to == nil {
		return nil, fmt.Errorf("dataset: diff of %q: a version is nil: %w", d.name, ErrInvalid)
	}
	from, err := from.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("dataset: diff of %q: %w", d.name, err)
	}
	if to, err = to.Load(ctx); err != nil {
		return nil, fmt.Errorf("dataset: diff of %q: %w", d.name, err)
	}
	o := opts.withDefaults()
	out := &Diff{From: from, To: to, opts: o, Columns: columnChanges(from.Schema(), to.Schema())}
	subject := out.subject()
	var f errs.Faults
	f.Check(o.BatchRows > 0, "batch rows are %d, want at least 1", o.BatchRows)
	f.Check(o.Memory >= leastSortMemory, "memory is %d bytes, want at least %d", o.Memory, leastSortMemory)
	out.Properties = propertyChanges(from.snap.metaData.Configuration, to.snap.metaData.Configuration)
	out.schema, out.faults = unionSchema(from.Schema(), to.Schema())
	for _, name := range slices.Concat(o.Key, o.Columns) {
		f.Check(len(out.schema.FieldIndices(name)) == 1, "there is no column %q", name)
	}
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	if len(o.Columns) > 0 {
		out.schema = only(out.schema, slices.Concat(o.Key, o.Columns))
	}
	before, after := from.snap.files, to.snap.files
	var shared []*dataFile
	out.removed, out.added, shared = splitFiles(before, after)
	out.Removed, out.Added, out.Shared = shownFiles(out.removed), shownFiles(out.added), len(shared)
	for _, file := range shared {
		out.SharedRows += file.Rows
	}
	return out, nil
}

func (d *Diff) subject() string {
	return fmt.Sprintf("dataset: diff of %s and %s", refOf(d.From), refOf(d.To))
}

// Empty tells whether both versions have the same columns, properties and files.
func (d *Diff) Empty() bool {
	return len(d.Columns) == 0 && len(d.Properties) == 0 && len(d.Added) == 0 && len(d.Removed) == 0
}

// Statistics gives the summaries of the columns of both versions, side by side;
// no row is read. ErrUnsupported when a version has no profile.
func (d *Diff) Statistics(ctx context.Context) ([]ColumnStatistics, error) {
	var before, after *profile.Table
	err := parallel(ctx, 2, func(ctx context.Context, i int) (err error) {
		if i == 0 {
			before, err = d.From.Profile(ctx)
		} else {
			after, err = d.To.Profile(ctx)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: statistics: %w", d.subject(), err)
	}
	union, _ := unionSchema(d.From.Schema(), d.To.Schema())
	var out []ColumnStatistics
	for _, f := range union.Fields() {
		s := ColumnStatistics{f.Name, before.Column(f.Name), after.Column(f.Name)}
		if s.Before != nil || s.After != nil {
			out = append(out, s)
		}
	}
	return out, nil
}

// columnChanges compares two schemas by the names of their columns.
func columnChanges(from, to *arrow.Schema) []ColumnChange {
	var out []ColumnChange
	for _, after := range to.Fields() {
		before, ok := field(from, after.Name)
		switch {
		case !ok:
			out = append(out, ColumnChange{Name: after.Name, Kind: Added, After: &after})
		case before.Nullable != after.Nullable || !arrow.TypeEqual(before.Type, after.Type):
			out = append(out, ColumnChange{Name: after.Name, Kind: Changed, Before: &before, After: &after})
		}
	}
	for _, before := range from.Fields() {
		if _, ok := field(to, before.Name); !ok {
			out = append(out, ColumnChange{Name: before.Name, Kind: Removed, Before: &before})
		}
	}
	return out
}

func propertyChanges(from, to map[string]string) []PropertyChange {
	var out []PropertyChange
	for _, name := range slices.Sorted(maps.Keys(joinedKeys(from, to))) {
		before, had := from[name]
		after, has := to[name]
		switch {
		case !had:
			out = append(out, PropertyChange{name, Added, "", after})
		case !has:
			out = append(out, PropertyChange{name, Removed, before, ""})
		case before != after:
			out = append(out, PropertyChange{name, Changed, before, after})
		}
	}
	return out
}

func field(s *arrow.Schema, name string) (arrow.Field, bool) {
	at := s.FieldIndices(name)
	if len(at) != 1 {
		return arrow.Field{}, false
	}
	return s.Field(at[0]), true
}

// unionSchema holds the rows of all the schemas: the columns of the last one,
// then those that only the others have. faults lists the columns whose values
// cannot be compared.
func unionSchema(schemas ...*arrow.Schema) (union *arrow.Schema, faults []string) {
	var fields []arrow.Field
	at := map[string]int{}
	in := map[string]int{}
	for _, s := range slices.Backward(schemas) {
		for _, f := range s.Fields() {
			in[f.Name]++
			i, ok := at[f.Name]
			if !ok {
				at[f.Name] = len(fields)
				fields = append(fields, arrow.Field{Name: f.Name, Type: f.Type, Nullable: f.Nullable})
				continue
			}
			fields[i].Nullable = fields[i].Nullable || f.Nullable
			if t, ok := commonType(fields[i].Type, f.Type); ok {
				fields[i].Type = t
			} else {
				faults = append(faults, fmt.Sprintf("column %q is %s in one version and %s in another", f.Name, f.Type, fields[i].Type))
			}
		}
	}
	for i := range fields {
		fields[i].Nullable = fields[i].Nullable || in[fields[i].Name] < len(schemas)
	}
	return arrow.NewSchema(fields, nil), faults
}

// commonType is the one of two types that the other can grow into, as Evolve
// lets it.
func commonType(a, b arrow.DataType) (t arrow.DataType, ok bool) {
	var up, down errs.Faults
	if evolveType(&up, "", a, b); up.Err("") == nil {
		return b, true
	}
	evolveType(&down, "", b, a)
	return a, down.Err("") == nil
}

// only keeps the named columns, in the order of the schema.
func only(s *arrow.Schema, names []string) *arrow.Schema {
	var fields []arrow.Field
	for _, f := range s.Fields() {
		if slices.Contains(names, f.Name) {
			fields = append(fields, f)
		}
	}
	return arrow.NewSchema(fields, nil)
}

// splitFiles tells apart the files that only one side has, by their content.
// Content that is there several times is counted.
func splitFiles(before, after []*dataFile) (removed, added, shared []*dataFile) {
	count := make(map[string]int, len(before))
	for _, f := range before {
		count[f.content()]++
	}
	for _, f := range after {
		if count[f.content()] > 0 {
			count[f.content()]--
			shared = append(shared, f)
		} else {
			added = append(added, f)
		}
	}
	for _, f := range slices.Backward(before) {
		if count[f.content()] > 0 {
			count[f.content()]--
			removed = append(removed, f)
		}
	}
	slices.Reverse(removed)
	return removed, added, shared
}

// content names the bytes of a file: its digest, or its path where another
// writer gave it none.
func (f File) content() string {
	if f.SHA256 != "" {
		return f.SHA256
	}
	return f.Path
}

func shownFiles(files []*dataFile) []File {
	out := make([]File, len(files))
	for i, f := range files {
		out[i] = f.File
	}
	return out
}
