package inferlog

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	defaultFlushRows  = 1 << 16
	defaultFlushEvery = time.Minute
	defaultBuffered   = 1 << 20
	defaultSpill      = 1 << 30
	shortestKey       = 16

	// chunkBytes seals a chunk of wide rows early, and bufferedBytes bounds what
	// is in memory whatever the number of rows.
	chunkBytes    = 64 << 20
	bufferedBytes = 512 << 20
)

// Overflow says what becomes of rows while the store is slower than they come,
// or does not answer.
type Overflow int

// The ways to overflow.
const (
	// Drop loses and counts rows that do not fit into the buffer.
	Drop Overflow = iota
	// Block lets Append wait for room: no inference without its record. Shutdown
	// ends the waiting.
	Block
	// Spill writes each row to a file in Options.SpillDir before Append returns,
	// and keeps the files until their rows are in the dataset. What does not fit
	// into the buffer is on disk alone, and what a killed process had left is
	// written by the next one. When the disk fails or is full, rows are kept in
	// the buffer only, and dropped when that is full, too.
	Spill
)

// Range holds the usual values of a numeric column.
type Range struct{ Low, High float64 }

// Options of Open.
type Options struct {
	// FlushRows is how many rows of one hour, model and version are written as
	// one version of the dataset, when nothing else flushes before. The default
	// is 65536.
	FlushRows int
	// FlushEvery is how long a row waits at most before it is written. The
	// default is 1 minute; -1 writes by FlushRows, Flush and Shutdown only.
	FlushEvery time.Duration
	// MaxBuffered is how many rows may be in memory; Overflow says what happens
	// to further ones. The default is 1048576. Never more than 512 MiB are in
	// memory either.
	MaxBuffered int
	// Overflow is what happens when the buffer is full. The default is Drop.
	Overflow Overflow
	// SpillDir is the folder for Spill, which needs one. Several logs, in one
	// process or more, may share it: each takes a place of its own in it. Rows of
	// another dataset or schema stay there until a log for them is opened.
	SpillDir string
	// SpillBytes bounds the files of this log in SpillDir. The default is 1 GiB.
	SpillBytes int64
	// Sample is the share of requests that are kept, above 0 and up to 1, chosen
	// by a hash of the request id: replicas, and logs of several models, choose
	// the same requests. Requests that failed and outliers are always kept. The
	// default is 1.
	Sample float64
	// Ranges makes records outliers: those with a value outside the range of a
	// numeric column, infinities included, NaN not. Columns are named as in the
	// dataset: "in_spend". The default is none. Rows that come from a monitor are
	// held against the range and the categories of its reference instead.
	Ranges map[string]Range
	// Keep tells of further records that are always kept. It is called from
	// Append, possibly concurrently, and only when Sample is below 1. The default
	// keeps no more.
	Keep func(*Record) bool
	// Redact names columns that are null in the dataset: "in_name". Their values
	// are not copied. The default is none.
	Redact []string
	// Hash names text columns, "request_id" among them, of which only an
	// HMAC-SHA-256 of each value is kept: the first 16 bytes in hexadecimal.
	// Equal values have equal hashes, and nobody without the key can try values.
	// The default is none.
	Hash []string
	// HashKey is the key for Hash, at least 16 bytes.
	HashKey []byte
	// Retention deletes rows that are older, by the hour: their files are removed
	// from the store about a day later, and older versions of the dataset cannot
	// be read any more. The default 0 keeps everything.
	Retention time.Duration
	// OnError gets what goes wrong behind Append: failed writes, which are tried
	// again, and the reason of drops. It is called from goroutines of the log and
	// must not call Flush or Shutdown. The default ignores.
	OnError func(error)
}

func resolve(opts *Options, schema Schema, f *errs.Faults) Options {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	f.Check(o.FlushRows >= 0, "flush rows are %d, want at least 0", o.FlushRows)
	f.Check(o.MaxBuffered >= 0, "max buffered is %d, want at least 0", o.MaxBuffered)
	f.Check(o.Overflow >= Drop && o.Overflow <= Spill, "overflow is %d, want Drop, Block or Spill", o.Overflow)
	f.Check((o.Overflow == Spill) == (o.SpillDir != ""), "spill dir is %q: Spill needs one, and nothing else does", o.SpillDir)
	f.Check(o.SpillBytes >= 0, "spill bytes are %d, want at least 0", o.SpillBytes)
	f.Check(o.Sample >= 0 && o.Sample <= 1, "sample is %v, want above 0 and up to 1", o.Sample)
	f.Check(o.Retention >= 0, "retention is %s, want at least 0", o.Retention)
	types := schema.types()
	for _, name := range slices.Sorted(maps.Keys(o.Ranges)) {
		r := o.Ranges[name]
		t := types[name]
		f.Check(t != "" && t != String && t != Bool, "ranges has %q, which is no numeric column", name)
		f.Check(r.Low <= r.High, "the range of %q is from %v to %v", name, r.Low, r.High)
	}
	for _, name := range o.Redact {
		f.Check(types[name] != "", "redact has %q, which is no input or output column", name)
		f.Check(!slices.Contains(o.Hash, name), "%q cannot be redacted and hashed", name)
	}
	for _, name := range o.Hash {
		f.Check(name == requestID || types[name] == String, "hash has %q, which is no text column", name)
	}
	f.Check(len(o.Hash) == 0 || len(o.HashKey) >= shortestKey, "the hash key has %d bytes, want at least %d", len(o.HashKey), shortestKey)
	if o.FlushRows == 0 {
		o.FlushRows = defaultFlushRows
	}
	if o.FlushEvery == 0 {
		o.FlushEvery = defaultFlushEvery
	}
	if o.MaxBuffered == 0 {
		o.MaxBuffered = defaultBuffered
	}
	if o.SpillBytes == 0 {
		o.SpillBytes = defaultSpill
	}
	if o.Sample == 0 {
		o.Sample = 1
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	o.HashKey = slices.Clone(o.HashKey)
	return o
}

// limit is the hash below which a request is in the sample.
func (o *Options) limit() uint64 {
	if o.Sample >= 1 {
		return math.MaxUint64
	}
	return uint64(o.Sample * (1 << 64))
}
