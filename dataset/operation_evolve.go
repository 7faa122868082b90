package dataset

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/internal/delta"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Evolve gives the table another schema without touching a row. It may add
// columns that take nulls, which the rows of old then have; let a column take
// nulls; widen int8 to int16 or int32 and int16 to int32; and change the order
// of the columns. The same holds inside structs, lists and maps.
//
// Everything else (dropping, renaming or narrowing a column, widening that
// readers of Delta version 1 do not know, such as int32 to int64) is refused,
// all faults at once. A schema that is the table's already returns the newest
// version.
func (b *Branch) Evolve(ctx context.Context, schema *arrow.Schema, opts *CommitOptions) (*Version, error) {
	return b.operate(ctx, "evolve the schema of", opts, func(opts *CommitOptions) (*Version, error) {
		if schema == nil {
			return nil, fmt.Errorf("the schema is nil: %w", ErrInvalid)
		}
		return b.evolve(ctx, schema, opts)
	})
}

func (b *Branch) evolve(ctx context.Context, schema *arrow.Schema, opts *CommitOptions) (*Version, error) {
	tip, done, err := b.ready(ctx, opts)
	if done != nil || err != nil {
		return done, err
	}
	var f errs.Faults
	canonical, faults := delta.SchemaString(schema)
	for _, fault := range faults {
		f.Addf("%s", fault)
	}
	evolveFields(&f, "", tip.schema.Fields(), schema.Fields())
	if err := f.Err(b.subject("evolve the schema of")); err != nil {
		return nil, err
	}
	if canonical == tip.schemaString {
		return b.dataset.version(ctx, b.log, tip)
	}
	m := *tip.metaData
	m.SchemaString = canonical
	return b.commit(ctx, opts, b.fixed(tip, &change{operation: "CHANGE SCHEMA", metaData: &m}))
}

// evolveFields checks that rows with the fields of old can be read with those of
// young.
func evolveFields(f *errs.Faults, prefix string, old, young []arrow.Field) {
	at := make(map[string]arrow.Field, len(young))
	for _, y := range young {
		at[y.Name] = y
	}
	for _, o := range old {
		y, ok := at[o.Name]
		if !ok {
			f.Addf("column %q is missing: columns cannot be dropped or renamed, because older files and versions have them", prefix+o.Name)
			continue
		}
		delete(at, o.Name)
		f.Check(y.Nullable || !o.Nullable, "column %q has taken nulls and cannot refuse them now", prefix+o.Name)
		evolveType(f, prefix+o.Name, o.Type, y.Type)
	}
	for _, y := range young {
		if _, isNew := at[y.Name]; isNew {
			f.Check(y.Nullable, "column %q is new and must take nulls, which older rows have there", prefix+y.Name)
		}
	}
}

func evolveType(f *errs.Faults, path string, old, young arrow.DataType) {
	if old.ID() != young.ID() {
		switch {
		case old.ID() == arrow.INT8 && (young.ID() == arrow.INT16 || young.ID() == arrow.INT32), old.ID() == arrow.INT16 && young.ID() == arrow.INT32:
			// One physical type in Parquet: every reader takes one for the other.
		case widens(old.ID(), young.ID()):
			f.Addf("column %q cannot grow from %s to %s: only readers of Delta version 3 know that (type widening); add a column", path, old, young)
		default:
			f.Addf("column %q is %s and cannot become %s", path, old, young)
		}
		return
	}
	switch o := old.(type) {
	case *arrow.StructType:
		evolveFields(f, path+".", o.Fields(), young.(*arrow.StructType).Fields())
	case *arrow.ListType:
		evolveElement(f, path+".element", o.ElemField(), young.(*arrow.ListType).ElemField())
	case *arrow.MapType:
		y := young.(*arrow.MapType)
		evolveType(f, path+".key", o.KeyType(), y.KeyType())
		evolveElement(f, path+".value", o.ItemField(), y.ItemField())
	default:
		f.Check(arrow.TypeEqual(old, young), "column %q is %s and cannot become %s", path, old, young)
	}
}

func evolveElement(f *errs.Faults, path string, old, young arrow.Field) {
	f.Check(young.Nullable || !old.Nullable, "%q has taken nulls and cannot refuse them now", path)
	evolveType(f, path, old.Type, young.Type)
}

// widens tells whether every value of one type is one of the other.
func widens(from, to arrow.Type) bool {
	integer := map[arrow.Type]int{arrow.INT8: 1, arrow.INT16: 2, arrow.INT32: 3, arrow.INT64: 4}
	switch {
	case integer[from] > 0 && integer[to] > integer[from]:
		return true
	case from == arrow.FLOAT32 && to == arrow.FLOAT64:
		return true
	}
	return integer[from] > 0 && integer[from] < 4 && to == arrow.FLOAT64
}
