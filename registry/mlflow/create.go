package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/tracking"
)

// quickBytes is the size up to which files are copied before there is a
// version, so that nothing of one is seen when that fails.
const quickBytes = 64 << 20

func (h *Handler) createVersion(c *call, m *mlflowapi.CreateModelVersion) (any, error) {
	if _, err := c.model(m.Name); err != nil {
		return nil, err
	}
	if err := checkTags(m.Tags...); err != nil {
		return nil, err
	}
	s, err := c.sourceOf(m)
	if err != nil {
		return nil, err
	}
	d := registry.Draft{
		Run: s.runID, Source: s.uri, LoggedModel: s.modelID, User: c.user(), Description: m.Description, Tags: mapOf(m.Tags),
	}
	if m.RunLink != "" {
		if d.Tags == nil {
			d.Tags = map[string]string{}
		}
		d.Tags[tagRunLink] = m.RunLink
	}
	describe(&d, s)
	v, err := h.register(c.Ctx(), m.Name, d, s)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, noModel(m.Name) // deleted in the meantime
	}
	if err != nil {
		return nil, err
	}
	if s.model != nil {
		h.link(c, s.model.ID, v)
	}
	return versionAnswer(v), nil
}

// tagVersions lists, on a logged model, the versions made of it.
const tagVersions = "mlflow.modelVersions"

// link tells the logged model of a version of it. The version is there without,
// so that what fails here is no failure of the request.
func (h *Handler) link(c *call, id tracking.ModelID, v *registry.Version) {
	type entry struct {
		Name    string `json:"name"`
		Version int    `json:"version"`
	}
	models, ok := h.opts.Tracking.(tracking.ModelStore)
	if !ok {
		return
	}
	m, err := models.Model(c.Ctx(), id)
	if err == nil {
		var list []json.RawMessage // clients write the number as text
		if old := m.Tags[tagVersions]; old != "" && json.Unmarshal([]byte(old), &list) != nil {
			list = nil
		}
		own, _ := json.Marshal(entry{v.Name, v.Number}) // cannot fail
		text, _ := json.Marshal(append(list, own))
		err = models.UpdateModel(c.Ctx(), id, tracking.ModelUpdate{SetTags: map[string]string{tagVersions: string(text)}})
	}
	if err != nil {
		h.opts.Logger.WarnContext(c.Ctx(), "mlflow: a logged model could not be told of its version", "model", string(id), "version", v.Ref(), "error", err)
	}
}

// register makes the version, with its files as far as they can be read here.
func (h *Handler) register(ctx context.Context, name string, d registry.Draft, s *source) (*registry.Version, error) {
	files, size, err := h.sourceFiles(ctx, s)
	if err != nil {
		return nil, err
	}
	if files == nil {
		return h.reg.Declare(ctx, name, d, false)
	}
	if s.version == nil {
		h.readModel(files, &d)
	}
	if size <= h.quick {
		d.Files = files
		return h.reg.Register(ctx, name, d)
	}
	v, err := h.reg.Declare(ctx, name, d, true)
	if err != nil {
		return nil, err
	}
	return h.copies.wait(ctx, h, v)
}

// readModel takes what the model's own description tells. What cannot be read
// of it is left out: it is the client's file.
func (h *Handler) readModel(files fs.FS, d *registry.Draft) {
	m, err := registry.ReadMLmodel(files)
	if err == nil {
		run, model := d.Run, d.LoggedModel
		err = m.Fill(d)
		d.Run, d.LoggedModel = run, model // those that the caller may read, whatever the file says
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.opts.Logger.Info("mlflow: the description of a model is not understood", "source", d.Source, "error", err)
	}
}

// sourceFiles opens the files of a source; nil when there are none, or none
// that this server reads.
func (h *Handler) sourceFiles(ctx context.Context, s *source) (files fs.FS, size int64, err error) {
	switch {
	case s.version != nil:
		if len(s.version.Files) == 0 {
			return nil, 0, nil
		}
		for _, f := range s.version.Files {
			size += f.Size
		}
		files, err = h.reg.Open(ctx, s.version)
		return files, size, err
	case s.location == "":
		return nil, 0, nil
	}
	files, err = h.filesAt(ctx, s.location, s.open)
	if errors.Is(err, registry.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	size, err = sizeOf(files)
	if err != nil || size < 0 {
		return nil, 0, err
	}
	return files, size, nil
}

// sizeOf returns the bytes of all files, -1 when there are no files.
func sizeOf(files fs.FS) (size int64, err error) {
	if f, ok := files.(*artifactFS); ok {
		if len(f.files) == 0 {
			return -1, nil
		}
		return f.bytes, nil
	}
	n := 0
	err = fs.WalkDir(files, ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		n++
		size += info.Size()
		return nil
	})
	if err == nil && n == 0 {
		return -1, nil
	}
	return size, err
}

// maxFacts is how many metrics and datasets a version takes over.
const maxFacts = 1000

// describe fills the draft with what the tracking server knows of the source:
// metrics for gates to compare, datasets and code for the lineage.
func describe(d *registry.Draft, s *source) {
	if v := s.version; v != nil {
		d.Signature, d.Framework, d.Flavor, d.Datasets, d.Metrics = v.Signature, v.Framework, v.Flavor, v.Datasets, v.Metrics
		d.Code, d.License, d.Golden = v.Code, v.License, v.Golden
		return
	}
	d.Metrics = map[string]float64{}
	if s.run != nil {
		d.Datasets = datasets(s.run.Inputs)
		d.Code = registry.Code{Commit: cutBytes(s.run.Tags["mlflow.source.git.commit"], 255), Repository: cutBytes(s.run.Tags["mlflow.source.git.repoURL"], 255)}
		for _, key := range slices.Sorted(maps.Keys(s.run.Metrics)) {
			addMetric(d, key, s.run.Metrics[key].Value)
		}
	}
	if s.model != nil { // nearer to the version than what its run measured
		latest := map[string]tracking.ModelMetric{}
		for _, m := range s.model.Metrics {
			if old, ok := latest[m.Key]; !ok || m.Step > old.Step || m.Step == old.Step && m.Time.After(old.Time) {
				latest[m.Key] = m
			}
		}
		for _, key := range slices.Sorted(maps.Keys(latest)) {
			addMetric(d, key, latest[key].Value)
		}
	}
}

// datasets are those that a run read. One that a metric was measured on is
// there a second time, without a context of its own.
func datasets(inputs []tracking.DatasetInput) (list []registry.Dataset) {
	with := map[[2]string]bool{}
	for i := range inputs {
		if inputs[i].Context != "" {
			with[[2]string{inputs[i].Name, inputs[i].Digest}] = true
		}
	}
	for i := range inputs {
		in := &inputs[i]
		if in.Context == "" && with[[2]string{in.Name, in.Digest}] || len(list) == maxFacts {
			continue
		}
		list = append(list, registry.Dataset{Name: in.Name, Version: in.Version, Digest: in.Digest, Context: in.Context})
	}
	return list
}

func addMetric(d *registry.Draft, key string, value float64) {
	if _, known := d.Metrics[key]; (known || len(d.Metrics) < maxFacts) && !math.IsNaN(value) && !math.IsInf(value, 0) {
		d.Metrics[key] = value
	}
}
