package k8s

import (
	"context"

	"github.com/millwright-ml/millwright/k8s/internal/manifest"
)

// nextAttempt is the change of a suspended object's spec by which its next pods
// learn that they are of a later attempt. nil for an object without a place for it.
func (j *job) nextAttempt(ctx context.Context, attempt string) (map[string]any, error) {
	note := map[string]any{"annotations": map[string]any{manifest.NoteAttempt: attempt}}
	template := map[string]any{"template": map[string]any{"metadata": note}}
	switch j.backend.name {
	case "job":
		return template, nil
	case "pytorchjob":
		return map[string]any{"pytorchReplicaSpecs": j.eachReplica(template, "Master", "Worker")}, nil
	case "mpijob":
		return map[string]any{"mpiReplicaSpecs": j.eachReplica(template, "Launcher", "Worker")}, nil
	case "jobset":
		return j.inList(ctx, "replicatedJobs", attempt, "template", "spec", "template", "metadata", "annotations")
	case "trainjob":
		return j.inList(ctx, "runtimePatches", attempt, "trainingRuntimeSpec", "template", "spec", "replicatedJobs",
			"template", "spec", "template", "metadata", "annotations")
	}
	return nil, nil
}

// eachReplica is the template's change for each role that the job has.
func (j *job) eachReplica(template map[string]any, first, others string) map[string]any {
	out := map[string]any{first: template}
	if j.Spec().NodeCount() > 1 {
		out[others] = template
	}
	return out
}

// inList sets the attempt below a field of the spec that is a list. A list can only
// be written whole, so it is read first, in full and not as this package knows it.
func (j *job) inList(ctx context.Context, field, attempt string, path ...string) (map[string]any, error) {
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	if err := j.l.client.Get(ctx, j.backend.source.Kind, j.l.opts.Namespace, j.id, &object); err != nil {
		return nil, fault(err)
	}
	list := object.Spec[field]
	if !setBelow(list, path, attempt) {
		return nil, nil
	}
	return map[string]any{field: list}, nil
}

// setBelow sets the attempt in the objects that a path leads to, through all
// elements of the lists on its way. It reports whether there are any.
func setBelow(v any, path []string, attempt string) bool {
	switch v := v.(type) {
	case []any:
		found := false
		for _, item := range v {
			found = setBelow(item, path, attempt) || found
		}
		return found
	case map[string]any:
		if len(path) > 0 {
			return setBelow(v[path[0]], path[1:], attempt)
		}
		_, ours := v[manifest.NoteAttempt]
		if ours {
			v[manifest.NoteAttempt] = attempt
		}
		return ours
	}
	return false
}
