package mlflowapi

import (
	"slices"
	"strconv"
)

// The decoders of this file do for the messages of the hot path what the
// plans do for all, in one pass without reflection.

// Bits of the fields that a metric must have.
const (
	hasKey = 1 << iota
	hasValue
	hasTimestamp
	hasStep
	hasDataset
	hasDigest
	hasModel
	hasRun
)

func twice(name string) *fault { return &fault{kind: faultTwice, path: name} }

// Reset empties the batch and keeps its memory for the next decoding.
func (m *LogBatch) Reset() {
	clear(m.Metrics)
	clear(m.Params)
	clear(m.Tags)
	*m = LogBatch{Metrics: m.Metrics[:0], Params: m.Params[:0], Tags: m.Tags[:0]}
}

// decode reads a batch into the memory that m has. Requests and responses are
// alike to it: nobody answers with a batch.
func (m *LogBatch) decode(s *scanner) *fault {
	if s.space() != '{' {
		return s.wrong("an object")
	}
	s.seen = new(internTable)
	var seen [4]bool
	first := func(i int, name string) *fault {
		if seen[i] {
			return twice(name)
		}
		seen[i] = true
		return nil
	}
	return s.object(func(name []byte) *fault {
		switch string(name) {
		case "run_id", "runId":
			if f := first(0, "run_id"); f != nil || s.null() {
				return f
			}
			return s.string(&m.RunID).in("run_id")
		case "metrics":
			if f := first(1, "metrics"); f != nil || s.null() {
				return f
			}
			return s.metrics(&m.Metrics).in("metrics")
		case "params":
			if f := first(2, "params"); f != nil || s.null() {
				return f
			}
			return s.pairs(&m.Params).in("params")
		case "tags":
			if f := first(3, "tags"); f != nil || s.null() {
				return f
			}
			return s.pairs(&m.Tags).in("tags")
		}
		_, f := s.skip()
		return f
	})
}

// string consumes a string.
func (s *scanner) string(to *string) *fault {
	if s.space() != '"' {
		return s.wrong("a string")
	}
	text, f := s.text()
	if f == nil {
		*to = s.intern(text)
	}
	return f
}

func (s *scanner) metrics(to *[]Metric) *fault {
	if s.space() != '[' {
		return s.wrong("an array")
	}
	list := (*to)[:0]
	if list == nil {
		// A point takes some 70 bytes; guess the count to grow once.
		list = make([]Metric, 0, min((len(s.data)-s.pos)/64+1, 1024))
	}
	f := s.array(func(i int) *fault {
		list = slices.Grow(list, 1)[:i+1]
		list[i] = Metric{}
		if f := s.metric(&list[i]); f != nil {
			return f.in("[" + strconv.Itoa(i) + "]")
		}
		return nil
	})
	*to = list
	return f
}

// metric consumes one point and checks that it has what it must have.
func (s *scanner) metric(m *Metric) *fault {
	if s.space() != '{' {
		return s.wrong("an object")
	}
	if s.fastMetric(m) {
		return nil
	}
	*m = Metric{} // which fastMetric may have begun to fill
	seen := 0
	s.pos++
	if s.space() == '}' {
		s.pos++
	} else {
		for {
			name, f := s.text()
			if f != nil {
				return f
			}
			if !s.byteIs(':') {
				return s.syntax("':'")
			}
			if f := s.metricField(m, name, &seen); f != nil {
				return f
			}
			if s.byteIs(',') {
				continue
			}
			if !s.byteIs('}') {
				return s.syntax("',' or '}'")
			}
			break
		}
	}
	switch {
	case m.Key == "":
		return &fault{kind: faultMissing, path: "key"}
	case seen&hasValue == 0:
		return &fault{kind: faultMissing, path: "value"}
	case seen&hasTimestamp == 0:
		return &fault{kind: faultMissing, path: "timestamp"}
	}
	return nil
}

func (s *scanner) metricField(m *Metric, name []byte, seen *int) (f *fault) {
	var bit int
	switch string(name) {
	case "key":
		bit = hasKey
	case "value":
		bit = hasValue
	case "timestamp":
		bit = hasTimestamp
	case "step":
		bit = hasStep
	case "dataset_name", "datasetName":
		bit = hasDataset
	case "dataset_digest", "datasetDigest":
		bit = hasDigest
	case "model_id", "modelId":
		bit = hasModel
	case "run_id", "runId":
		bit = hasRun
	default:
		_, f = s.skip()
		return f
	}
	if *seen&bit != 0 {
		return twice(string(name))
	}
	if s.null() {
		return nil
	}
	*seen |= bit
	switch bit {
	case hasKey:
		f = s.string(&m.Key)
	case hasValue:
		m.Value, f = s.float()
	case hasTimestamp:
		m.Timestamp, f = s.integer()
	case hasStep:
		m.Step, f = s.integer()
	case hasDataset:
		f = s.string(&m.DatasetName)
	case hasDigest:
		f = s.string(&m.DatasetDigest)
	case hasModel:
		f = s.string(&m.ModelID)
	case hasRun:
		f = s.string(&m.RunID)
	}
	if f != nil {
		return f.in(string(name))
	}
	return nil
}

func (s *scanner) pairs(to *[]KeyValue) *fault {
	if s.space() != '[' {
		return s.wrong("an array")
	}
	list := (*to)[:0]
	f := s.array(func(i int) *fault {
		list = append(list, KeyValue{})
		if f := s.pair(&list[i]); f != nil {
			return f.in("[" + strconv.Itoa(i) + "]")
		}
		return nil
	})
	*to = list
	return f
}

func (s *scanner) pair(kv *KeyValue) *fault {
	if s.space() != '{' {
		return s.wrong("an object")
	}
	seen := 0
	f := s.object(func(name []byte) *fault {
		switch string(name) {
		case "key":
			if seen&hasKey != 0 {
				return twice("key")
			}
			seen |= hasKey
			if s.null() {
				return nil
			}
			return s.string(&kv.Key).in("key")
		case "value":
			if seen&hasValue != 0 {
				return twice("value")
			}
			seen |= hasValue
			if s.null() {
				return nil
			}
			return s.string(&kv.Value).in("value")
		}
		_, f := s.skip()
		return f
	})
	if f == nil && kv.Key == "" {
		return &fault{kind: faultMissing, path: "key"}
	}
	return f
}
