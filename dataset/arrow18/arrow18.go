package arrow18

import (
	"context"
	"fmt"

	array15 "github.com/apache/arrow/go/v15/arrow/array"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
)

// The kinds of errors that this package adds; all others are those of package
// dataset.
var (
	ErrInvalid     = dataset.ErrInvalid
	ErrUnsupported = dataset.ErrUnsupported
)

// Create is Catalog.Create with a v18 schema.
func Create(ctx context.Context, c *dataset.Catalog, name string, schema *arrow.Schema, opts *dataset.CreateOptions) (*dataset.Dataset, error) {
	if schema == nil {
		return c.Create(ctx, name, nil, opts)
	}
	inner, err := arrowcross.Schema15(schema)
	if err != nil {
		return nil, fmt.Errorf("dataset: create %q: %w: %w", name, err, ErrUnsupported)
	}
	return c.Create(ctx, name, inner, opts)
}

// Evolve is Branch.Evolve with a v18 schema.
func Evolve(ctx context.Context, b *dataset.Branch, schema *arrow.Schema, opts *dataset.CommitOptions) (*dataset.Version, error) {
	if schema == nil {
		return b.Evolve(ctx, nil, opts)
	}
	inner, err := arrowcross.Schema15(schema)
	if err != nil {
		return nil, fmt.Errorf("dataset: evolve: %w: %w", err, ErrUnsupported)
	}
	return b.Evolve(ctx, inner, opts)
}

// Append is Branch.Append for v18 records. It does not release rr.
func Append(ctx context.Context, b *dataset.Branch, rr array.RecordReader, opts *dataset.CommitOptions) (*dataset.Version, error) {
	inner, err := reader15(rr)
	if err != nil {
		return nil, fmt.Errorf("dataset: append: %w", err)
	}
	defer inner.Release()
	return b.Append(ctx, inner, opts)
}

// Overwrite is Branch.Overwrite for v18 records. It does not release rr.
func Overwrite(ctx context.Context, b *dataset.Branch, rr array.RecordReader, opts *dataset.CommitOptions) (*dataset.Version, error) {
	inner, err := reader15(rr)
	if err != nil {
		return nil, fmt.Errorf("dataset: overwrite: %w", err)
	}
	defer inner.Release()
	return b.Overwrite(ctx, inner, opts)
}

// Schema is the schema of a version.
func Schema(v *dataset.Version) (*arrow.Schema, error) {
	if v.Schema() == nil {
		return nil, fmt.Errorf("dataset: schema of %q version %d: the version was not loaded: %w", v.Dataset, v.Number, ErrInvalid)
	}
	return arrowcross.Schema18(v.Schema())
}

// Read is Version.Read with v18 records.
func Read(ctx context.Context, v *dataset.Version, opts *dataset.ReadOptions) (array.RecordReader, error) {
	return reader18(v.Read(ctx, opts))
}

// ReadGroups is Version.ReadGroups with v18 records.
func ReadGroups(ctx context.Context, v *dataset.Version, groups []dataset.Group, opts *dataset.ReadOptions) (array.RecordReader, error) {
	return reader18(v.ReadGroups(ctx, groups, opts))
}

func reader18(inner array15.RecordReader, err error) (array.RecordReader, error) {
	if err != nil {
		return nil, err
	}
	schema, err := arrowcross.Schema18(inner.Schema())
	if err != nil {
		inner.Release()
		return nil, fmt.Errorf("dataset: read: %w: %w", err, ErrUnsupported)
	}
	r := &young{inner: inner, schema: schema, order: order(len(schema.Fields()))}
	r.refs.Store(1)
	return r, nil
}

func reader15(rr array.RecordReader) (array15.RecordReader, error) {
	if rr == nil {
		return nil, fmt.Errorf("the record reader is nil: %w", ErrInvalid)
	}
	if rr.Schema() == nil {
		return nil, fmt.Errorf("the records have no schema: %w", ErrInvalid)
	}
	schema, err := arrowcross.Schema15(rr.Schema())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	r := &old{inner: rr, schema: schema, order: order(len(schema.Fields()))}
	rr.Retain()
	r.refs.Store(1)
	return r, nil
}

func order(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
