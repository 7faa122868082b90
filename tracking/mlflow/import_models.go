package mlflow

import (
	"context"
	"errors"
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/tracking"
)

// importModels copies the logged models with their files, and collects the
// points that measure them for their runs.
func (im *importer) importModels(ctx context.Context) error {
	p := newPool(ctx, im.opts.Concurrency)
	for _, e := range im.experiments {
		if e.skip {
			continue
		}
		read := func(page tracking.Page) ([]tracking.LoggedModel, string, error) {
			return im.src.SearchModels(p.ctx, tracking.ModelQuery{Experiments: []tracking.ExperimentID{e.from.ID}, Page: page})
		}
		err := eachPage(read, maxModelPage, func(m tracking.LoggedModel) error {
			if im.models == nil {
				im.differ(Difference{Experiment: e.from.ID, Model: m.ID, What: "logged model", Source: "has it", Destination: "keeps no logged models"})
				return nil
			}
			p.do(func(ctx context.Context) error {
				err := im.importModel(ctx, e.to, m)
				return im.refused(ctx, Difference{Experiment: e.from.ID, Model: m.ID, What: "logged model"}, err)
			})
			return p.ctx.Err()
		})
		if errors.Is(err, errs.ErrUnsupported) { // a server before 3.0 has none
			break
		}
		if err != nil {
			p.cancel(err)
			break
		}
	}
	return p.wait()
}

func (im *importer) importModel(ctx context.Context, exp tracking.Experiment, from tracking.LoggedModel) error {
	to, err := im.findModel(ctx, exp, from)
	if err != nil {
		return err
	}
	im.mu.Lock()
	im.modelIDs[from.ID] = to.ID
	for _, p := range from.Metrics {
		im.linked[p.Run] = append(im.linked[p.Run], tracking.Metric{
			Key: p.Key, Value: p.Value, Step: p.Step, Time: p.Time,
			Link: &tracking.MetricLink{Model: to.ID, DatasetName: p.DatasetName, DatasetDigest: p.DatasetDigest},
		})
	}
	im.mu.Unlock()

	d := Difference{Experiment: from.Experiment, Model: from.ID}
	if _, err := im.copyFiles(ctx, d, from.ArtifactURI, to.ArtifactURI); err != nil {
		return err
	}
	update := tracking.ModelUpdate{SetTags: map[string]string{}, SetParams: map[string]string{}}
	for key, value := range from.Params {
		if old, ok := to.Params[key]; !ok || old != value {
			update.SetParams[key] = value
		}
	}
	for key, value := range importTags(from.Tags) {
		if old, ok := to.Tags[key]; !ok || old != value {
			update.SetTags[key] = value
		}
	}
	if from.Status != to.Status {
		update.Status = from.Status
	}
	if from.StatusMessage != to.StatusMessage {
		update.StatusMessage = from.StatusMessage
	}
	if update.Status != "" || update.StatusMessage != "" || len(update.SetTags)+len(update.SetParams) > 0 {
		if err := update.Validate(); err != nil {
			return err
		}
		if err := im.models.UpdateModel(ctx, to.ID, update); err != nil {
			return err
		}
		if to, err = im.models.Model(ctx, to.ID); err != nil {
			return err
		}
	}
	im.compareModel(d, &from, &to)
	im.count(func(p *ImportProgress, r *ImportResult) {
		r.Models++
		p.Models++
		p.Experiment, p.Run = from.Experiment, ""
	})
	return nil
}

// findModel returns the model in the destination, made now if need be.
func (im *importer) findModel(ctx context.Context, exp tracking.Experiment, from tracking.LoggedModel) (tracking.LoggedModel, error) {
	to, err := im.models.Model(ctx, from.ID)
	if err == nil && to.Deleted {
		return to, fmt.Errorf("it is deleted there: %w", errs.ErrConflict)
	}
	if !errors.Is(err, errs.ErrNotFound) {
		return to, err
	}
	mark := im.mark("models", string(from.ID))
	page, _, err := im.models.SearchModels(ctx, tracking.ModelQuery{
		Experiments: []tracking.ExperimentID{exp.ID}, Filter: filterByMark(mark), Page: tracking.Page{Max: 1},
	})
	if err != nil {
		return to, err
	}
	if len(page) > 0 {
		return page[0], nil
	}
	tags := importTags(from.Tags)
	tags[importSourceTag] = mark
	made := from
	made.Experiment, made.Tags, made.ArtifactURI, made.Metrics = exp.ID, tags, "", nil
	made.Status = tracking.ModelPending // until its files are there
	if err := made.Validate(); err != nil {
		return tracking.LoggedModel{}, err
	}
	return im.models.CreateModel(ctx, made)
}

func (im *importer) compareModel(d Difference, from, to *tracking.LoggedModel) {
	compare := func(what, source, destination string) {
		if source != destination {
			d.What, d.Source, d.Destination = what, shownValue(source), shownValue(destination)
			im.differ(d)
		}
	}
	compare("name", from.Name, to.Name)
	compare("type", from.Type, to.Type)
	compare("source run", string(from.SourceRun), string(to.SourceRun))
	compare("status", string(from.Status), string(to.Status))
	im.comparePairs(d, "param", from.Params, to.Params)
	im.comparePairs(d, "tag", importTags(from.Tags), to.Tags)
}
