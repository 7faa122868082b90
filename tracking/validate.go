package tracking

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Limits of one batch and of names and values, those of MLflow's REST API
// except for the digest, which there ends at 36 characters.
const (
	MaxBatchMetrics = 1000
	MaxBatchParams  = 100
	MaxBatchTags    = 100

	maxKey            = 250
	maxParamValue     = 6000
	maxTagValue       = 8000
	maxExperimentName = 500
	maxRunName        = 250
	maxArtifactPath   = 500
	maxPathSegment    = 255

	maxInputName    = 500
	maxInputVersion = 250
	maxInputDigest  = 128
	maxInputContext = 500
	maxSourceType   = 250
	maxSource       = 1<<16 - 1
	maxSchema       = 1<<20 - 1
	maxProfile      = 1<<24 - 1
)

// maxFaults bounds the text of an error about a batch with many faults.
const maxFaults = 20

// faults is errs.Faults that stops listing at maxFaults.
type faults struct {
	errs.Faults
	n int
}

func (f *faults) addf(format string, args ...any) {
	f.n++
	if f.n <= maxFaults {
		f.Addf(format, args...)
	}
}

func (f *faults) err(subject string) error {
	if f.n > maxFaults {
		f.Addf("and %d more", f.n-maxFaults)
	}
	return f.Err(subject)
}

// ValidateKey checks the key of a metric, param or tag: 1 to 250 letters,
// digits and the characters '_', '-', '.', ':', '/' and space, and as a path
// it must be in its shortest form (no "..", "./", leading, trailing or double
// slash).
func ValidateKey(key string) error {
	if fault := keyFault(key); fault != "" {
		return fmt.Errorf("tracking: key %q: %s: %w", shorten(key), fault, ErrInvalid)
	}
	return nil
}

// keyFault says in words what is wrong with key, "" when nothing is.
func keyFault(key string) string {
	if key == "" {
		return "it is empty"
	}
	if len(key) > maxKey && utf8.RuneCountInString(key) > maxKey {
		return fmt.Sprintf("it has more than %d characters", maxKey)
	}
	pathLike := false
	for _, c := range key {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == ':', c == ' ':
		case c == '.' || c == '/':
			pathLike = true
		case c == utf8.RuneError || c < utf8.RuneSelf || !(unicode.IsLetter(c) || unicode.IsNumber(c)):
			return fmt.Sprintf("it has the character %q, only letters, digits and _ - . : / space may be there", c)
		}
	}
	if pathLike && (path.Clean(key) != key || strings.HasPrefix(key, "..") || key == "." || key[0] == '/') {
		return "as a path it is not in its shortest form (no .., ./, //, leading or trailing slash)"
	}
	return ""
}

// ValidateRunID checks the form of a run id, see RunID.
func ValidateRunID(id RunID) error {
	ok := id != "" && len(id) <= 256
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || i > 0 && (c == '_' || c == '-')
	}
	if !ok {
		return fmt.Errorf("tracking: run id %q: want 1 to 256 letters, digits, '_' and '-', the first a letter or digit: %w", shorten(string(id)), ErrInvalid)
	}
	return nil
}

// ValidateArtifactPath checks the path of a run's artifact: relative, slash
// separated, at most 500 bytes, no empty, "." or ".." segment, no segment
// above 255 bytes, no backslash, no control character, valid UTF-8.
func ValidateArtifactPath(p string) error {
	fault := ""
	switch {
	case p == "":
		fault = "it is empty"
	case len(p) > maxArtifactPath:
		fault = fmt.Sprintf("it has %d bytes, the limit is %d", len(p), maxArtifactPath)
	case !utf8.ValidString(p):
		fault = "it is not valid UTF-8"
	case strings.ContainsRune(p, '\\'):
		fault = `it has a backslash, separate segments by "/"`
	case strings.ContainsFunc(p, unicode.IsControl):
		fault = "it has a control character"
	case p[0] == '/':
		fault = "it is absolute, want a path relative to the run's artifacts"
	default:
		for segment := range strings.SplitSeq(p, "/") {
			switch {
			case segment == "" || segment == "." || segment == "..":
				fault = `it has an empty, "." or ".." segment`
			case len(segment) > maxPathSegment:
				fault = fmt.Sprintf("it has a segment above %d bytes", maxPathSegment)
			}
		}
	}
	if fault != "" {
		return fmt.Errorf("tracking: artifact path %q: %s: %w", shorten(p), fault, ErrInvalid)
	}
	return nil
}

// textFault checks a value: at most limit characters of valid UTF-8 without
// NUL, which PostgreSQL cannot store.
func textFault(s string, limit int) string {
	switch {
	case len(s) > limit && utf8.RuneCountInString(s) > limit:
		return fmt.Sprintf("it has more than %d characters", limit)
	case !utf8.ValidString(s):
		return "it is not valid UTF-8"
	case strings.IndexByte(s, 0) >= 0:
		return "it has a NUL character"
	}
	return ""
}

// nameFault checks a display name: a text that is not empty and has no
// control characters.
func nameFault(s string, limit int) string {
	if s == "" {
		return "it is empty"
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "it has a control character"
	}
	return textFault(s, limit)
}

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
}

func pairFaults(f *faults, what string, pairs map[string]string, limit int) {
	if len(pairs) == 0 {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(pairs)) { // sorted: one fault, one text
		if fault := keyFault(key); fault != "" {
			f.addf("%s key %q: %s", what, shorten(key), fault)
		}
		if fault := textFault(pairs[key], limit); fault != "" {
			f.addf("%s %q, its value: %s", what, shorten(key), fault)
		}
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
}
