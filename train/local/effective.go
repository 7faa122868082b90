package local

import (
	"encoding/json"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// effective is the spec of an attempt: what was submitted, with what the Resume
// before it changed.
func (j *job) effective(attempt int) train.Spec {
	spec := j.spec
	for a := attempt; a > 0; a-- {
		data, _, err := j.read(a, "resume")
		if err != nil || data == nil {
			continue
		}
		var o train.ResumeOptions
		if json.Unmarshal(data, &o) != nil {
			return spec // Resume wrote it whole, so this is damage; what was submitted still holds
		}
		return apply(spec, o)
	}
	return spec
}

func apply(spec train.Spec, o train.ResumeOptions) train.Spec {
	if o.GPU != nil {
		spec.GPU = *o.GPU
	}
	if o.Resources != nil {
		spec.Resources = *o.Resources
	}
	if o.Nodes > 0 {
		spec.Nodes = o.Nodes
	}
	return spec
}

// limited reports whether the job may have control groups.
func (j *job) limited() bool {
	return j.effective(int(j.newest.Load())).Resources != (train.Resources{})
}

// deadlineLeft is what the attempts before one left of the deadline, 0 without
// one.
func (j *job) deadlineLeft(attempt int) time.Duration {
	if j.rec.Deadline == 0 {
		return 0
	}
	left := j.rec.Deadline
	for a := range attempt {
		_, began, err := j.read(a, "began")
		_, finished, ok, err2 := j.readExit(a)
		if err == nil && err2 == nil && ok && !began.IsZero() {
			left -= finished.Sub(began)
		}
	}
	return max(left, time.Second)
}
