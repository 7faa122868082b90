package mlflow

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/millwright-ml/millwright/tracking"
)

// points copies the whole history of every metric. Points that measure logged
// models go first, with what ties them to the model; they come again in the
// history without it, where they are known already.
func (c *runCopy) points(ctx context.Context) (map[string]pointsSummary, error) {
	for _, m := range c.im.linked[c.from.ID] { // nothing writes to the map any more
		if err := c.metric(ctx, m); err != nil {
			return nil, err
		}
	}
	out := make(map[string]pointsSummary, len(c.from.Metrics))
	for _, key := range slices.Sorted(maps.Keys(c.from.Metrics)) {
		var summary pointsSummary
		err := eachPoint(ctx, c.im.src, c.from.ID, key, func(m tracking.Metric) error {
			summary.add(&m)
			return c.metric(ctx, m)
		})
		if err != nil {
			return nil, err
		}
		out[key] = summary
		c.im.mu.Lock()
		c.im.progress.Points += summary.count
		c.im.result.Points += summary.count
		c.im.mu.Unlock()
	}
	return out, nil
}

func eachPoint(ctx context.Context, s tracking.Store, id tracking.RunID, key string, use func(tracking.Metric) error) error {
	read := func(p tracking.Page) ([]tracking.Metric, string, error) { return s.History(ctx, id, key, p) }
	return eachPage(read, importPointsPage, use)
}

// sumHistory reads a metric of the destination back.
func (im *importer) sumHistory(ctx context.Context, id tracking.RunID, key string) (pointsSummary, error) {
	var s pointsSummary
	err := eachPoint(ctx, im.dst, id, key, func(m tracking.Metric) error {
		s.add(&m)
		return nil
	})
	return s, err
}

// verify reads the run back and compares it with the source.
func (c *runCopy) verify(ctx context.Context, points map[string]pointsSummary) error {
	to, err := c.im.dst.Run(ctx, c.to)
	if err != nil {
		return err
	}
	if c.from.Name != "" {
		c.compare("name", c.from.Name, to.Name)
	}
	c.compare("user", c.from.User, to.User)
	c.compare("status", string(c.from.Status), string(to.Status))
	c.compare("start", fmt.Sprint(millis(c.from.Start)), fmt.Sprint(millis(to.Start)))
	c.compare("end", fmt.Sprint(millis(c.from.End)), fmt.Sprint(millis(to.End)))
	c.im.comparePairs(c.d, "param", c.from.Params, to.Params)
	c.im.comparePairs(c.d, "tag", importTags(c.from.Tags), to.Tags)
	c.compareInputs(&to)
	for _, key := range slices.Sorted(maps.Keys(points)) {
		have, err := c.im.sumHistory(ctx, c.to, key)
		if err != nil {
			return err
		}
		if have != points[key] {
			c.compare(fmt.Sprintf("metric %q", key), points[key].String(), have.String())
		}
	}
	return nil
}

func (c *runCopy) compare(what, from, to string) {
	if from != to {
		d := c.d
		d.What, d.Source, d.Destination = what, shownValue(from), shownValue(to)
		c.im.differ(d)
	}
}

func (c *runCopy) compareInputs(to *tracking.RunInfo) {
	d := c.d
	for i := range c.from.Inputs {
		in := &c.from.Inputs[i]
		same := func(o tracking.DatasetInput) bool {
			return o.Name == in.Name && o.Version == in.Version && o.Digest == in.Digest && o.Context == in.Context &&
				o.SourceType == in.SourceType && o.Source == in.Source && o.Schema == in.Schema && o.Profile == in.Profile &&
				maps.Equal(o.Tags, in.Tags)
		}
		if !slices.ContainsFunc(to.Inputs, same) {
			d.What, d.Source, d.Destination = fmt.Sprintf("input %q", in.Name), "has it", "lacks it, or has it differently"
			c.im.differ(d)
		}
	}
	for _, id := range c.from.ModelInputs {
		if !slices.Contains(to.ModelInputs, c.im.modelID(id)) {
			d.What, d.Source, d.Destination = fmt.Sprintf("logged model %q as input", id), "has it", "lacks it"
			c.im.differ(d)
		}
	}
	for _, o := range c.from.Outputs {
		if !slices.Contains(to.Outputs, tracking.ModelOutput{Model: c.im.modelID(o.Model), Step: o.Step}) {
			d.What, d.Source, d.Destination = fmt.Sprintf("logged model %q as output", o.Model), "has it", "lacks it"
			c.im.differ(d)
		}
	}
}

// recheck compares a run of an earlier import with the source's present state
// and with what that import recorded.
func (im *importer) recheck(ctx context.Context, from, to *tracking.RunInfo, done doneMark) error {
	d := Difference{Experiment: from.Experiment, Run: from.ID}
	im.comparePairs(d, "param", from.Params, to.Params)
	im.comparePairs(d, "tag", importTags(from.Tags), to.Tags)
	byKey := make(map[string]pointsSummary, len(from.Metrics))
	for key := range from.Metrics {
		var err error
		if byKey[key], err = im.sumHistory(ctx, to.ID, key); err != nil {
			return err
		}
	}
	if count, digest := sumPoints(byKey); digest != done.Digest {
		d.What = "metrics"
		d.Source, d.Destination = fmt.Sprintf("%d points, digest %s", done.Points, done.Digest), fmt.Sprintf("%d points, digest %s", count, digest)
		im.differ(d)
	}
	if !im.withFiles() {
		return nil
	}
	files, err := im.sumFiles(ctx, to.ArtifactURI)
	if err != nil {
		return im.refused(ctx, d, err)
	}
	if files.Digest != done.Files.Digest {
		d.What = "artifacts"
		d.Source = fmt.Sprintf("%d files of %d bytes, digest %s", done.Files.Files, done.Files.Bytes, done.Files.Digest)
		d.Destination = fmt.Sprintf("%d files of %d bytes, digest %s", files.Files, files.Bytes, files.Digest)
		im.differ(d)
	}
	return nil
}
