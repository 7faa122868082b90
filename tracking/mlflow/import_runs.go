package mlflow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/tracking"
)

const (
	importRunsPage   = 100
	importPointsPage = 10_000
	importInputsPart = 10 // inputs in one batch, as each may have megabytes
)

// importRuns copies the runs of every experiment, several at once.
func (im *importer) importRuns(ctx context.Context) error {
	p := newPool(ctx, im.opts.Concurrency)
	for i := range im.experiments {
		e := &im.experiments[i]
		if e.skip {
			continue
		}
		seen := map[tracking.RunID]bool{} // pages of servers that count entries repeat some when others write
		read := func(page tracking.Page) ([]tracking.RunInfo, string, error) {
			return im.src.SearchRuns(p.ctx, tracking.RunQuery{
				Experiments: []tracking.ExperimentID{e.from.ID}, View: im.view(),
				OrderBy: []string{"attributes.start_time ASC"}, Page: page,
			})
		}
		err := eachPage(read, importRunsPage, func(run tracking.RunInfo) error {
			if seen[run.ID] {
				return nil
			}
			seen[run.ID] = true
			e.runs++
			p.do(func(ctx context.Context) error {
				err := im.importRun(ctx, e, run)
				return im.refused(ctx, Difference{Experiment: e.from.ID, Run: run.ID, What: "run"}, err)
			})
			return p.ctx.Err()
		})
		if err != nil {
			p.cancel(err)
			break
		}
	}
	return p.wait()
}

// runCopy is the import of one run.
type runCopy struct {
	im    *importer
	mark  string // the fingerprint
	from  tracking.RunInfo
	to    tracking.RunID
	d     Difference
	batch tracking.Batch // waiting to be sent
}

func (im *importer) importRun(ctx context.Context, e *importedExperiment, listed tracking.RunInfo) error {
	mark := im.mark("runs", string(listed.ID))
	to, err := im.findRun(ctx, e, listed.ID, mark)
	if err != nil && !errors.Is(err, errs.ErrNotFound) {
		return err
	}
	exists := err == nil
	if exists {
		if done, ok := parseDoneMark(to.Tags[importDoneTag]); ok && done.Run == fingerprint(&listed) && done.Artifacts == im.withFiles() {
			if im.opts.Recheck {
				if err := im.recheck(ctx, &listed, &to, done); err != nil {
					return err
				}
			}
			im.finished(e, listed.ID, func(r *ImportResult) { r.SkippedRuns++ })
			return nil
		}
	}
	c := &runCopy{im: im, mark: fingerprint(&listed), d: Difference{Experiment: e.from.ID, Run: listed.ID}}
	if c.from, err = im.src.Run(ctx, listed.ID); err != nil {
		return err
	}
	if to, err = c.open(ctx, e, to, exists, mark); err != nil {
		return err
	}
	if err := c.copy(ctx, to); err != nil {
		return err
	}
	im.finished(e, listed.ID, func(r *ImportResult) { r.Runs++ })
	return nil
}

func (im *importer) finished(e *importedExperiment, id tracking.RunID, change func(*ImportResult)) {
	im.count(func(p *ImportProgress, r *ImportResult) {
		change(r)
		p.Runs++
		p.Experiment, p.Run = e.from.ID, id
	})
}

// findRun finds the run in the destination: by its id, which most stores keep,
// else by the mark of an earlier import.
func (im *importer) findRun(ctx context.Context, e *importedExperiment, id tracking.RunID, mark string) (tracking.RunInfo, error) {
	to, err := im.dst.Run(ctx, id)
	if !errors.Is(err, errs.ErrNotFound) {
		return to, err
	}
	page, _, again := im.dst.SearchRuns(ctx, tracking.RunQuery{
		Experiments: []tracking.ExperimentID{e.to.ID}, View: tracking.All, Filter: filterByMark(mark), Page: tracking.Page{Max: 1},
	})
	if again != nil {
		return to, again
	}
	if len(page) == 0 {
		return to, err
	}
	return page[0], nil
}

// open makes the run in the destination, or makes one that is there ready to
// be written to.
func (c *runCopy) open(ctx context.Context, e *importedExperiment, to tracking.RunInfo, exists bool, mark string) (tracking.RunInfo, error) {
	if !exists {
		run := tracking.RunInfo{
			ID: c.from.ID, Experiment: e.to.ID, Name: c.from.Name, User: c.from.User, Status: c.from.Status,
			Start: c.from.Start, End: c.from.End, Tags: map[string]string{importSourceTag: mark},
		}
		if run.Validate() != nil {
			run.Name = string(run.ID) // old servers let a name be empty, or anything
		}
		if err := run.Validate(); err != nil {
			return run, err
		}
		made, err := c.im.dst.CreateRun(ctx, run)
		c.to = made.ID
		return made, err
	}
	c.to = to.ID
	if to.Experiment != e.to.ID {
		return to, fmt.Errorf("it is in experiment %q there: %w", to.Experiment, errs.ErrConflict)
	}
	var u tracking.RunUpdate
	if to.Deleted {
		active := false
		u.Deleted = &active
	}
	if to.Name != c.from.Name && to.Name != string(to.ID) {
		u.Name = c.from.Name
	}
	if to.Status != c.from.Status {
		u.Status = c.from.Status
	}
	if !to.End.Equal(c.from.End) {
		u.End = c.from.End
	}
	if u.Deleted != nil || u.Name != "" || u.Status != "" || !u.End.IsZero() {
		if err := u.Validate(); err != nil {
			return to, err
		}
		if err := c.im.dst.UpdateRun(ctx, to.ID, u); err != nil {
			return to, err
		}
	}
	return to, c.im.dst.LogBatch(ctx, to.ID, tracking.Batch{Tags: map[string]string{importSourceTag: mark}})
}

// copy copies all that the run holds, reads it back, and marks the run.
func (c *runCopy) copy(ctx context.Context, to tracking.RunInfo) error {
	if err := c.pairs(ctx); err != nil {
		return err
	}
	if err := c.inputs(ctx); err != nil {
		return err
	}
	points, err := c.points(ctx)
	if err != nil {
		return err
	}
	if err := c.flush(ctx); err != nil {
		return err
	}
	files, err := c.im.copyFiles(ctx, c.d, c.from.ArtifactURI, to.ArtifactURI)
	if err != nil {
		return err
	}
	if err := c.verify(ctx, points); err != nil {
		return err
	}
	if !c.different() && c.from.Status.Ended() {
		done := doneMark{Run: c.mark, Files: files, Artifacts: c.im.withFiles()}
		done.Points, done.Digest = sumPoints(points)
		if err := c.im.dst.LogBatch(ctx, c.to, tracking.Batch{Tags: map[string]string{importDoneTag: done.String()}}); err != nil {
			return err
		}
	}
	if c.from.Deleted {
		deleted := true
		return c.im.dst.UpdateRun(ctx, c.to, tracking.RunUpdate{Deleted: &deleted})
	}
	return nil
}

// different reports whether anything of the run differs.
func (c *runCopy) different() bool {
	c.im.mu.Lock()
	defer c.im.mu.Unlock()
	return c.im.byRun[c.from.ID] > 0
}

// flush sends what waits in the batch. What the destination refuses is sent
// again piece by piece, to keep the rest.
func (c *runCopy) flush(ctx context.Context) error {
	b := c.batch
	c.batch = tracking.Batch{}
	if len(b.Metrics)+len(b.Params)+len(b.Tags)+len(b.Inputs)+len(b.ModelInputs)+len(b.Outputs) == 0 {
		return nil
	}
	err := c.send(ctx, b)
	if err == nil || !refusal(err) {
		return err
	}
	pieces := piecesOf(b)
	if len(pieces) == 1 {
		return c.im.refused(ctx, c.pieceDifference(b), err)
	}
	for _, piece := range pieces {
		err := c.send(ctx, piece)
		if err := c.im.refused(ctx, c.pieceDifference(piece), err); err != nil {
			return err
		}
	}
	return nil
}

func (c *runCopy) send(ctx context.Context, b tracking.Batch) error {
	if err := b.Validate(); err != nil {
		return err
	}
	return c.im.dst.LogBatch(ctx, c.to, b)
}

// piecesOf takes a batch apart into batches of one entry each.
func piecesOf(b tracking.Batch) []tracking.Batch {
	var out []tracking.Batch
	for _, m := range b.Metrics {
		out = append(out, tracking.Batch{Metrics: []tracking.Metric{m}})
	}
	for _, kv := range pairsOf(b.Params) {
		out = append(out, tracking.Batch{Params: map[string]string{kv.Key: kv.Value}})
	}
	for _, kv := range pairsOf(b.Tags) {
		out = append(out, tracking.Batch{Tags: map[string]string{kv.Key: kv.Value}})
	}
	for _, in := range b.Inputs {
		out = append(out, tracking.Batch{Inputs: []tracking.DatasetInput{in}})
	}
	for _, m := range b.ModelInputs {
		out = append(out, tracking.Batch{ModelInputs: []tracking.ModelID{m}})
	}
	for _, m := range b.Outputs {
		out = append(out, tracking.Batch{Outputs: []tracking.ModelOutput{m}})
	}
	return out
}

// pieceDifference is what is said of a piece that was refused.
func (c *runCopy) pieceDifference(b tracking.Batch) Difference {
	d := c.d
	switch {
	case len(b.Metrics) > 0:
		d.What = fmt.Sprintf("point at step %d of metric %q", b.Metrics[0].Step, shownSubject(b.Metrics[0].Key))
	case len(b.Params) > 0:
		for key, value := range b.Params {
			d.What, d.Source = fmt.Sprintf("param %q", shownSubject(key)), shownValue(value)
		}
	case len(b.Tags) > 0:
		for key, value := range b.Tags {
			d.What, d.Source = fmt.Sprintf("tag %q", shownSubject(key)), shownValue(value)
		}
	case len(b.Inputs) > 0:
		d.What = fmt.Sprintf("input %q", shownSubject(b.Inputs[0].Name))
	default:
		d.What = "models read and made"
	}
	return d
}

// room sends the batch when it has no room for n more entries.
func (c *runCopy) room(ctx context.Context, full bool) error {
	if !full && len(c.batch.Metrics)+len(c.batch.Params)+len(c.batch.Tags) < tracking.MaxBatchMetrics {
		return nil
	}
	return c.flush(ctx)
}

func (c *runCopy) pairs(ctx context.Context) error {
	for _, kv := range pairsOf(c.from.Params) {
		if err := c.room(ctx, len(c.batch.Params) == tracking.MaxBatchParams); err != nil {
			return err
		}
		if c.batch.Params == nil {
			c.batch.Params = map[string]string{}
		}
		c.batch.Params[kv.Key] = kv.Value
	}
	for _, kv := range pairsOf(importTags(c.from.Tags)) {
		if err := c.room(ctx, len(c.batch.Tags) == tracking.MaxBatchTags); err != nil {
			return err
		}
		if c.batch.Tags == nil {
			c.batch.Tags = map[string]string{}
		}
		c.batch.Tags[kv.Key] = kv.Value
	}
	return nil
}

func (c *runCopy) inputs(ctx context.Context) error {
	for _, in := range c.from.Inputs {
		if err := c.room(ctx, len(c.batch.Inputs) == importInputsPart); err != nil {
			return err
		}
		c.batch.Inputs = append(c.batch.Inputs, in)
	}
	for part := range slices.Chunk(c.from.ModelInputs, tracking.MaxRunInputs) {
		for _, id := range part {
			c.batch.ModelInputs = append(c.batch.ModelInputs, c.im.modelID(id))
		}
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(c.from.Outputs, tracking.MaxRunInputs) {
		for _, o := range part {
			c.batch.Outputs = append(c.batch.Outputs, tracking.ModelOutput{Model: c.im.modelID(o.Model), Step: o.Step})
		}
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// modelID is the destination's id of a logged model.
func (im *importer) modelID(id tracking.ModelID) tracking.ModelID {
	if to, ok := im.modelIDs[id]; ok { // nothing writes to the map any more
		return to
	}
	return id
}

func (c *runCopy) metric(ctx context.Context, m tracking.Metric) error {
	if err := c.room(ctx, false); err != nil {
		return err
	}
	c.batch.Metrics = append(c.batch.Metrics, m)
	return nil
}
