package trackingtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/millwright-ml/millwright/tracking"
)

// PutAssessment implements tracking.TraceStore.
func (m *Memory) PutAssessment(ctx context.Context, a tracking.Assessment) (tracking.Assessment, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return tracking.Assessment{}, err
	}
	defer end()
	t := m.traces[a.Trace]
	if t == nil {
		return tracking.Assessment{}, fail("put assessment", a.Name, fmt.Sprintf("there is no trace %q", a.Trace), tracking.ErrNotFound)
	}
	return m.putAssessment(t, a)
}

func (m *Memory) putAssessment(t *memoryTrace, a tracking.Assessment) (tracking.Assessment, error) {
	overridden := -1
	if a.Overrides != "" {
		overridden = slices.IndexFunc(t.info.Assessments, func(o tracking.Assessment) bool { return o.ID == a.Overrides })
		if overridden < 0 {
			cause := fmt.Sprintf("the trace has no assessment %q to override", a.Overrides)
			return tracking.Assessment{}, fail("put assessment", a.Name, cause, tracking.ErrNotFound)
		}
	}
	a = copyAssessment(a)
	a.Trace = t.info.ID
	a.ID = cmp.Or(a.ID, "a-"+randomHex())
	if a.Created.IsZero() {
		a.Created = m.now()
	}
	if a.Updated.IsZero() {
		a.Updated = a.Created
	}
	a.Created, a.Updated = toMS(a.Created), toMS(a.Updated)
	list := slices.Clone(t.info.Assessments)
	if overridden >= 0 {
		list[overridden].Valid = false
	}
	list = slices.DeleteFunc(list, func(o tracking.Assessment) bool { return o.ID == a.ID })
	list = append(list, a)
	slices.SortFunc(list, func(a, b tracking.Assessment) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	t.info.Assessments = list
	return copyAssessment(a), nil
}

// DeleteAssessment implements tracking.TraceStore.
func (m *Memory) DeleteAssessment(ctx context.Context, trace tracking.TraceID, id string) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	t := m.traces[trace]
	at := -1
	if t != nil {
		at = slices.IndexFunc(t.info.Assessments, func(a tracking.Assessment) bool { return a.ID == id })
	}
	if at < 0 {
		return fail("delete assessment", id, fmt.Sprintf("trace %q has none with this ID", trace), tracking.ErrNotFound)
	}
	overridden := t.info.Assessments[at].Overrides
	list := slices.Delete(slices.Clone(t.info.Assessments), at, at+1)
	for i := range list {
		if overridden != "" && list[i].ID == overridden {
			list[i].Valid = true
		}
	}
	t.info.Assessments = list
	return nil
}
