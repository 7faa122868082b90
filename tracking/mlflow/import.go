package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/tracking"
)

// The tags by which an import finds again what it made. Tags of the source
// with this prefix, of an import into it, are left out.
const (
	importTagPrefix = "millwright.import."
	// importSourceTag names the entry of the source, like
	// "ml.example.com/runs/0123…", on experiments, runs and logged models.
	importSourceTag = importTagPrefix + "source"
	// importDoneTag is on a run that has ended, is imported whole and was
	// verified: counts and digests as JSON.
	importDoneTag = importTagPrefix + "done"
)

const maxDifferences = 1000

// ImportOptions of Import. The zero value is ready, and so is a nil pointer.
type ImportOptions struct {
	// Experiments selects by the source's ids. Default: all.
	Experiments []tracking.ExperimentID

	// Deleted imports deleted experiments and runs too, which are deleted in
	// the destination then. Logged models that are deleted do not show on the
	// wire.
	Deleted bool

	// To takes the artifacts that the destination's URIs of the scheme
	// mlflow-artifacts name, by tracking.ArtifactKey; OpenTo opens the place
	// of any other URI, as tracking.Options.OpenArtifacts does. Default nil,
	// both: no artifacts are imported.
	To     tracking.Artifacts
	OpenTo func(ctx context.Context, uri string) (tracking.Artifacts, error)

	// From and OpenFrom have the artifacts of the source in the same way.
	// Default: what the server hands out itself; files elsewhere are then a
	// Difference.
	From     tracking.Artifacts
	OpenFrom func(ctx context.Context, uri string) (tracking.Artifacts, error)

	// Traces imports the traces of the experiments too.
	Traces bool

	// Concurrency is how many runs, and how many files, are copied at once.
	// Default 4.
	Concurrency int

	// Source names the source in the destination's tags; it has to stay the
	// same for an import that goes on. Letters, digits and . - _ : / only.
	// Default: host and path of the URL that Dial was given.
	Source string

	// Recheck verifies again the runs that an earlier import finished, by the
	// counts and digests recorded then. Default: they are skipped.
	Recheck bool

	// OnProgress is called after each experiment, logged model, run and file,
	// by one goroutine at a time. It should return soon. Default nil.
	OnProgress func(ImportProgress)
}

// ImportProgress is how far an Import is. Runs that were finished before count
// as done.
type ImportProgress struct {
	Experiments, Models, Runs, Traces int
	Points, Files, Bytes              int64 // copied now
	// Experiment and Run are the source's ids of what was finished last.
	Experiment tracking.ExperimentID
	Run        tracking.RunID
}

// ImportResult is what an Import did.
type ImportResult struct {
	// Experiments maps the ids of the source to those of the destination.
	Experiments map[tracking.ExperimentID]tracking.ExperimentID
	Models      int // copied or there already
	Runs        int // copied now
	SkippedRuns int // finished by an earlier import
	Traces      int
	Points      int64 // metric points copied
	Files       int64 // artifacts copied, or compared as they were there already
	Bytes       int64 // of Files
	// Differences are where the destination is not as the source, at most
	// 1,000 of them; Different counts them all.
	Differences []Difference
	Different   int
}

// Difference is something that is not in the destination as it is in the
// source.
type Difference struct {
	Experiment  tracking.ExperimentID // of the source
	Run         tracking.RunID        // of the source; empty when it is not about a run
	Model       tracking.ModelID      // of the source; empty when it is not about a logged model
	What        string                // like `param "lr"` or `artifact "model/MLmodel"`
	Source      string                // what the source has
	Destination string                // what the destination has, or why it has nothing
}

// String names the entry, what differs, and both sides.
func (d Difference) String() string {
	where := fmt.Sprintf("experiment %q", d.Experiment)
	switch {
	case d.Run != "":
		where = fmt.Sprintf("run %q", d.Run)
	case d.Model != "":
		where = fmt.Sprintf("logged model %q", d.Model)
	}
	return fmt.Sprintf("%s: %s: source %s, destination %s", where, d.What, d.Source, d.Destination)
}

// Import copies what an MLflow server has into dst: experiments with their
// tags, runs with all they hold and every point of their metrics, logged
// models, artifacts and traces. Ids of runs and logged models are kept where
// dst takes them, ids of experiments where they are free; an experiment of the
// same name is imported into. Times, and what the wire does not show, are
// dst's own.
//
// Every run is read back and compared with the source, points and files by
// count and digest. What differs is in the result, and makes the error an
// ErrConflict that shows the first; so nil means that dst has everything. What
// dst refuses, like a name that breaks its rules, is a Difference too and does
// not stop the rest.
//
// Any other error ends the import: a server that stays away, a full disk, the
// end of ctx. The next call with the same source and dst goes on: it skips the
// runs that an earlier one finished, which tags on them tell, and sends the
// others again, which is harmless. Runs of the source that have not ended are
// compared with every call and so brought up to date.
func Import(ctx context.Context, src *Conn, dst tracking.Store, opts *ImportOptions) (ImportResult, error) {
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
	src    *Conn
	dst    tracking.Store
	models tracking.ModelStore // of dst, nil when it keeps none
	opts   ImportOptions

	experiments []importedExperiment
	linked      map[tracking.RunID][]tracking.Metric // points that measure logged models, with the destination's model ids
	modelIDs    map[tracking.ModelID]tracking.ModelID

	mu       sync.Mutex // for what follows
	result   ImportResult
	progress ImportProgress
	reported map[Difference]bool
	byRun    map[tracking.RunID]int // differences

	files chan struct{} // limits the transfers
}

// importedExperiment is an experiment in source and destination.
type importedExperiment struct {
	from, to tracking.Experiment
	// skip: there is nothing to do, or it cannot be written to.
	skip bool
	runs int // seen in the source
}

func newImporter(src *Conn, dst tracking.Store, o ImportOptions) (*importer, error) {
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
	const limit = 200
	odd := strings.IndexFunc(o.Source, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:/", r))
	})
	f.Check(odd < 0 && len(o.Source) <= limit, "Source is %q, want at most %d letters, digits and . - _ : /", shownSubject(o.Source), limit)
	if err := f.Err("mlflow: import"); err != nil {
		return nil, err
	}
	im := &importer{
		src: src, dst: dst, opts: o, linked: map[tracking.RunID][]tracking.Metric{}, modelIDs: map[tracking.ModelID]tracking.ModelID{},
		files: make(chan struct{}, o.Concurrency), reported: map[Difference]bool{}, byRun: map[tracking.RunID]int{},
	}
	if im.opts.From == nil {
		im.opts.From = src.Artifacts()
	}
	im.models, _ = dst.(tracking.ModelStore)
	im.result.Experiments = map[tracking.ExperimentID]tracking.ExperimentID{}
	return im, nil
}

// run goes through the phases. Logged models come before the runs, as points
// that measure them are lost to models that do not exist yet; experiments are
// deleted at the end, as a deleted one takes no runs.
func (im *importer) run(ctx context.Context) error {
	for _, phase := range []func(context.Context) error{
		im.importExperiments, im.importModels, im.importRuns, im.importTraces, im.countRuns, im.deleteExperiments,
	} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mark is the source tag's value of an entry.
func (im *importer) mark(kind, id string) string {
	return im.opts.Source + "/" + kind + "/" + id
}

// differ records a difference, once for each thing: what was refused would
// else be missed again by the comparison.
func (im *importer) differ(d Difference) {
	im.mu.Lock()
	defer im.mu.Unlock()
	about := Difference{Experiment: d.Experiment, Run: d.Run, Model: d.Model, What: d.What}
	if im.reported[about] {
		return
	}
	if len(im.reported) < 100*maxDifferences {
		im.reported[about] = true
	}
	im.byRun[d.Run]++
	im.result.Different++
	if len(im.result.Differences) < maxDifferences {
		im.result.Differences = append(im.result.Differences, d)
	}
}

// refusal reports an error that says that dst will not take one thing, or that
// it is gone, which must not keep back everything else.
func refusal(err error) bool {
	for _, kind := range []error{errs.ErrInvalid, errs.ErrConflict, errs.ErrExists, errs.ErrNotFound} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
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
	if !refusal(err) {
		return err
	}
	if d.Source == "" {
		d.Source = "has it"
	}
	d.Destination = err.Error()
	im.differ(d)
	return nil
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

// pool does jobs in parallel until one fails.
type pool struct {
	ctx    context.Context // for the length of one phase
	cancel context.CancelCauseFunc
	slots  chan struct{}
	wg     sync.WaitGroup
}

func newPool(ctx context.Context, size int) *pool {
	p := &pool{slots: make(chan struct{}, size)}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	return p
}

// do waits for a free place and starts job; false when the pool has ended.
func (p *pool) do(job func(context.Context) error) bool {
	select {
	case p.slots <- struct{}{}:
	case <-p.ctx.Done():
		return false
	}
	if p.ctx.Err() != nil {
		<-p.slots
		return false
	}
	p.wg.Go(func() {
		defer func() { <-p.slots }()
		if err := job(p.ctx); err != nil {
			p.cancel(err)
		}
	})
	return true
}

// wait returns the first error of a job, or of the context.
func (p *pool) wait() error {
	p.wg.Wait()
	err := context.Cause(p.ctx)
	p.cancel(nil)
	return err
}
