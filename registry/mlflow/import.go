package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"sync"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/registry"
)

const (
	maxImportDifferences = 1000
	// maxGap is how many numbers in a row the source may have skipped.
	maxGap = 10_000
)

// ImportOptions of Import. The zero value is ready, and so is a nil pointer.
type ImportOptions struct {
	// Models selects by name. Default: all, prompts included.
	Models []string

	// OpenFrom opens the files at a URI that the source does not hand out
	// itself, like s3://bucket/model. Default nil: such versions are imported
	// without files, which is a Difference.
	OpenFrom func(ctx context.Context, uri string) (fs.FS, error)

	// Concurrency is how many models are copied at once. Default 4.
	Concurrency int

	// Source names the source in the keys of versions and in the audit log; it
	// has to stay the same for an import that goes on. Letters, digits and
	// . - _ : / only, at most 100. Default: host and path of the URL that Dial
	// was given.
	Source string

	// Recheck reads the files of versions again that an earlier import
	// finished, and compares their digests with those recorded then. Default:
	// they are taken for good.
	Recheck bool

	// OnProgress is called after each version and each model, by one goroutine
	// at a time. It should return soon. Default nil.
	OnProgress func(ImportProgress)
}

// ImportProgress is how far an Import is.
type ImportProgress struct {
	Models, Versions int   // done, now or before
	Files, Bytes     int64 // copied now
	// Model and Version were finished last; Version is 0 after a model.
	Model   string
	Version int
}

// ImportResult is what an Import did.
type ImportResult struct {
	Models   int // there now
	Versions int // copied now
	Skipped  int // versions that an earlier import finished
	Aliases  int // set or moved now
	Files    int64
	Bytes    int64 // of Files
	// Differences are where the destination is not as the source, at most
	// 1,000 of them; Different counts them all.
	Differences []Difference
	Different   int
}

// Difference is something that is not in the destination as it is in the
// source.
type Difference struct {
	Model       string
	Version     int    // of the source; 0 when it is not about one
	What        string // like "alias champion" or "files"
	Source      string // what the source has
	Destination string // what the destination has, or why it has nothing
}

// String names the record, what differs, and both sides.
func (d Difference) String() string {
	where := fmt.Sprintf("model %q", d.Model)
	if d.Version > 0 {
		where = fmt.Sprintf("version \"%s/%d\"", d.Model, d.Version)
	}
	return fmt.Sprintf("%s: %s: source %s, destination %s", where, d.What, d.Source, d.Destination)
}

// Import copies the model registry of an MLflow server into dst: models with
// description and tags, versions with their files, signature, description,
// tags and stage, aliases, and prompts. Versions keep their numbers: those that
// the source has deleted are made and deleted in dst too, which does not work
// in a model that had versions before, and is a Difference then. Times, users
// and webhooks are dst's own, deleted models do not show on the wire.
//
// Files are stored under the SHA-256 of what was read, so that every later
// Open verifies them; the file MLmodel fills what a Draft has of it. A version
// appears with all its files or not at all.
//
// What dst has in the end is compared with the source. What differs is in the
// result, and makes the error an ErrConflict that shows the first; so nil means
// that dst has everything. What dst refuses, like a name that breaks its rules,
// is a Difference too and does not stop the rest.
//
// Any other error ends the import: a server that stays away, a full disk, the
// end of ctx. The next call with the same source and dst goes on, by the keys
// of the versions: those that are there are not read again, except with
// Recheck. It brings descriptions, tags, stages and aliases up to date. An
// alias that was moved in dst since then, by anyone else, stays where it is and
// is a Difference.
func Import(ctx context.Context, src *Conn, dst *registry.Registry, opts *ImportOptions) (ImportResult, error) {
	var o ImportOptions
	if opts != nil {
		o = *opts
	}
	im, err := newImporter(src, dst, o)
	if err != nil {
		return ImportResult{}, err
	}
	err = im.run(ctx)
	switch {
	case err != nil:
		err = fmt.Errorf("mlflow: import from %q: %w", im.opts.Source, err)
	case im.result.Different > 0:
		err = fmt.Errorf("mlflow: import from %q: %d differences, the first: %s: %w",
			im.opts.Source, im.result.Different, im.result.Differences[0], errs.ErrConflict)
	}
	return im.result, err
}

// importer is one Import.
type importer struct {
	src  *Conn
	dst  *registry.Registry
	opts ImportOptions

	mu       sync.Mutex // for what follows
	result   ImportResult
	progress ImportProgress
}

func newImporter(src *Conn, dst *registry.Registry, o ImportOptions) (*importer, error) {
	var f errs.Faults
	f.Check(src != nil, "the source is nil")
	f.Check(dst != nil, "the destination is nil")
	f.Check(o.Concurrency >= 0, "Concurrency is %d, want 0 or more", o.Concurrency)
	if o.Concurrency == 0 {
		o.Concurrency = 4
	}
	if o.Source == "" && src != nil {
		if u, err := url.Parse(src.client.Base()); err == nil {
			o.Source = u.Host + u.Path
		}
	}
	const limit = 100
	odd := strings.IndexFunc(o.Source, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:/", r))
	})
	f.Check(odd < 0 && len(o.Source) <= limit, "Source is %q, want at most %d letters, digits and . - _ : /", mlflowclient.Shown(o.Source), limit)
	if err := f.Err("mlflow: import"); err != nil {
		return nil, err
	}
	return &importer{src: src, dst: dst, opts: o}, nil
}

// by is who made what, in the audit log.
func (im *importer) by() string { return "import from " + im.opts.Source }

// run imports the models, several at once.
func (im *importer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, im.opts.Concurrency)
	var wg sync.WaitGroup
	for m, err := range im.models(ctx) {
		if err != nil {
			cancel(err)
			break
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			err := im.refused(ctx, Difference{Model: m.Name, What: "model"}, im.importModel(ctx, m))
			if err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// models yields the models of the source that are to be imported.
func (im *importer) models(ctx context.Context) func(func(registry.Model, error) bool) {
	return func(yield func(registry.Model, error) bool) {
		for _, name := range im.opts.Models {
			m, err := im.src.getModel(ctx, name)
			if !yield(m, err) || err != nil {
				return
			}
		}
		if len(im.opts.Models) > 0 {
			return
		}
		// A search shows no prompts unless it asks for them.
		for _, filter := range []string{"", "tags.`" + registry.PromptTag + "` = 'true'"} {
			for token := ""; ; {
				page, next, err := im.src.SearchModels(ctx, registry.ModelQuery{Filter: filter, Page: registry.Page{Max: maxModels, Token: token}})
				if err == nil && next != "" && next == token {
					err = fmt.Errorf("the server answered the same page token twice: %w", errs.ErrUnsupported)
				}
				if err != nil {
					yield(registry.Model{}, err)
					return
				}
				for _, m := range page {
					if !yield(m, nil) {
						return
					}
				}
				if token = next; token == "" {
					break
				}
			}
		}
	}
}

// differ records a difference.
func (im *importer) differ(d Difference) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.result.Different++
	if len(im.result.Differences) < maxImportDifferences {
		im.result.Differences = append(im.result.Differences, d)
	}
}

// refused records the difference that err tells of and returns nil, or returns
// err when it has to end the import.
func (im *importer) refused(ctx context.Context, d Difference, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, kind := range []error{errs.ErrInvalid, errs.ErrConflict, errs.ErrExists, errs.ErrNotFound} {
		if errors.Is(err, kind) {
			if d.Source == "" {
				d.Source = "has it"
			}
			d.Destination = err.Error()
			im.differ(d)
			return nil
		}
	}
	return err
}

// count changes the progress and the result, and reports.
func (im *importer) count(change func(p *ImportProgress, r *ImportResult)) {
	im.mu.Lock()
	defer im.mu.Unlock()
	change(&im.progress, &im.result)
	if im.opts.OnProgress != nil {
		im.opts.OnProgress(im.progress)
	}
}
