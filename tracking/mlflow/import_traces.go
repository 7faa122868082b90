package mlflow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/tracking"
)

const importTracesPart = 20 // traces that are held with their spans at a time

// importTraces copies the traces of every experiment with their spans and
// assessments. The wire does not show which runs they are tied to.
func (im *importer) importTraces(ctx context.Context) error {
	if !im.opts.Traces {
		return nil
	}
	to, ok := im.dst.(tracking.TraceStore)
	p := newPool(ctx, im.opts.Concurrency)
	for _, e := range im.experiments {
		if e.skip {
			continue
		}
		var ids []tracking.TraceID
		flush := func() {
			part := slices.Clone(ids)
			ids = ids[:0]
			p.do(func(ctx context.Context) error { return im.copyTraces(ctx, &e, to, part) })
		}
		read := func(page tracking.Page) ([]tracking.Trace, string, error) {
			return im.src.SearchTraces(p.ctx, tracking.TraceQuery{
				Experiments: []tracking.ExperimentID{e.from.ID}, OrderBy: []string{"timestamp_ms ASC"}, Page: page,
			})
		}
		err := eachPage(read, remoteTracePage, func(t tracking.Trace) error {
			if !ok {
				im.differ(Difference{Experiment: e.from.ID, What: "traces", Source: "has some", Destination: "keeps no traces"})
				return errNoTraces
			}
			if ids = append(ids, t.ID); len(ids) == importTracesPart {
				flush()
			}
			return p.ctx.Err()
		})
		switch {
		case errors.Is(err, errNoTraces):
			continue
		case errors.Is(err, errs.ErrUnsupported): // a server before 3.0 has none of this form
			return p.wait()
		case err != nil:
			p.cancel(err)
			return p.wait()
		}
		if len(ids) > 0 {
			flush()
		}
	}
	return p.wait()
}

var errNoTraces = errors.New("the destination keeps no traces")

func (im *importer) copyTraces(ctx context.Context, e *importedExperiment, dst tracking.TraceStore, ids []tracking.TraceID) error {
	traces, err := im.src.Traces(ctx, ids, true)
	if err != nil {
		return err
	}
	for i := range traces {
		t := &traces[i]
		d := Difference{Experiment: e.from.ID, What: fmt.Sprintf("trace %q", t.ID)}
		if err := im.refused(ctx, d, copyTrace(ctx, dst, e.to.ID, *t)); err != nil {
			return err
		}
		im.count(func(p *ImportProgress, r *ImportResult) {
			p.Traces++
			r.Traces++
			p.Experiment, p.Run = e.from.ID, ""
		})
	}
	copied, err := dst.Traces(ctx, ids, true)
	if err != nil {
		return err
	}
	for _, want := range traces {
		d := Difference{Experiment: e.from.ID, What: fmt.Sprintf("trace %q", want.ID), Destination: "lacks it"}
		d.Source = fmt.Sprintf("%d spans, %d assessments", len(want.Spans), len(want.Assessments))
		i := slices.IndexFunc(copied, func(t tracking.Trace) bool { return t.ID == want.ID })
		if i >= 0 {
			d.Destination = fmt.Sprintf("%d spans, %d assessments", len(copied[i].Spans), len(copied[i].Assessments))
		}
		if d.Source != d.Destination {
			im.differ(d)
		}
	}
	return nil
}

func copyTrace(ctx context.Context, dst tracking.TraceStore, exp tracking.ExperimentID, t tracking.Trace) error {
	spans := t.Spans
	t.Spans, t.Experiment = nil, exp
	if err := t.Validate(); err != nil {
		return err
	}
	if _, err := dst.PutTrace(ctx, t); err != nil {
		return err
	}
	if len(spans) == 0 {
		return nil
	}
	if err := tracking.ValidateSpans(spans); err != nil {
		return err
	}
	return dst.PutSpans(ctx, exp, spans)
}
