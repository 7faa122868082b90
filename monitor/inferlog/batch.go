package inferlog

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/monitor"
)

// batch is what goes into the log at once: requests of one hour, model and
// version, and their values by column. It borrows everything.
type batch struct {
	key     partition
	entries []entry
	rows    int
	size    int   // Bytes, about.
	inputs  []any // A typed slice a column, nil where all its values are null.
	outputs []any // None at all for requests that failed.
}

// partition is what the rows of one file have in common.
type partition struct {
	hour           int64 // Since 1970, in UTC.
	model, version string
}

// entry is one request of a batch.
type entry struct {
	id, fault   string
	at, latency int64 // Microseconds.
	rows        int
}

const hourMicros = int64(time.Hour / time.Microsecond)

// hourOf rounds down, also before 1970.
func hourOf(micros int64) int64 {
	h := micros / hourMicros
	if micros%hourMicros < 0 {
		h--
	}
	return h
}

// value is what a batch has for a column, inputs first.
func (b *batch) value(column, inputs int) any {
	if column < inputs {
		return b.inputs[column]
	}
	if len(b.outputs) == 0 {
		return nil
	}
	return b.outputs[column-inputs]
}

// policy is what Options says about values, by column.
type policy struct {
	limit  uint64 // Request ids that hash to less are in the sample.
	keep   func(*Record) bool
	ranges []*Range
	hidden []bool
	hashed []bool
	hashID bool
	hides  bool // One of hidden or hashed is true.
	key    []byte
}

func newPolicy(o *Options, s Schema) *policy {
	n := len(s.Inputs) + len(s.Outputs)
	p := &policy{limit: o.limit(), keep: o.Keep, ranges: make([]*Range, n), hidden: make([]bool, n), hashed: make([]bool, n), key: o.HashKey}
	places := s.places()
	for name, r := range o.Ranges {
		p.ranges[places[name]] = &r
	}
	for _, name := range o.Redact {
		p.hidden[places[name]], p.hides = true, true
	}
	for _, name := range o.Hash {
		if name == requestID {
			p.hashID = true
			continue
		}
		p.hashed[places[name]], p.hides = true, true
	}
	return p
}

// all reports whether every record is kept.
func (p *policy) all() bool { return p.limit == math.MaxUint64 }

// sampled reports whether the request is kept for its id, or as one of several
// without one.
func (p *policy) sampled(id string, anonymous *atomic.Uint64) bool {
	if id == "" {
		return mix(anonymous.Add(1)) < p.limit
	}
	return p.drawn(monitor.NewID(id, 0), anonymous)
}

// drawn is sampled for a row of a monitor: all rows of a request have the same
// first bytes.
func (p *policy) drawn(id monitor.ID, anonymous *atomic.Uint64) bool {
	if id == (monitor.ID{}) {
		return mix(anonymous.Add(1)) < p.limit
	}
	return binary.BigEndian.Uint64(id[:8]) < p.limit
}

// mix spreads numbers evenly (the finalizer of SplitMix64, Steele 2014).
func mix(v uint64) uint64 {
	v *= 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// outlier reports whether a value is outside its range.
func (p *policy) outlier(r *Record) bool {
	for i, limits := range p.ranges {
		if limits == nil {
			continue
		}
		var v any
		if i < len(r.Inputs) {
			v = r.Inputs[i]
		} else if len(r.Outputs) > 0 {
			v = r.Outputs[i-len(r.Inputs)]
		}
		if limits.excludes(v) {
			return true
		}
	}
	return false
}

// wanted asks Options.Keep. It gets a copy, as what it gets may escape.
func (p *policy) wanted(r *Record) bool {
	if p.keep == nil {
		return false
	}
	own := *r
	return p.keep(&own)
}

func (r *Range) excludes(v any) bool {
	switch v := v.(type) {
	case []float64:
		return outside(v, r)
	case []float32:
		return outside(v, r)
	case []int64:
		return outside(v, r)
	case []int32:
		return outside(v, r)
	}
	return false
}

func outside[T float64 | float32 | int64 | int32](vs []T, r *Range) bool {
	for _, v := range vs {
		if float64(v) < r.Low || float64(v) > r.High {
			return true
		}
	}
	return false
}

// protect replaces what shall not be kept. It copies what it changes.
func (p *policy) protect(b *batch) {
	if !p.hashID && !p.hides {
		return
	}
	h := hmac.New(sha256.New, p.key)
	if p.hashID {
		entries := make([]entry, len(b.entries))
		for i, e := range b.entries {
			e.id = keyed(h, []byte(e.id))
			entries[i] = e
		}
		b.entries = entries
	}
	if p.hides {
		b.inputs = p.protected(h, b.inputs, 0)
		b.outputs = p.protected(h, b.outputs, len(b.inputs))
	}
}

func (p *policy) protected(h hash.Hash, values []any, first int) []any {
	if len(values) == 0 {
		return nil
	}
	out := make([]any, len(values))
	for i, v := range values {
		switch {
		case p.hidden[first+i]:
		case p.hashed[first+i]:
			out[i] = keyedAll(h, v)
		default:
			out[i] = v
		}
	}
	return out
}

func keyedAll(h hash.Hash, v any) any {
	var out []string
	switch v := v.(type) {
	case []string:
		out = make([]string, 0, len(v))
		for _, s := range v {
			out = append(out, keyed(h, []byte(s)))
		}
	case [][]byte:
		out = make([]string, 0, len(v))
		for _, s := range v {
			out = append(out, keyed(h, s))
		}
	case *nullableText:
		hashed := &nullableText{null: v.null}
		for i, s := range v.texts {
			if !v.null[i] {
				s = keyed(h, []byte(s))
			}
			hashed.texts = append(hashed.texts, s)
		}
		return hashed
	default:
		return nil
	}
	return out
}

// keyed is the hash that stands for a text.
func keyed(h hash.Hash, text []byte) string {
	h.Reset()
	h.Write(text)
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:16])
}

// searched is what the log knows a request id by.
func (p *policy) searched(id string) string {
	if !p.hashID {
		return id
	}
	return keyed(hmac.New(sha256.New, p.key), []byte(id))
}
