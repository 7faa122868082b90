package trackingtest

// Differences says where a store is allowed to keep less than the contract, as
// one must that is reached over MLflow's REST API. The zero value allows
// nothing. Each field loosens just the checks that its comment speaks of;
// whole interfaces that a store lacks need no field, they are not tested.
type Differences struct {
	// Shared: the stores that Open returns hold entries of other tests, as on
	// one server for all of them. Names of experiments get a random end, and
	// what the test did not make is left out of what is listed.
	Shared bool

	// OwnIDs: the store allocates the ids of experiments, runs, logged models
	// and assessments and replaces given ones.
	OwnIDs bool
	// OwnTimes: the times of creation and update of experiments, logged models
	// and assessments are those of the store's clock, whatever was given.
	OwnTimes bool
	// OwnURIs: the store chooses the artifact URIs of runs and logged models.
	OwnURIs bool
	// OwnTags: the store adds tags and metadata whose keys begin with
	// "mlflow.".
	OwnTags bool
	// NoDeletionTimes: DeletedAt is zero for runs and experiments too that are
	// deleted.
	NoDeletionTimes bool

	// NotAtomic: an update, a batch or a list of spans that is refused may be
	// stored in part.
	NotAtomic bool
	// PlainConflicts: a param that would change is an ErrInvalid or an
	// ErrConflict, and no *tracking.ParamConflictError.
	PlainConflicts bool
	// DeletesOnce: to delete what is deleted is an error, and so it is to
	// restore what is active.
	DeletesOnce bool
	// RestoresAll: restoring an experiment restores all its runs.
	RestoresAll bool
	// LooseDeletes: deleting a tag or an assessment that is not there may be
	// no error.
	LooseDeletes bool
	// LooseTokens: a page token is a number of entries, so that another query
	// takes it, and entries written between two pages move the others.
	LooseTokens bool
	// NoLimits: tracking.MaxRunParams and its like are not enforced.
	NoLimits bool

	// ClampedInfinities: infinite values come back as ±math.MaxFloat64.
	ClampedInfinities bool
	// LooseFilters: doubled quotes, backslashes in a pattern, and the odd
	// clauses that only this module defines, mean something else.
	LooseFilters bool
	// NaNMatchesZero: to filters NaN is 0.
	NaNMatchesZero bool
	// ShortDigests: digests end at 36 characters.
	ShortDigests bool
	// SharedDatasets: the source, schema and profile of a dataset are kept once
	// for each name and digest in an experiment, and a run has one input of
	// each.
	SharedDatasets bool
	// RepeatedOutputs: an output of a run that is logged again is not ignored.
	RepeatedOutputs bool
	// SamplesPoints: SampleHistory spaces points evenly, not steps, and for
	// each run on its own.
	SamplesPoints bool

	// ModelsGoForGood: a deleted logged model may not be found, is not listed
	// and not restored.
	ModelsGoForGood bool
	// NoStatusMessage: the StatusMessage of a logged model is not kept.
	NoStatusMessage bool

	// RewrittenSpans: the Content of spans comes back in another form, and so
	// may a Value of an assessment; spans end a trace that was put in progress.
	RewrittenSpans bool
	// OnlyTraceTags: UpdateTrace changes tags and nothing else.
	OnlyTraceTags bool
}
