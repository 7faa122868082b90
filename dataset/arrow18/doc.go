// Package arrow18 offers the reader and the writer of package dataset in the
// types of github.com/apache/arrow-go/v18, for programs that already speak it.
//
//	churn, err := arrow18.Create(ctx, catalog, "churn", schema, nil)
//	v, err := arrow18.Append(ctx, churn.Branch, records, nil)
//	rows, err := arrow18.Read(ctx, v, nil)
//
// Values cross to the v15 types of package dataset and back without a copy: the
// two share their buffers, each with references of its own, so either may be
// released first. Types that v15 does not know (views, run-end encoding, 32 and
// 64-bit decimals) are an [ErrUnsupported]; no table can hold them either.
//
// A program may use this package and package dataset together, and v18's own
// parquet package as well. It must not import v15's parquet package: the two
// define the same symbols and do not link together.
package arrow18
