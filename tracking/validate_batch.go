package tracking

import (
	"fmt"
	"time"
)

// Validate reports every fault of the batch in one ErrInvalid: too many
// entries, bad keys, values or times. An empty batch is fine.
func (b Batch) Validate() error {
	var f faults
	count := func(what string, have, limit int) {
		if have > limit {
			f.addf("%d %s, the limit is %d", have, what, limit)
		}
	}
	count("metrics", len(b.Metrics), MaxBatchMetrics)
	count("params", len(b.Params), MaxBatchParams)
	count("tags", len(b.Tags), MaxBatchTags)
	count("inputs", len(b.Inputs), MaxRunInputs)
	count("model inputs", len(b.ModelInputs), MaxRunInputs)
	count("outputs", len(b.Outputs), MaxBatchOutputs)
	if all := len(b.Metrics) + len(b.Params) + len(b.Tags); all > MaxBatchMetrics {
		f.addf("%d metrics, params and tags together, the limit is %d", all, MaxBatchMetrics)
	}
	if f.n == 0 { // a batch beyond the limits is not walked through
		for i := range b.Metrics {
			metricFaults(&f, &b.Metrics[i])
		}
		pairFaults(&f, "param", b.Params, maxParamValue)
		pairFaults(&f, "tag", b.Tags, maxTagValue)
		for i := range b.Inputs {
			inputFaults(&f, i, &b.Inputs[i])
		}
		for i, id := range b.ModelInputs {
			if !idOK(string(id), 256) {
				f.addf("model input %d: %q is no model id", i, shorten(string(id)))
			}
		}
		for i, out := range b.Outputs {
			if !idOK(string(out.Model), 256) {
				f.addf("output %d: %q is no model id", i, shorten(string(out.Model)))
			}
		}
	}
	return f.err("tracking: batch")
}

// maxTime keeps milliseconds well inside what every engine and JSON can hold
// exactly.
var maxTime = time.UnixMilli(1 << 53)

func metricFaults(f *faults, m *Metric) {
	if fault := keyFault(m.Key); fault != "" {
		f.addf("metric key %q: %s", shorten(m.Key), fault)
	}
	if m.Time.UnixMilli() < 0 || m.Time.After(maxTime) {
		f.addf("metric %q at step %d has the time %v, want 1970 or later", shorten(m.Key), m.Step, m.Time.UTC())
	}
	if m.Link != nil {
		linkFaults(f, m)
	}
}

// linkFaults checks the link of a metric that has one.
func linkFaults(f *faults, m *Metric) {
	if !idOK(string(m.Link.Model), 256) {
		f.addf("metric %q at step %d, its link: %q is no model id", shorten(m.Key), m.Step, shorten(string(m.Link.Model)))
	}
	for _, field := range []struct {
		name, text string
		limit      int
	}{{"DatasetName", m.Link.DatasetName, maxInputName}, {"DatasetDigest", m.Link.DatasetDigest, maxInputDigest}} {
		if fault := textFault(field.text, field.limit); fault != "" {
			f.addf("metric %q at step %d, its link's %s: %s", shorten(m.Key), m.Step, field.name, fault)
		}
	}
	if m.Link.DatasetDigest != "" && m.Link.DatasetName == "" {
		f.addf("metric %q at step %d, its link: DatasetDigest without DatasetName", shorten(m.Key), m.Step)
	}
}

func inputFaults(f *faults, i int, in *DatasetInput) {
	if fault := nameFault(in.Name, maxInputName); fault != "" {
		f.addf("input %d, its Name: %s", i, fault)
	}
	if fault := nameFault(in.Digest, maxInputDigest); fault != "" {
		f.addf("input %d, its Digest: %s", i, fault)
	}
	for _, field := range []struct {
		name, text string
		limit      int
		bytes      bool
	}{
		{"Version", in.Version, maxInputVersion, false},
		{"Context", in.Context, maxInputContext, false},
		{"SourceType", in.SourceType, maxSourceType, false},
		{"Source", in.Source, maxSource, true},
		{"Schema", in.Schema, maxSchema, true},
		{"Profile", in.Profile, maxProfile, true},
	} {
		fault := textFault(field.text, field.limit)
		if field.bytes && len(field.text) > field.limit {
			fault = fmt.Sprintf("it has %d bytes, the limit is %d", len(field.text), field.limit)
		}
		if fault != "" {
			f.addf("input %d, its %s: %s", i, field.name, fault)
		}
	}
	if len(in.Tags) > maxInputTags {
		f.addf("input %d has %d tags, the limit is %d", i, len(in.Tags), maxInputTags)
		return
	}
	labelFaults(f, fmt.Sprintf("input %d, tag", i), in.Tags, maxInputTagKey, maxInputTag)
}
