package registry

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Limits in bytes and counts. They follow MLflow's where it has one, so that a
// registry can be mirrored there.
const (
	maxPath      = 1024
	maxName      = 255
	maxTagKey    = 250
	maxTagValue  = 100_000
	maxTags      = 1 << 20 // keys and values together
	maxMetricKey = 250
	maxEntries   = 1000 // of datasets, metrics and tags each
	maxField     = 1000 // of a dataset's text fields
	maxReason    = 8000
	maxSource    = 2048
	// 5,000 characters in MLflow; a character has up to 4 bytes.
	maxDescription = 20_000
	maxJSON        = 1 << 20
	maxProfile     = 64 << 20
)

// checkDraft reports the faults of everything in d but the files, which are
// checked as they are read.
func checkDraft(faults *errs.Faults, d *Draft) {
	if d.Files == nil && len(d.Profile) == 0 {
		faults.Addf("the draft has no files")
	}
	checkText(faults, "framework", d.Framework, maxName)
	checkText(faults, "flavor", d.Flavor, maxName)
	checkText(faults, "run", d.Run, maxName)
	checkText(faults, "key", d.Key, maxName)
	checkJSON(faults, "signature", d.Signature, maxJSON)
	checkJSON(faults, "profile", d.Profile, maxProfile)

	faults.Check(len(d.Datasets) <= maxEntries, "%d datasets, want at most %d", len(d.Datasets), maxEntries)
	for _, ds := range d.Datasets[:min(len(d.Datasets), maxEntries)] {
		faults.Check(ds.Name != "", "a dataset has no name")
		for _, s := range []string{ds.Name, ds.Version, ds.Digest, ds.Context} {
			checkText(faults, "dataset field", s, maxField)
		}
	}
	faults.Check(len(d.Metrics) <= maxEntries, "%d metrics, want at most %d", len(d.Metrics), maxEntries)
	if len(d.Metrics) > maxEntries {
		return
	}
	for _, k := range slices.Sorted(maps.Keys(d.Metrics)) {
		v := d.Metrics[k]
		faults.Check(k != "", "a metric has no name")
		checkText(faults, "metric name", k, maxMetricKey)
		faults.Check(!math.IsNaN(v) && !math.IsInf(v, 0), "metric %q is %v, want a finite number", cut(k), v)
	}
	checkTags(faults, d.Tags)
	for what, text := range map[string]string{
		"commit": d.Code.Commit, "repository": d.Code.Repository, "image": d.Code.Image,
		"license": d.License, "logged model": d.LoggedModel, "user": d.User,
	} {
		checkText(faults, what, text, maxName)
	}
	checkText(faults, "source", d.Source, maxSource)
	checkText(faults, "description", d.Description, maxDescription)
	if d.Golden != "" {
		checkPath(faults, d.Golden)
	}
}

// checkText holds text to what every SQL engine stores unchanged.
func checkText(faults *errs.Faults, what, s string, most int) {
	faults.Check(len(s) <= most, "%s has %d bytes, want at most %d", what, len(s), most)
	faults.Check(utf8.ValidString(s) && !strings.Contains(s, "\x00"), "%s holds invalid UTF-8 or a NUL", what)
}

// checkJSON reports JSON that is malformed, too large or not UTF-8.
func checkJSON(faults *errs.Faults, what string, b []byte, most int) {
	switch {
	case len(b) == 0:
	case len(b) > most:
		faults.Addf("%s has %d bytes, want at most %d", what, len(b), most)
	case !json.Valid(b) || !utf8.Valid(b):
		faults.Addf("%s is not valid JSON in UTF-8", what)
	}
}

// compact returns valid JSON without the white space around its tokens, nil
// for none.
func compact(b json.RawMessage) (json.RawMessage, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, b); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
