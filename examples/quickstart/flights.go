package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/ingest"
)

// sample is every eighth US domestic flight of January to June 2001; NOTICE
// names the source.
//
//go:embed data/flights.parquet
var sample []byte

// flight is one row of the data: what is known at departure, and how it ended.
type flight struct {
	Time                time.Time // the origin's local clock, kept as if it were UTC
	Origin, Destination string
	Distance            float64 // statute miles
	Delay               int32   // minutes late on arrival; negative is early
}

func (f *flight) late() bool   { return f.Delay >= 15 }
func (f *flight) hour() int    { return f.Time.Hour() }
func (f *flight) weekday() int { return (int(f.Time.Weekday()) + 6) % 7 } // Monday is 0

// heldOut puts a fifth of the flights aside, by a hash of what identifies
// them: a flight stays on its side however much data is added later.
func (f *flight) heldOut() bool {
	return dataset.Bucket("flights", f.Time.Format(time.RFC3339)+f.Origin+f.Destination) < 200_000
}

var flightSchema = arrow.NewSchema([]arrow.Field{
	{Name: "date", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}},
	{Name: "delay", Type: arrow.PrimitiveTypes.Int32},
	{Name: "distance", Type: arrow.PrimitiveTypes.Int32},
	{Name: "origin", Type: arrow.BinaryTypes.String},
	{Name: "destination", Type: arrow.BinaryTypes.String},
}, nil)

// importFlights reads the embedded sample, or the Parquet file at path, and
// returns the SHA-256 of its bytes with the flights.
func importFlights(path string) (flights []flight, source string, err error) {
	data, name := sample, "the embedded sample"
	if path != "" {
		if data, err = os.ReadFile(path); err != nil {
			return nil, "", fmt.Errorf("data file: %w", err)
		}
		name = path
	}
	r, err := ingest.NewReader(context.Background(), name, bytes.NewReader(data), &ingest.Options{Format: ingest.Parquet})
	if err != nil {
		return nil, "", fmt.Errorf("data file %s: %w", name, err)
	}
	defer r.Release()
	if flights, err = readFlights(r); err != nil {
		return nil, "", fmt.Errorf("data file %s: %w", name, err)
	}
	return flights, fmt.Sprintf("sha256:%x", sha256.Sum256(data)), nil
}

// readFlights collects the rows of r, which must carry the columns of
// flightSchema by name.
func readFlights(r array.RecordReader) ([]flight, error) {
	var column [5]int
	for i, want := range flightSchema.Fields() {
		at := r.Schema().FieldIndices(want.Name)
		if len(at) != 1 {
			return nil, fmt.Errorf("has no column %q: want date, delay, distance, origin, destination", want.Name)
		}
		if have := r.Schema().Field(at[0]).Type; !arrow.TypeEqual(have, want.Type) {
			return nil, fmt.Errorf("column %q is %s, want %s", want.Name, have, want.Type)
		}
		column[i] = at[0]
	}
	var flights []flight
	for r.Next() {
		rec := r.Record()
		for i, want := range flightSchema.Fields() {
			if n := rec.Column(column[i]).NullN(); n > 0 {
				return nil, fmt.Errorf("column %q has %d nulls: every flight needs all five values", want.Name, n)
			}
		}
		date := rec.Column(column[0]).(*array.Timestamp)
		delay := rec.Column(column[1]).(*array.Int32)
		distance := rec.Column(column[2]).(*array.Int32)
		origin := rec.Column(column[3]).(*array.String)
		destination := rec.Column(column[4]).(*array.String)
		for i := range int(rec.NumRows()) {
			flights = append(flights, flight{
				Time:   time.UnixMicro(int64(date.Value(i))).UTC(),
				Origin: strings.Clone(origin.Value(i)), Destination: strings.Clone(destination.Value(i)),
				Distance: float64(distance.Value(i)), Delay: delay.Value(i),
			})
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return flights, nil
}

// records gives the flights as Arrow, in batches.
func records(flights []flight) (array.RecordReader, error) {
	const batch = 16384
	var recs []arrow.Record
	defer func() {
		for _, rec := range recs {
			rec.Release() // the reader holds its own references
		}
	}()
	b := array.NewRecordBuilder(memory.DefaultAllocator, flightSchema)
	defer b.Release()
	for i := range flights {
		f := &flights[i]
		b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(f.Time.UnixMicro()))
		b.Field(1).(*array.Int32Builder).Append(f.Delay)
		b.Field(2).(*array.Int32Builder).Append(int32(f.Distance))
		b.Field(3).(*array.StringBuilder).Append(f.Origin)
		b.Field(4).(*array.StringBuilder).Append(f.Destination)
		if (i+1)%batch == 0 || i+1 == len(flights) {
			recs = append(recs, b.NewRecord())
		}
	}
	return array.NewRecordReader(flightSchema, recs)
}

// between returns the flights of [from, to), in order.
func between(flights []flight, from, to time.Time) []flight {
	var out []flight
	for _, f := range flights {
		if !f.Time.Before(from) && f.Time.Before(to) {
			out = append(out, f)
		}
	}
	return out
}

// split parts the flights into those to train on and those held out.
func split(flights []flight) (train, held []flight) {
	for _, f := range flights {
		if f.heldOut() {
			held = append(held, f)
		} else {
			train = append(train, f)
		}
	}
	return train, held
}

func day(month time.Month, d int) time.Time { return time.Date(2001, month, d, 0, 0, 0, 0, time.UTC) }
