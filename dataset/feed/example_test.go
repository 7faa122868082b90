package feed_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/feed"
)

// A worker of rank 1 of 2 reads its shard over HTTP.
func Example() {
	ctx := context.Background()
	catalog := dataset.New(&blob.Mem{}, nil)
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	d, err := catalog.Create(ctx, "numbers", schema, nil)
	if err != nil {
		log.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2, 3, 4}, nil)
	rr, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := d.Append(ctx, rr, nil); err != nil {
		log.Fatal(err)
	}

	handler, err := feed.New(catalog, nil)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/feed/", http.StripPrefix("/feed", handler))
	server := httptest.NewServer(mux)
	defer server.Close()

	req := feed.Request{Ref: "main@1", Rank: 1, World: 2}
	resp, err := http.Get(server.URL + "/feed/numbers?" + req.Values().Encode())
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	stream, err := ipc.NewReader(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	for stream.Next() {
		fmt.Println(stream.RecordBatch().Column(0))
	}
	fmt.Println(resp.Header.Get("Millwright-Rows"), stream.Err())
	// Output:
	// [3 4]
	// 2 <nil>
}
