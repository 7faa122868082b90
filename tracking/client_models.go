package tracking

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"time"
)

// lastWords is how long this package tries to store how something ended when
// the context that it was given has ended already.
const lastWords = 15 * time.Second

func (c *Client) models(operation string) (ModelStore, error) {
	if err := c.check(operation); err != nil {
		return nil, err
	}
	s, ok := c.store.(ModelStore)
	if !ok {
		return nil, fmt.Errorf("tracking: %s: the store keeps no logged models: %w", operation, ErrUnsupported)
	}
	return s, nil
}

// ModelOptions of Run.LogModel. The zero value is ready, and so is a nil
// pointer.
type ModelOptions struct {
	// Type is a free text, like "agent" or "classifier". Default none.
	Type string
	// Params and Tags of the model, at most 1,000 each. Default none.
	Params, Tags map[string]string
	// Step of the training at which the model was made. Default 0.
	Step int64
	// Transfer is how the files are uploaded; Sums is always on. Default nil:
	// the defaults of TransferOptions.
	Transfer *TransferOptions
}

// LogModel stores a model that the run made: it creates the logged model, notes
// it as the run's output, uploads files and marks the model ModelReady. When
// the upload fails, or ctx ends, it is marked ModelFailed, and the error is
// returned along with the model as far as it came.
//
// A model that MLflow's Python client is to load needs the file MLmodel among
// files.
func (r *Run) LogModel(ctx context.Context, name string, files fs.FS, opts *ModelOptions) (LoggedModel, error) {
	var o ModelOptions
	if opts != nil {
		o = *opts
	}
	store, err := r.client.models("log model")
	if err != nil {
		return LoggedModel{}, err
	}
	present := now()
	m := LoggedModel{
		ID: NewModelID(), Experiment: r.experiment, Name: name, Type: o.Type, SourceRun: r.id,
		Status: ModelPending, Created: present, Updated: present,
		Params: maps.Clone(o.Params), Tags: maps.Clone(o.Tags),
	}
	if err := m.Validate(); err != nil {
		return LoggedModel{}, err
	}
	if m, err = store.CreateModel(ctx, m); err != nil {
		return LoggedModel{}, err
	}
	err = r.client.store.LogBatch(ctx, r.id, Batch{Outputs: []ModelOutput{{Model: m.ID, Step: o.Step}}})
	if err == nil {
		t := o.Transfer.withDefaults()
		t.Sums = true
		_, err = r.client.modelFiles(m).Upload(ctx, "", files, &t)
	}
	m.Status = ModelReady
	if err != nil {
		m.Status, m.StatusMessage = ModelFailed, clip(err.Error(), maxModelStatus)
	}
	ctx, cancel := survive(ctx)
	defer cancel()
	return m, errors.Join(err, store.UpdateModel(ctx, m.ID, ModelUpdate{Status: m.Status, StatusMessage: m.StatusMessage}))
}

// survive returns ctx, or, when that has ended, one that lasts lastWords more.
func survive(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), lastWords)
}

func (c *Client) modelFiles(m LoggedModel) *Files { return &Files{client: c, uri: m.ArtifactURI} }

// Model returns a logged model, also a deleted one. Its files are
// Client.Files("models:/" + id). ErrNotFound when there is none.
func (c *Client) Model(ctx context.Context, id ModelID) (LoggedModel, error) {
	store, err := c.models("get logged model")
	if err != nil {
		return LoggedModel{}, err
	}
	if err := ValidateModelID(id); err != nil {
		return LoggedModel{}, err
	}
	return store.Model(ctx, id)
}

// Models yields the logged models that q selects, the latest created first
// unless OrderBy says otherwise, page by page: q.Page.Max is the size of a
// page, q.Page.Token where to begin.
func (c *Client) Models(ctx context.Context, q ModelQuery) iter.Seq2[LoggedModel, error] {
	return func(yield func(LoggedModel, error) bool) {
		store, err := c.models("list logged models")
		if err == nil && len(q.Experiments) == 0 {
			err = fmt.Errorf("tracking: logged model query: Experiments is empty: %w", ErrInvalid)
		}
		if err != nil {
			yield(LoggedModel{}, err)
			return
		}
		pages(c, "list logged models", q.Page, func(p Page) ([]LoggedModel, string, error) {
			query := q
			query.Page = p
			return store.SearchModels(ctx, query)
		})(yield)
	}
}

// UpdateModel sets the status, tags and params of a logged model, all or
// nothing. ErrNotFound, ErrConflict when a param would change.
func (c *Client) UpdateModel(ctx context.Context, id ModelID, u ModelUpdate) error {
	store, err := c.models("update logged model")
	if err != nil {
		return err
	}
	if err := errors.Join(ValidateModelID(id), u.Validate()); err != nil {
		return err
	}
	return store.UpdateModel(ctx, id, u)
}

// DeleteModel puts a logged model out of sight. It stays until Purge;
// RestoreModel brings it back.
func (c *Client) DeleteModel(ctx context.Context, id ModelID) error {
	return c.UpdateModel(ctx, id, ModelUpdate{Deleted: new(true)})
}

// RestoreModel brings back a deleted logged model.
func (c *Client) RestoreModel(ctx context.Context, id ModelID) error {
	return c.UpdateModel(ctx, id, ModelUpdate{Deleted: new(false)})
}
