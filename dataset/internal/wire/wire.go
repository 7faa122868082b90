// Package wire gives the records of a version the form in which they travel:
// Arrow's IPC format as arrow-go v18 writes it, which has metadata of records.
package wire

import (
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"

	arrow18 "github.com/apache/arrow-go/v18/arrow"
	array18 "github.com/apache/arrow-go/v18/arrow/array"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
)

// The keys of the metadata: TokenKey of each record, the others of the schema.
const (
	TokenKey   = "millwright.token"
	DatasetKey = "millwright.dataset"
	VersionKey = "millwright.version"
	DigestKey  = "millwright.digest"
)

// Format is the form of the records of one schema.
type Format struct {
	Schema *arrow18.Schema
	order  []int
}

// New returns the form of the records of a schema, with what they are of in the
// schema's metadata.
func New(schema *arrow.Schema, dataset string, version int64, digest string) (*Format, error) {
	plain, err := arrowcross.Schema18(schema)
	if err != nil {
		return nil, err
	}
	meta := arrow18.NewMetadata(
		[]string{DatasetKey, VersionKey, DigestKey},
		[]string{dataset, strconv.FormatInt(version, 10), digest},
	)
	f := &Format{Schema: arrow18.NewSchema(plain.Fields(), &meta), order: make([]int, plain.NumFields())}
	for i := range f.order {
		f.order[i] = i
	}
	return f, nil
}

// Record gives rec its form without a copy, with the token in its metadata. The
// caller releases it.
func (f *Format) Record(rec arrow.Record, token string) arrow18.RecordBatch {
	crossed := arrowcross.Record18(rec, f.Schema, f.order)
	defer crossed.Release()
	meta := arrow18.NewMetadata([]string{TokenKey}, []string{token})
	return array18.NewRecordBatchWithMetadata(f.Schema, crossed.Columns(), crossed.NumRows(), meta)
}
