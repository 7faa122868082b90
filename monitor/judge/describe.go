package judge

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
)

// Described is a [Scorer] that says what its scores depend on, apart from the
// sample: the model, a digest of the rubric, a pattern. [Track] logs that as
// params, and a [Journal] holds scores by it: after a change of what it says, an
// old score is none.
type Described interface {
	Scorer
	// Describe lists it by name. It must say the same each time.
	Describe() map[string]string
}

// digestOf is that of texts, whatever they contain.
func digestOf(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		_, _ = h.Write([]byte(strconv.Itoa(len(text)) + ":" + text)) // A hash never fails.
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// describe is what a scorer says of itself, as one digest. ok is false where it
// says nothing.
func describe(s Scorer) (digest string, ok bool) {
	d, ok := s.(Described)
	if !ok {
		return "", false
	}
	about := d.Describe()
	texts := []string{s.Name()}
	for _, key := range slices.Sorted(maps.Keys(about)) {
		texts = append(texts, key, about[key])
	}
	return digestOf(texts...), len(about) > 0
}

func (a *asker) describe(question ...string) map[string]string {
	return map[string]string{
		"model":       a.model,
		"rubric":      digestOf(question...),
		"repeats":     strconv.Itoa(a.opts.Repeats),
		"temperature": strconv.FormatFloat(float64(a.opts.Temperature), 'g', -1, 32),
		"max_tokens":  strconv.Itoa(a.opts.MaxTokens),
		"format":      map[bool]string{false: "json_schema", true: "text"}[a.opts.PlainText],
	}
}

// charged is a scorer with a budget.
type charged interface{ charge(u Usage) }

func (a *asker) charge(u Usage) { a.opts.Budget.Charge(u) }

// Describe says which model is asked, and what: "rubric" is the digest of all that
// it is told.
func (j *Judge) Describe() map[string]string { return j.describe(j.system, string(j.schema)) }

// Describe says which model is asked, and what: "rubric" is the digest of all that
// it is told.
func (p *Pairwise) Describe() map[string]string { return p.describe(p.system, string(p.schema)) }
