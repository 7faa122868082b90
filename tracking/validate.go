package tracking

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
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
	MaxBatchOutputs = 100

	maxKey             = 250
	maxParamValue      = 6000
	maxTagValue        = 8000
	maxExperimentName  = 500
	maxExperimentTag   = 20_000
	maxRunName         = 250
	maxRunUser         = 256
	maxArtifactPath    = 500
	maxPathSegment     = 255
	maxLocation        = 2048
	maxArtifactURI     = maxLocation + 2*256 + len("/models//artifacts")
	maxExperimentIDLen = 64

	maxInputName    = 500
	maxInputVersion = 250
	maxInputDigest  = 128
	maxInputContext = 500
	maxSourceType   = 250
	maxSource       = 1<<16 - 1
	maxSchema       = 1<<20 - 1
	maxProfile      = 1<<24 - 1
	maxInputTags    = 20
	maxInputTagKey  = 255
	maxInputTag     = 500

	maxModelName   = 500
	maxModelType   = 500
	maxModelStatus = 500
	maxModelPairs  = 1000 // params, or tags, of one call
	maxModelKey    = 255
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

// text returns the faults as one line, "" when there are none.
func (f *faults) text() string {
	if f.n == 0 {
		return ""
	}
	return strings.TrimSuffix(f.err("faults").Error(), ": "+ErrInvalid.Error())
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
func ValidateRunID(id RunID) error { return idError("run id", string(id), 256) }

// ValidateModelID checks the form of a logged model's id, which is that of a
// RunID.
func ValidateModelID(id ModelID) error { return idError("model id", string(id), 256) }

// ValidateExperimentID checks the form of an experiment's id: that of a RunID,
// at most 64 characters. The id of an experiment that a store made is a
// decimal number, but that is the store's to say.
func ValidateExperimentID(id ExperimentID) error {
	return idError("experiment id", string(id), maxExperimentIDLen)
}

func idError(what, id string, limit int) error {
	if idOK(id, limit) {
		return nil
	}
	return fmt.Errorf("tracking: %s %q: want 1 to %d letters, digits, '_' and '-', the first a letter or digit: %w", what, shorten(id), limit, ErrInvalid)
}

func idOK(id string, limit int) bool {
	ok := id != "" && len(id) <= limit
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || i > 0 && (c == '_' || c == '-')
	}
	return ok
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

// pairFaults checks params and tags whose keys follow ValidateKey.
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

// labelFaults checks pairs whose keys are any text of 1 to maxKeyLen
// characters: MLflow restricts the keys of models, traces and inputs no
// further.
func labelFaults(f *faults, what string, pairs map[string]string, maxKeyLen, limit int) {
	if len(pairs) == 0 {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if fault := labelFault(key, maxKeyLen); fault != "" {
			f.addf("%s key %q: %s", what, shorten(key), fault)
		}
		if fault := textFault(pairs[key], limit); fault != "" {
			f.addf("%s %q, its value: %s", what, shorten(key), fault)
		}
	}
}

func labelFault(key string, limit int) string {
	if key == "" {
		return "it is empty"
	}
	return textFault(key, limit)
}

// deleteFaults checks the keys of tags to delete; any text may be asked for.
func deleteFaults(f *faults, keys []string) {
	if len(keys) > maxModelPairs {
		f.addf("%d tags to delete, the limit is %d", len(keys), maxModelPairs)
		return
	}
	for _, key := range keys {
		if fault := labelFault(key, maxModelKey); fault != "" {
			f.addf("tag to delete %q: %s", shorten(key), fault)
		}
	}
}
