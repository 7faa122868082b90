package train

import "time"

// Plan is what Submit would do, found out without doing it.
type Plan struct {
	// Backend names what would run the job: "process", "job", "jobset",
	// "trainjob", "pytorchjob" or "mpijob".
	Backend string
	// Reason says why it was chosen.
	Reason string
	// Rejected holds the other backends and why each was not chosen.
	Rejected []Choice
	// Manifests are the objects that would be made, in order.
	Manifests []Manifest
	// Faults are reasons for which Submit would fail, or the job never start: what
	// the engine's own validation says, absent secrets, unknown queues. Empty:
	// Submit would be accepted.
	Faults []string
	// Warnings are wishes that would not be honoured, and other doubts.
	Warnings []string
	// GPUTypes are the types that the job could get, best first.
	GPUTypes []string
	// Headroom is what the quotas that apply leave.
	Headroom []Headroom
	// Cost is the estimate.
	Cost Cost
	// Existing is the id of the job that has the key already; Submit would attach
	// to it. Empty: there is none.
	Existing string
}

// Choice is a backend that was considered.
type Choice struct {
	Backend string
	Reason  string
}

// Manifest is one object as it would be sent.
type Manifest struct {
	Kind string // such as "batch/v1 Job"
	Name string
	YAML string
}

// Headroom is what one quota leaves of one resource.
type Headroom struct {
	Quota    string // which quota, such as "ResourceQuota team-a/gpus" or "ClusterQueue research"
	Resource string // such as "nvidia.com/gpu"
	Limit    float64
	Used     float64
	Need     float64 // of this job
}

// Fits reports whether the job's need is left.
func (h Headroom) Fits() bool { return h.Used+h.Need <= h.Limit }

// Cost is an estimate in the currency of the launcher's Prices.
type Cost struct {
	Currency string
	PerHour  float64 // with all nodes running, of the dearest type that it could get; 0 when no price is known
	Max      float64 // at the deadline; 0 without a deadline
	Deadline time.Duration
}

// Why is one answer to "why does it not run?" or "why did it fail?".
type Why struct {
	// Text is the most likely cause in one sentence with what to do about it.
	Text string
	// Findings are all causes that were found, most likely first.
	Findings []Finding
}

// Finding is one cause.
type Finding struct {
	Kind   Cause
	Text   string    // one sentence
	Object string    // where it was seen, such as "Pod team-a/fraud-0" or "Workload team-a/job-fraud"
	Since  time.Time // zero when it is not known
}

// Cause is a kind of reason, fit for a metric label.
type Cause string

// The causes. Those of jobs that wait, then those of jobs that ended or were
// started again.
const (
	CauseQueued        Cause = "queued"        // others are ahead in the queue
	CauseQuota         Cause = "quota"         // a quota leaves too little
	CauseUnschedulable Cause = "unschedulable" // no node fits
	CauseGang          Cause = "gang"          // not all nodes of the gang fit
	CauseQueueMissing  Cause = "queue-missing" // the queue does not exist or is stopped
	CauseImagePull     Cause = "image-pull"    // the image cannot be fetched
	CauseConfig        Cause = "config"        // a secret, config map or volume is missing
	CauseForbidden     Cause = "forbidden"     // the launcher or a controller lacks a right
	CauseRefused       Cause = "refused"       // the engine's validation or policy refused an object
	CauseStarting      Cause = "starting"      // nothing is wrong: it is on its way
	CauseSuspended     Cause = "suspended"     // by Suspend
	CauseController    Cause = "controller"    // no controller acts on the object
	CauseUser          Cause = "user-error"    // the program exited with a status
	CauseOOM           Cause = "out-of-memory" // killed at its memory limit
	CausePreempted     Cause = "preempted"     // taken away for a job of higher priority, or spot
	CauseEvicted       Cause = "evicted"       // drained, or the node was under pressure
	CauseNodeLost      Cause = "node-lost"     // the machine went away
	CauseDeadline      Cause = "deadline"      // Spec.Deadline or Spec.MaxCost
	CauseCancelled     Cause = "cancelled"     // by Cancel
	CauseKilled        Cause = "killed"        // by a signal of unknown origin
)

// Event is one thing that happened to a job or one of its objects.
type Event struct {
	Time    time.Time
	Object  string // such as "Pod team-a/fraud-0"; "Job" for the job itself
	Reason  string // such as "FailedScheduling"
	Text    string
	Warning bool
	Count   int // how often it was seen, at least 1
}

// Progress is the newest that the training process reported (see package
// train/checkpoint).
type Progress struct {
	Time       time.Time // of the report; zero when there was none
	Attempt    int
	Step       int64
	Total      int64 // steps in all; 0 when it is not known
	Metrics    map[string]float64
	Checkpoint *CheckpointRef // the newest that was reported
}

// ETA is the time left at the pace since started, and false when there is no
// saying.
func (p Progress) ETA(started time.Time) (time.Duration, bool) {
	spent := p.Time.Sub(started)
	if p.Step <= 0 || p.Total < p.Step || spent <= 0 {
		return 0, false
	}
	return time.Duration(float64(spent) / float64(p.Step) * float64(p.Total-p.Step)), true
}

// CheckpointRef names one checkpoint.
type CheckpointRef struct {
	Step   int64     `json:"step"`
	URI    string    `json:"uri"`
	Digest string    `json:"digest"` // "sha256:…" of its manifest
	Time   time.Time `json:"time"`
}
