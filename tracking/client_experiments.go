package tracking

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
)

// ExperimentOptions of Client.CreateExperiment. The zero value is ready, and
// so is a nil pointer.
type ExperimentOptions struct {
	// ArtifactLocation is where the files of the experiment's runs go, see
	// CleanLocation. Default: below the artifact root of the store.
	ArtifactLocation string
	// Tags of the experiment from the start, at most 100. Default none.
	Tags map[string]string
}

// CreateExperiment makes an experiment. ErrExists when there is one with the
// name, even a deleted one.
func (c *Client) CreateExperiment(ctx context.Context, name string, opts *ExperimentOptions) (Experiment, error) {
	if err := c.check("create experiment"); err != nil {
		return Experiment{}, err
	}
	e := Experiment{Name: name, Created: now()}
	e.Updated = e.Created
	if opts != nil {
		e.Tags = maps.Clone(opts.Tags)
		if opts.ArtifactLocation != "" {
			location, err := CleanLocation(opts.ArtifactLocation)
			if err != nil {
				return Experiment{}, err
			}
			e.ArtifactLocation = location
		}
	}
	if err := e.Validate(); err != nil {
		return Experiment{}, err
	}
	return c.store.CreateExperiment(ctx, e)
}

// Experiment returns the experiment with the name, at most 500 characters, and
// creates it when there is none. ErrInvalid when it is deleted.
func (c *Client) Experiment(ctx context.Context, name string) (Experiment, error) {
	e, err := c.ExperimentByName(ctx, name)
	if errors.Is(err, ErrNotFound) {
		e, err = c.CreateExperiment(ctx, name, nil)
		if errors.Is(err, ErrExists) { // another process was faster, which is as good
			e, err = c.ExperimentByName(ctx, name)
		}
	}
	if err == nil && e.Deleted {
		return Experiment{}, fmt.Errorf("tracking: experiment %q is deleted: restore it with RestoreExperiment or choose another name: %w", name, ErrInvalid)
	}
	return e, err
}

// ExperimentByName returns the experiment with the name, also a deleted one.
// ErrNotFound when there is none.
func (c *Client) ExperimentByName(ctx context.Context, name string) (Experiment, error) {
	if err := c.check("get experiment"); err != nil {
		return Experiment{}, err
	}
	if err := ValidateExperimentName(name); err != nil {
		return Experiment{}, err
	}
	return c.oneExperiment(ctx, ExperimentQuery{Name: name}, name)
}

// ExperimentByID returns one experiment, also a deleted one. ErrNotFound when
// there is none.
func (c *Client) ExperimentByID(ctx context.Context, id ExperimentID) (Experiment, error) {
	if err := c.check("get experiment"); err != nil {
		return Experiment{}, err
	}
	if err := ValidateExperimentID(id); err != nil {
		return Experiment{}, err
	}
	return c.oneExperiment(ctx, ExperimentQuery{ID: id}, string(id))
}

func (c *Client) oneExperiment(ctx context.Context, q ExperimentQuery, subject string) (Experiment, error) {
	q.View = All
	for e, err := range pages(c, "get experiment", Page{Max: 1}, func(p Page) ([]Experiment, string, error) {
		q.Page = p
		return c.store.SearchExperiments(ctx, q)
	}) {
		return e, err
	}
	return Experiment{}, fmt.Errorf("tracking: get experiment %q: there is none: %w", shorten(subject), ErrNotFound)
}

// Experiments yields the experiments that q selects, page by page: q.Page.Max
// is the size of a page, q.Page.Token where to begin. The zero query is all
// that are not deleted, the latest created first.
func (c *Client) Experiments(ctx context.Context, q ExperimentQuery) iter.Seq2[Experiment, error] {
	return pages(c, "list experiments", q.Page, func(p Page) ([]Experiment, string, error) {
		query := q
		query.Page = p
		return c.store.SearchExperiments(ctx, query)
	})
}

// UpdateExperiment renames an experiment, sets and deletes its tags, all or
// nothing. ErrNotFound, ErrExists when the new name is taken, ErrInvalid when
// the experiment is deleted.
func (c *Client) UpdateExperiment(ctx context.Context, id ExperimentID, u ExperimentUpdate) error {
	if err := c.check("update experiment"); err != nil {
		return err
	}
	if err := errors.Join(ValidateExperimentID(id), u.Validate()); err != nil {
		return err
	}
	return c.store.UpdateExperiment(ctx, id, u)
}

// DeleteExperiment puts an experiment with its runs out of sight. They stay
// until Purge; RestoreExperiment brings them back.
func (c *Client) DeleteExperiment(ctx context.Context, id ExperimentID) error {
	return c.UpdateExperiment(ctx, id, ExperimentUpdate{Deleted: new(true)})
}

// RestoreExperiment brings back a deleted experiment with the runs that were
// deleted with it.
func (c *Client) RestoreExperiment(ctx context.Context, id ExperimentID) error {
	return c.UpdateExperiment(ctx, id, ExperimentUpdate{Deleted: new(false)})
}
