package tracking

import "runtime/debug"

// Tags that this package writes. Those that begin with "mlflow." are MLflow's,
// whose web UI shows them.
const (
	TagParentRun   = "mlflow.parentRunId"
	TagDescription = "mlflow.note.content"
	TagUser        = "mlflow.user"
	TagSourceName  = "mlflow.source.name"
	TagSourceType  = "mlflow.source.type"
	TagGitCommit   = "mlflow.source.git.commit"
	TagGitDirty    = "millwright.source.git.dirty" // "true" when the sources had changes beyond the commit
	TagError       = "millwright.error"            // why the run ended, see Run.End
	TagTraceID     = "millwright.otel.trace_id"
	TagSpanID      = "millwright.otel.span_id"
)

// SourceTags returns tags that tell which program runs: its main package and,
// when it was built with version control information, the commit. They are for
// RunOptions.Tags.
func SourceTags() map[string]string {
	tags := map[string]string{TagSourceType: "LOCAL"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return tags
	}
	if info.Path != "" {
		tags[TagSourceName] = info.Path
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && s.Value != "":
			tags[TagGitCommit] = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			tags[TagGitDirty] = s.Value
		}
	}
	return tags
}
