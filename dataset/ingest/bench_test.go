package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/csv"

	"github.com/millwright-ml/millwright/dataset/ingest"
)

// someCSV has numbers, texts, times and nulls, and no quotes.
func someCSV(rows int) []byte {
	var b bytes.Buffer
	b.WriteString("id,delay,distance,origin,at\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d,%d,%d.5,%s,2026-11-%02dT%02d:00:00Z\n", i, i%90-20, i%3000, []string{"SFO", "LAX", "JFK", ""}[i%4], i%28+1, i%24)
	}
	return b.Bytes()
}

func someJSON(rows int) []byte {
	var b bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&b, `{"id":%d,"delay":%d,"distance":%d.5,"origin":"%s","at":"2026-11-%02dT%02d:00:00Z"}`+"\n", i, i%90-20, i%3000, []string{"SFO", "LAX", "JFK", "é"}[i%4], i%28+1, i%24)
	}
	return b.Bytes()
}

func importAll(tb testing.TB, name string, data []byte, o *ingest.Options) (rows int64) {
	r, err := ingest.NewReader(context.Background(), name, bytes.NewReader(data), o)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Release()
	for r.Next() {
		rows += r.Record().NumRows()
	}
	if r.Err() != nil {
		tb.Fatal(r.Err())
	}
	return rows
}

func benchImport(b *testing.B, name string, data []byte) {
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		importAll(b, name, data, nil)
	}
}

func BenchmarkCSV(b *testing.B)       { benchImport(b, "a.csv", someCSV(200_000)) }
func BenchmarkJSONLines(b *testing.B) { benchImport(b, "a.jsonl", someJSON(100_000)) }

// BenchmarkArrowCSV is the reader of the Arrow library on the same bytes.
func BenchmarkArrowCSV(b *testing.B) {
	data := someCSV(200_000)
	r, err := ingest.NewReader(context.Background(), "a.csv", bytes.NewReader(data), nil)
	if err != nil {
		b.Fatal(err)
	}
	schema := r.Schema()
	r.Release()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		rr := csv.NewReader(bytes.NewReader(data), schema, csv.WithHeader(true), csv.WithChunk(8192), csv.WithNullReader(true, ""))
		for rr.Next() {
			continue
		}
		if rr.Err() != nil {
			b.Fatal(rr.Err())
		}
		rr.Release()
	}
}

// A row costs no memory of its own beside its values.
func TestAllocationsDoNotGrowWithRows(t *testing.T) {
	for name, make := range map[string]func(int) []byte{"a.csv": someCSV, "a.jsonl": someJSON} {
		few, many := make(1000), make(5000)
		o := &ingest.Options{Workers: 1, SampleBytes: 4096}
		a := testing.AllocsPerRun(3, func() { importAll(t, name, few, o) })
		b := testing.AllocsPerRun(3, func() { importAll(t, name, many, o) })
		if b-a > 400 {
			t.Errorf("%s: 4000 more rows cost %v allocations", name, b-a)
		}
	}
}
