package mlflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/tracking"
)

func (im *importer) view() tracking.View {
	if im.opts.Deleted {
		return tracking.All
	}
	return tracking.ActiveOnly
}

// eachPage reads a paged answer to its end.
func eachPage[T any](read func(tracking.Page) ([]T, string, error), size int, use func(T) error) error {
	p := tracking.Page{Max: size}
	for {
		page, next, err := read(p)
		if err != nil {
			return err
		}
		for _, v := range page {
			if err := use(v); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		if next == p.Token {
			return fmt.Errorf("the server answered the same page token twice: %w", errs.ErrUnavailable)
		}
		p.Token = next
	}
}

// importExperiments makes or finds every experiment in the destination.
func (im *importer) importExperiments(ctx context.Context) error {
	read := func(p tracking.Page) ([]tracking.Experiment, string, error) {
		return im.src.SearchExperiments(ctx, tracking.ExperimentQuery{
			View: im.view(), OrderBy: []string{"creation_time ASC", "experiment_id ASC"}, Page: p,
		})
	}
	seen := map[tracking.ExperimentID]bool{}
	err := eachPage(read, maxPage, func(e tracking.Experiment) error {
		if len(im.opts.Experiments) > 0 && !slices.Contains(im.opts.Experiments, e.ID) {
			return nil
		}
		seen[e.ID] = true
		return im.importExperiment(ctx, e)
	})
	if err != nil {
		return err
	}
	for _, id := range im.opts.Experiments {
		if !seen[id] {
			im.differ(Difference{Experiment: id, What: "experiment", Source: "has none, or it is deleted", Destination: "was to have it"})
		}
	}
	return nil
}

func (im *importer) importExperiment(ctx context.Context, from tracking.Experiment) error {
	tags := importTags(from.Tags)
	tags[importSourceTag] = im.mark("experiments", string(from.ID))
	to, found, err := im.findExperiment(ctx, from, tags[importSourceTag])
	if err == nil && !found {
		to, err = im.createExperiment(ctx, from, tags)
	}
	missing := Difference{Experiment: from.ID, What: "experiment", Source: fmt.Sprintf("has %q", from.Name)}
	if err != nil {
		return im.refused(ctx, missing, err)
	}
	e := importedExperiment{from: from, to: to}
	switch {
	case to.Deleted && !from.Deleted:
		missing.Destination = "has it deleted"
		im.differ(missing)
		e.skip = true
	case to.Deleted:
		e.skip = true // to delete it was the last step
	case found:
		set := map[string]string{}
		for key, value := range tags {
			if old, ok := to.Tags[key]; !ok || old != value {
				set[key] = value
			}
		}
		if len(set) > 0 {
			u := tracking.ExperimentUpdate{SetTags: set}
			err := u.Validate()
			if err == nil {
				err = im.dst.UpdateExperiment(ctx, to.ID, u)
			}
			missing.What = "tags"
			if err := im.refused(ctx, missing, err); err != nil {
				return err
			}
		}
	}
	im.experiments = append(im.experiments, e)
	im.count(func(p *ImportProgress, r *ImportResult) {
		r.Experiments[from.ID] = to.ID
		p.Experiments++
		p.Experiment, p.Run = from.ID, ""
	})
	return nil
}

// findExperiment finds what an earlier import made of from, else an experiment
// of its name.
func (im *importer) findExperiment(ctx context.Context, from tracking.Experiment, mark string) (tracking.Experiment, bool, error) {
	for _, q := range []tracking.ExperimentQuery{
		{Filter: filterByMark(mark), View: tracking.All, Page: tracking.Page{Max: 1}},
		{Name: from.Name, View: tracking.All, Page: tracking.Page{Max: 1}},
	} {
		page, _, err := im.dst.SearchExperiments(ctx, q)
		if err != nil {
			return tracking.Experiment{}, false, err
		}
		if len(page) > 0 {
			return page[0], true, nil
		}
	}
	return tracking.Experiment{}, false, nil
}

func filterByMark(mark string) string {
	return fmt.Sprintf("tags.`%s` = '%s'", importSourceTag, mark)
}

func (im *importer) createExperiment(ctx context.Context, from tracking.Experiment, tags map[string]string) (tracking.Experiment, error) {
	e := tracking.Experiment{ID: from.ID, Name: from.Name, Tags: tags, Created: from.Created, Updated: from.Updated}
	if err := e.Validate(); err != nil {
		return tracking.Experiment{}, err
	}
	to, err := im.dst.CreateExperiment(ctx, e)
	if errors.Is(err, errs.ErrExists) { // the id is taken
		e.ID = ""
		to, err = im.dst.CreateExperiment(ctx, e)
	}
	return to, err
}

// importTags leaves out what belongs to imports.
func importTags(tags map[string]string) map[string]string {
	out := maps.Clone(tags)
	if out == nil {
		out = map[string]string{}
	}
	maps.DeleteFunc(out, func(key, _ string) bool { return strings.HasPrefix(key, importTagPrefix) })
	return out
}

// deleteExperiments deletes what is deleted in the source.
func (im *importer) deleteExperiments(ctx context.Context) error {
	deleted := true
	for _, e := range im.experiments {
		if !e.from.Deleted || e.to.Deleted {
			continue
		}
		err := im.dst.UpdateExperiment(ctx, e.to.ID, tracking.ExperimentUpdate{Deleted: &deleted})
		if err := im.refused(ctx, Difference{Experiment: e.from.ID, What: "deletion"}, err); err != nil {
			return err
		}
	}
	return nil
}

// countRuns compares how many runs of the source each experiment has on both
// sides.
func (im *importer) countRuns(ctx context.Context) error {
	for _, e := range im.experiments {
		if e.skip {
			continue
		}
		have := 0
		read := func(p tracking.Page) ([]tracking.RunInfo, string, error) {
			return im.dst.SearchRuns(ctx, tracking.RunQuery{
				Experiments: []tracking.ExperimentID{e.to.ID}, View: tracking.All,
				Filter: fmt.Sprintf("tags.`%s` LIKE '%s%%'", importSourceTag, im.mark("runs", "")), Page: p,
			})
		}
		err := eachPage(read, maxPage, func(tracking.RunInfo) error { have++; return nil })
		if err != nil {
			return err
		}
		if have < e.runs {
			im.differ(Difference{Experiment: e.from.ID, What: "number of runs", Source: fmt.Sprint(e.runs), Destination: fmt.Sprint(have)})
		}
	}
	return nil
}
