package phase

import (
	"time"

	"github.com/millwright-ml/millwright/k8s/internal/foreign"
)

// FromJobSet reads a JobSet.
func FromJobSet(set *foreign.JobSet) Root {
	r := Meta("jobset", &set.ObjectMeta)
	r.Suspended, r.Restarts = on(set.Spec.Suspend), int(set.Status.Restarts)
	r.ends(set.Status.Conditions, "Completed", "Failed")
	return r
}

// FromTrainJob reads a TrainJob.
func FromTrainJob(job *foreign.TrainJob) Root {
	r := Meta("trainjob", &job.ObjectMeta)
	r.Suspended = on(job.Spec.Suspend)
	r.ends(job.Status.Conditions, "Complete", "Failed")
	return r
}

// FromPyTorchJob reads a PyTorchJob.
func FromPyTorchJob(job *foreign.KubeflowJob) Root { return fromKubeflow("pytorchjob", job) }

// FromMPIJob reads an MPIJob.
func FromMPIJob(job *foreign.KubeflowJob) Root { return fromKubeflow("mpijob", job) }

func fromKubeflow(backend string, job *foreign.KubeflowJob) Root {
	r := Meta(backend, &job.ObjectMeta)
	r.Suspended, r.Started = on(job.Spec.RunPolicy.Suspend), at(job.Status.StartTime)
	r.ends(job.Status.Conditions, "Succeeded", "Failed")
	if r.Ended && job.Status.CompletionTime != nil {
		r.Finished = job.Status.CompletionTime.Time
	}
	return r
}

func on(b *bool) bool { return b != nil && *b }

// ends reads the end out of conditions.
func (r *Root) ends(conditions []foreign.Condition, good, bad string) {
	if c := foreign.Find(conditions, good); c.True() {
		r.Ended, r.OK, r.Finished = true, true, c.LastTransitionTime.Time
		return
	}
	c := foreign.Find(conditions, bad)
	if !c.True() {
		return
	}
	r.Ended, r.Reason, r.Message = true, c.Reason, c.Message
	if r.Finished.IsZero() || c.LastTransitionTime.After(r.Finished) {
		r.Finished = c.LastTransitionTime.Time
	}
}

// overdue reports whether the job ran for as long as it may: a JobSet does not say
// that its Job was stopped at its deadline.
func (r *Root) overdue(started time.Time) bool {
	return r.Deadline > 0 && !started.IsZero() && r.Finished.Sub(started) >= r.Deadline-time.Second
}
