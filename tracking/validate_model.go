package tracking

import (
	"fmt"
	"strings"
)

// Valid reports whether s is one of the three states.
func (s ModelStatus) Valid() bool {
	return s == ModelPending || s == ModelReady || s == ModelFailed
}

// ValidateModelName checks the name of a logged model: 1 to 500 characters,
// none of / : . % " ' and no control characters.
func ValidateModelName(name string) error {
	if fault := modelNameFault(name); fault != "" {
		return fmt.Errorf("tracking: model name %q: %s: %w", shorten(name), fault, ErrInvalid)
	}
	return nil
}

func modelNameFault(name string) string {
	if fault := nameFault(name, maxModelName); fault != "" {
		return fault
	}
	if i := strings.IndexAny(name, `/:.%"'`); i >= 0 {
		return fmt.Sprintf("it has the character %q, none of / : . %% \" ' may be there", name[i])
	}
	return ""
}

// Validate reports every fault of a logged model that is to be created in one
// ErrInvalid. Params and tags may have any text of 1 to 255 characters as key;
// values are limited to 6,000 and 8,000 characters.
func (m LoggedModel) Validate() error {
	var f faults
	if !idOK(string(m.ID), 256) {
		f.addf("id %q: want 1 to 256 letters, digits, '_' and '-', the first a letter or digit", shorten(string(m.ID)))
	}
	if !idOK(string(m.Experiment), maxExperimentIDLen) {
		f.addf("experiment id %q: want 1 to %d letters, digits, '_' and '-', the first a letter or digit", shorten(string(m.Experiment)), maxExperimentIDLen)
	}
	if fault := modelNameFault(m.Name); fault != "" {
		f.addf("name %q: %s", shorten(m.Name), fault)
	}
	if fault := textFault(m.Type, maxModelType); fault != "" {
		f.addf("type %q: %s", shorten(m.Type), fault)
	}
	if m.SourceRun != "" && !idOK(string(m.SourceRun), 256) {
		f.addf("source run %q is no run id", shorten(string(m.SourceRun)))
	}
	if m.Status != "" {
		modelStatusFault(&f, m.Status)
	}
	if fault := textFault(m.StatusMessage, maxModelStatus); fault != "" {
		f.addf("status message: %s", fault)
	}
	artifactURIFault(&f, m.ArtifactURI)
	timeFault(&f, "created", m.Created)
	timeFault(&f, "updated", m.Updated)
	modelPairFaults(&f, m.Params, m.Tags)
	return f.err("tracking: logged model")
}

// Validate reports every fault of the update in one ErrInvalid.
func (u ModelUpdate) Validate() error {
	var f faults
	if u.Status != "" {
		modelStatusFault(&f, u.Status)
	}
	if fault := textFault(u.StatusMessage, maxModelStatus); fault != "" {
		f.addf("status message: %s", fault)
	}
	modelPairFaults(&f, u.SetParams, u.SetTags)
	deleteFaults(&f, u.DeleteTags)
	return f.err("tracking: logged model update")
}

func modelStatusFault(f *faults, s ModelStatus) {
	if !s.Valid() {
		f.addf("status %q: want PENDING, READY or FAILED", shorten(string(s)))
	}
}

func modelPairFaults(f *faults, params, tags map[string]string) {
	for _, set := range []struct {
		what  string
		pairs map[string]string
		limit int
	}{{"param", params, maxParamValue}, {"tag", tags, maxTagValue}} {
		if len(set.pairs) > maxModelPairs {
			f.addf("%d %ss, the limit is %d", len(set.pairs), set.what, maxModelPairs)
			continue
		}
		labelFaults(f, set.what, set.pairs, maxModelKey, set.limit)
	}
}
