package inttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	memory15 "github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/iceberg"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// twoColumns have a person's address.
var twoColumns = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "mail", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

const forgotten = "zz-forgotten@example.com"

func mailsOf(mails ...string) array.RecordReader {
	b := array.NewRecordBuilder(memory15.DefaultAllocator, twoColumns)
	defer b.Release()
	for i, m := range mails {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(m)
	}
	rec := b.NewRecord()
	defer rec.Release()
	rr, err := array.NewRecordReader(twoColumns, []arrow.Record{rec})
	if err != nil {
		panic(err) // The record has the schema.
	}
	return rr
}

// found looks for a value in the bytes of every object of a bucket, through a
// bare client, and in the values of every Parquet file, which are compressed. It
// counts the objects by their folder.
func found(t *testing.T, server *inttest.S3, bucket, value string) map[string]int {
	ctx := t.Context()
	client, hits := server.Client(), map[string]int{}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		require.NoError(t, err)
		for _, o := range page.Contents {
			got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
			require.NoError(t, err)
			data, err := io.ReadAll(got.Body)
			require.NoError(t, err)
			require.NoError(t, got.Body.Close())
			hit := bytes.Contains(data, []byte(value))
			if strings.HasSuffix(*o.Key, ".parquet") {
				hit = hit || strings.Contains(valuesOf(t, data), value)
			}
			if hit {
				hits[path.Base(path.Dir(*o.Key))+path.Ext(*o.Key)]++
			}
		}
	}
	return hits
}

// valuesOf are all values of a Parquet file, as JSON.
func valuesOf(t *testing.T, data []byte) string {
	f, err := file.NewParquetReader(bytes.NewReader(data))
	require.NoError(t, err)
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	require.NoError(t, err)
	table, err := r.ReadTable(t.Context())
	require.NoError(t, err)
	defer table.Release()
	var out strings.Builder
	for i := range int(table.NumCols()) {
		for _, chunk := range table.Column(i).Data().Chunks() {
			text, err := json.Marshal(chunk)
			require.NoError(t, err)
			out.Write(text)
		}
	}
	return out.String()
}

// TestDatasetErase erases a person from a table with a history on a real S3
// server: the erase breaks off in the middle and is resumed by another process's
// client, which does not know the condition, while others write. No object of the
// bucket has the value any more, compressed or not.
func TestDatasetErase(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *inttest.S3) {
		ctx := t.Context()
		bucket := server.NewBucket(t)
		url := "s3://" + bucket + "/lake"
		client := func() *dataset.Dataset {
			d, err := dataset.New(open(t, url, server.Options()), nil).Open(ctx, "m")
			require.NoError(t, err)
			return d
		}
		_, err := dataset.New(open(t, url, server.Options()), nil).Create(ctx, "m", twoColumns, nil)
		require.NoError(t, err)
		d := client()
		add := func(b *dataset.Branch, mails ...string) *dataset.Version {
			rr := mailsOf(mails...)
			defer rr.Release()
			v, err := b.Append(ctx, rr, nil)
			require.NoError(t, err)
			return v
		}
		_, err = d.SetExpectations(ctx, []profile.Expectation{profile.Match("mail", "@")}, nil)
		require.NoError(t, err)
		with := add(d.Branch, "a@b", forgotten, "c@d")
		require.NoError(t, d.Tag(ctx, "with", with, nil))
		_, err = iceberg.Export(ctx, open(t, url, server.Options()), url, with, "with")
		require.NoError(t, err)
		dev, err := d.CreateBranch(ctx, "dev", with)
		require.NoError(t, err)
		add(dev, "e@f", forgotten)
		for i := range 10 {
			add(d.Branch, fmt.Sprint("g@", i))
		}
		_, err = d.Delete(ctx, filter.Eq("mail", forgotten), nil)
		require.NoError(t, err)
		before := found(t, server, bucket, forgotten)
		for _, kind := range []string{"data.parquet", "_delta_log.json", "_delta_log.parquet", "commits.json"} {
			require.Positive(t, before[kind], "the search does not see %s: %v", kind, before)
		}

		broken := faults.New(open(t, url, server.Options()), nil)
		broken.Inject(faults.Rule{Op: faults.Put, Key: "_delta_log/", Skip: 9, Times: -1, Fault: faults.LostRequest()})
		first, err := dataset.New(broken, nil).Open(ctx, "m")
		require.NoError(t, err)
		_, err = first.Erase(ctx, filter.Eq("mail", forgotten), nil)
		require.Error(t, err)
		_, err = d.Delete(ctx, filter.Eq("mail", "a@b"), nil)
		require.ErrorIs(t, err, dataset.ErrConflict)

		written := make([]int, 3)
		var wg sync.WaitGroup
		done, stop := context.WithCancel(ctx)
		for w := range written {
			b, err := client().OpenBranch(ctx, "dev")
			require.NoError(t, err)
			wg.Go(func() {
				for i := 0; i == 0 || done.Err() == nil; i++ {
					rr := mailsOf(fmt.Sprintf("w%d@%d", w, i))
					_, err := b.Append(ctx, rr, nil)
					rr.Release()
					if err == nil {
						written[w]++
					} else if busy := (*dataset.EraseError)(nil); !errors.As(err, &busy) {
						t.Error(err)
						return
					}
				}
			})
		}
		certificate, err := client().Erase(ctx, filter.Expr{}, &dataset.EraseOptions{Resume: true})
		stop()
		wg.Wait()
		require.NoError(t, err)
		require.EqualValues(t, 2, certificate.Rows)
		require.Equal(t, []string{"with"}, certificate.Exports)
		require.Empty(t, found(t, server, bucket, forgotten))

		now := client()
		report, err := now.Verify(ctx, nil)
		require.NoError(t, err)
		require.True(t, report.OK(), "%v", report.Damage)
		v, err := now.Resolve(ctx, "with")
		require.NoError(t, err)
		require.EqualValues(t, 2, v.Rows)
		v, err = now.Resolve(ctx, "dev")
		require.NoError(t, err)
		require.EqualValues(t, 3+written[0]+written[1]+written[2], v.Rows)
	})
}
