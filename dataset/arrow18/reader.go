package arrow18

import (
	"sync/atomic"

	arrow15 "github.com/apache/arrow/go/v15/arrow"
	array15 "github.com/apache/arrow/go/v15/arrow/array"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
)

// young shows v15 records as v18 ones.
type young struct {
	refs    atomic.Int64
	inner   array15.RecordReader
	schema  *arrow.Schema
	order   []int
	current arrow.RecordBatch
}

func (r *young) Retain() { r.refs.Add(1) }

func (r *young) Release() {
	if r.refs.Add(-1) == 0 {
		r.drop()
		r.inner.Release()
	}
}

func (r *young) drop() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}

func (r *young) Schema() *arrow.Schema          { return r.schema }
func (r *young) Err() error                     { return r.inner.Err() }
func (r *young) RecordBatch() arrow.RecordBatch { return r.current }
func (r *young) Record() arrow.RecordBatch      { return r.current }

func (r *young) Next() bool {
	r.drop()
	if !r.inner.Next() {
		return false
	}
	r.current = arrowcross.Record18(r.inner.Record(), r.schema, r.order)
	return true
}

// old shows v18 records as v15 ones.
type old struct {
	refs    atomic.Int64
	inner   array.RecordReader
	schema  *arrow15.Schema
	order   []int
	current arrow15.Record
}

func (r *old) Retain() { r.refs.Add(1) }

func (r *old) Release() {
	if r.refs.Add(-1) == 0 {
		r.drop()
		r.inner.Release()
	}
}

func (r *old) drop() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}

func (r *old) Schema() *arrow15.Schema { return r.schema }
func (r *old) Err() error              { return r.inner.Err() }
func (r *old) Record() arrow15.Record  { return r.current }

func (r *old) Next() bool {
	r.drop()
	if !r.inner.Next() {
		return false
	}
	r.current = arrowcross.Record15(r.inner.RecordBatch(), r.schema, r.order)
	return true
}
