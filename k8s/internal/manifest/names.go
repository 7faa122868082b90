package manifest

// The labels and annotations of everything that belongs to a job. They are the
// launcher's whole memory: a job is found and read from them alone.
const (
	Domain = "millwright.dev/"

	LabelJob     = Domain + "job"  // the id, on the root object and its pods
	LabelTeam    = Domain + "team" // Spec.Team
	LabelManaged = "app.kubernetes.io/managed-by"
	Managed      = "millwright"

	NoteSpec      = Domain + "spec"      // the Spec as JSON
	NoteHash      = Domain + "spec-hash" // Spec.Hash
	NoteKey       = Domain + "key"       // SubmitOptions.Key
	NoteNodes     = Domain + "nodes"     // how many pods the job has
	NoteDeadline  = Domain + "deadline"  // with MaxCost applied, as a duration
	NoteAttempt   = Domain + "attempt"   // resumes before, on root and pods
	NoteCancelled = Domain + "cancelled" // when Cancel was called
	NoteSuspended = Domain + "suspended" // when Suspend was called
	NoteHistory   = Domain + "attempts"  // attempts whose pods are gone, as JSON
	NoteProgress  = Domain + "progress"  // the newest report of a pod that is gone

	// LabelQueue is Kueue's.
	LabelQueue = "kueue.x-k8s.io/queue-name"

	// Container is the container that runs the command.
	Container = "main"

	// SpecDir is where pods find the Spec, SpecFile the file.
	SpecDir  = "/etc/millwright"
	SpecFile = SpecDir + "/spec.json"
)
