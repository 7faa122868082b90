package tracking

import (
	"fmt"
	"time"
)

// ValidateExperimentName checks the name of an experiment: 1 to 500 characters
// of valid UTF-8, no control characters.
func ValidateExperimentName(name string) error {
	if fault := nameFault(name, maxExperimentName); fault != "" {
		return fmt.Errorf("tracking: experiment name %q: %s: %w", shorten(name), fault, ErrInvalid)
	}
	return nil
}

// Validate reports every fault of an experiment that is to be created in one
// ErrInvalid. An empty ID and an empty ArtifactLocation are fine; a location
// must be as CleanLocation returns it.
func (e Experiment) Validate() error {
	var f faults
	if fault := nameFault(e.Name, maxExperimentName); fault != "" {
		f.addf("name %q: %s", shorten(e.Name), fault)
	}
	if e.ID != "" && !idOK(string(e.ID), maxExperimentIDLen) {
		f.addf("id %q: want at most %d letters, digits, '_' and '-', the first a letter or digit", shorten(string(e.ID)), maxExperimentIDLen)
	}
	if e.ArtifactLocation != "" {
		if fault := locationFault(e.ArtifactLocation); fault != "" {
			f.addf("artifact location %q: %s", shorten(e.ArtifactLocation), fault)
		}
	}
	tagFaults(&f, e.Tags, maxExperimentTag)
	timeFault(&f, "created", e.Created)
	timeFault(&f, "updated", e.Updated)
	return f.err("tracking: experiment")
}

// Validate reports every fault of the update in one ErrInvalid.
func (u ExperimentUpdate) Validate() error {
	var f faults
	if u.Name != "" {
		if fault := nameFault(u.Name, maxExperimentName); fault != "" {
			f.addf("name %q: %s", shorten(u.Name), fault)
		}
	}
	tagFaults(&f, u.SetTags, maxExperimentTag)
	deleteFaults(&f, u.DeleteTags)
	return f.err("tracking: experiment update")
}

// Validate reports every fault of a run that is to be created, that is of what
// Store.CreateRun reads, in one ErrInvalid.
func (r RunInfo) Validate() error {
	var f faults
	if !idOK(string(r.ID), 256) {
		f.addf("id %q: want 1 to 256 letters, digits, '_' and '-', the first a letter or digit", shorten(string(r.ID)))
	}
	if !idOK(string(r.Experiment), maxExperimentIDLen) {
		f.addf("experiment id %q: want 1 to %d letters, digits, '_' and '-', the first a letter or digit", shorten(string(r.Experiment)), maxExperimentIDLen)
	}
	if fault := nameFault(r.Name, maxRunName); fault != "" {
		f.addf("name %q: %s", shorten(r.Name), fault)
	}
	if fault := textFault(r.User, maxRunUser); fault != "" {
		f.addf("user %q: %s", shorten(r.User), fault)
	}
	if !r.Status.Valid() {
		f.addf("status %q: want RUNNING, SCHEDULED, FINISHED, FAILED or KILLED", shorten(string(r.Status)))
	}
	timeFault(&f, "start", r.Start)
	timeFault(&f, "end", r.End)
	artifactURIFault(&f, r.ArtifactURI)
	tagFaults(&f, r.Tags, maxTagValue)
	return f.err("tracking: run")
}

// Validate reports every fault of the update in one ErrInvalid.
func (u RunUpdate) Validate() error {
	var f faults
	if u.Name != "" {
		if fault := nameFault(u.Name, maxRunName); fault != "" {
			f.addf("name %q: %s", shorten(u.Name), fault)
		}
	}
	if u.Status != "" && !u.Status.Valid() {
		f.addf("status %q: want RUNNING, SCHEDULED, FINISHED, FAILED or KILLED", shorten(string(u.Status)))
	}
	timeFault(&f, "end", u.End)
	deleteFaults(&f, u.DeleteTags)
	return f.err("tracking: run update")
}

// Validate reports every fault of the page in one ErrInvalid. limit is the
// greatest Max allowed.
func (p Page) Validate(limit int) error {
	if p.Max < 0 || p.Max > limit {
		return fmt.Errorf("tracking: page of %d entries: want 1 to %d, or 0 for the default: %w", p.Max, limit, ErrInvalid)
	}
	return nil
}

// tagFaults checks a whole set of tags of a new or changed thing.
func tagFaults(f *faults, tags map[string]string, limit int) {
	if len(tags) > MaxBatchTags {
		f.addf("%d tags, the limit is %d", len(tags), MaxBatchTags)
		return
	}
	pairFaults(f, "tag", tags, limit)
}

// timeFault checks a time that may be zero, which is unknown.
func timeFault(f *faults, what string, t time.Time) {
	if !t.IsZero() && (t.UnixMilli() < 0 || t.After(maxTime)) {
		f.addf("%s time %v, want 1970 or later", what, t.UTC())
	}
}

// artifactURIFault checks the URI of a run's or model's files; empty is the
// default of the store.
func artifactURIFault(f *faults, uri string) {
	switch fault := uriFault(uri, maxArtifactURI); {
	case uri != "" && fault != "":
		f.addf("artifact URI %q: %s", shorten(uri), fault)
	}
}

// Limits of a SampleQuery, those of MLflow's REST API.
const (
	MaxSampleRuns  = 100
	MaxSampleSteps = 2500
)

// Validate reports every fault of the query in one ErrInvalid.
func (q SampleQuery) Validate() error {
	var f faults
	if n := len(q.Runs); n == 0 || n > MaxSampleRuns {
		f.addf("%d runs, want 1 to %d", n, MaxSampleRuns)
	} else {
		for _, id := range q.Runs {
			if !idOK(string(id), 256) {
				f.addf("%q is no run id", shorten(string(id)))
			}
		}
	}
	if fault := keyFault(q.Key); fault != "" {
		f.addf("key %q: %s", shorten(q.Key), fault)
	}
	if q.Max < 1 || q.Max > MaxSampleSteps {
		f.addf("Max is %d, want 1 to %d", q.Max, MaxSampleSteps)
	}
	if q.From != nil && q.To != nil && *q.From > *q.To {
		f.addf("From %d is above To %d", *q.From, *q.To)
	}
	return f.err("tracking: sample query")
}
