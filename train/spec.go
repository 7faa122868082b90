package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The environment variables that a job's process finds. They are set after
// Spec.Env and can not be set by it.
const (
	EnvJobID = "MILLWRIGHT_JOB_ID"   // the job's id
	EnvSpec  = "MILLWRIGHT_JOB_SPEC" // path of a file that ReadSpec reads
)

const (
	// DefaultGrace is the time between SIGTERM and SIGKILL when Spec.Grace is 0.
	DefaultGrace = 10 * time.Second

	maxSpecBytes = 1 << 20
	maxNameBytes = 250
)

// Spec says what to run. It is pure data: it marshals to JSON and back without
// loss, and two equal Specs have equal hashes.
type Spec struct {
	// Name says what the job is for, in lists and messages. Required, at most
	// 250 bytes, not unique.
	Name string `json:"name"`
	// Command is the program and its arguments. Required. A program without a
	// slash is looked for in PATH, one with a slash below Dir.
	Command []string `json:"command"`
	// Dir is the process's working directory. Default: the one of the process
	// that submits.
	Dir string `json:"dir,omitempty"`
	// Env is added to the environment that the launcher provides, and wins over
	// it. Names are non-empty and hold no "=".
	Env map[string]string `json:"env,omitempty"`
	// Inputs names the data that the job reads. Launchers do not fetch it: they
	// hand it to the process (see ReadSpec) and keep it with the job, as lineage.
	Inputs []Input `json:"inputs,omitempty"`
	// Output is where the process leaves what it makes, a path or a URI, as its
	// program understands it. Handed on like Inputs.
	Output string `json:"output,omitempty"`
	// Deadline is the longest time that the process may run, counted from its
	// start; afterwards it is ended as by Cancel. Default 0: no deadline.
	Deadline time.Duration `json:"deadline,omitempty"`
	// Grace is the time that the process has between SIGTERM and SIGKILL, to
	// write a checkpoint. Default 0: DefaultGrace; -1: none, SIGKILL at once.
	Grace time.Duration `json:"grace,omitempty"`
}

// Input names one version of a dataset.
type Input struct {
	Name    string `json:"name"`              // required
	Version string `json:"version,omitempty"` // as the dataset counts them
	Digest  string `json:"digest,omitempty"`  // of the version's content
	URI     string `json:"uri,omitempty"`     // where the process finds it
}

// Validate reports every fault of the Spec in one ErrInvalid.
func (s Spec) Validate() error {
	var f errs.Faults
	f.Check(s.Name != "", "name is empty")
	f.Check(len(s.Name) <= maxNameBytes, "name has %d bytes, want at most %d", len(s.Name), maxNameBytes)
	f.Check(len(s.Command) > 0 && s.Command[0] != "", "command is empty")
	checkText(&f, "name", s.Name)
	checkText(&f, "dir", s.Dir)
	checkText(&f, "output", s.Output)
	for i, arg := range s.Command {
		checkText(&f, fmt.Sprintf("command[%d]", i), arg)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		f.Check(name != "" && !strings.Contains(name, "="), "env name %q is empty or holds \"=\"", name)
		f.Check(name != EnvJobID && name != EnvSpec, "env name %q is set by the launcher", name)
		checkText(&f, "env name", name)
		checkText(&f, "env "+name, s.Env[name])
	}
	for i, in := range s.Inputs {
		f.Check(in.Name != "", "inputs[%d] has no name", i)
		for _, text := range []string{in.Name, in.Version, in.Digest, in.URI} {
			checkText(&f, fmt.Sprintf("inputs[%d]", i), text)
		}
	}
	f.Check(s.Deadline >= 0, "deadline is %v, want 0 (none) or more", s.Deadline)
	f.Check(s.Grace >= 0 || s.Grace == -1, "grace is %v, want -1 (none), 0 (%v) or more", s.Grace, DefaultGrace)
	subject := "train: spec"
	if s.Name != "" && utf8.ValidString(s.Name) {
		subject = fmt.Sprintf("train: spec %q", s.Name)
	}
	return f.Err(subject)
}

// checkText refuses what an argument vector or JSON would silently change.
func checkText(f *errs.Faults, what, text string) {
	f.Check(utf8.ValidString(text), "%s is not valid UTF-8", what)
	f.Check(!strings.Contains(text, "\x00"), "%s holds a NUL byte", what)
}

// GracePeriod is Grace with its default applied and -1 as 0.
func (s Spec) GracePeriod() time.Duration {
	switch {
	case s.Grace < 0:
		return 0
	case s.Grace == 0:
		return DefaultGrace
	default:
		return s.Grace
	}
}

// Hash is the SHA-256, in hex, of the Spec's JSON. Launchers use it to tell a
// repeated Submit from a different job under the same key.
func (s Spec) Hash() string {
	data, err := json.Marshal(s) // a struct of strings and numbers; map keys come sorted
	if err != nil {
		data = fmt.Appendf(nil, "%#v", s)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ReadSpec reads a Spec as JSON, at most 1 MiB of it, and validates it. A job's
// process reads the file named by EnvSpec with it.
func ReadSpec(r io.Reader) (Spec, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSpecBytes+1))
	if err != nil {
		return Spec{}, fmt.Errorf("train: read spec: %w", err)
	}
	if len(data) > maxSpecBytes {
		return Spec{}, fmt.Errorf("train: read spec: longer than %d bytes: %w", maxSpecBytes, ErrInvalid)
	}
	var s Spec
	if err := json.Unmarshal(data, &s); err != nil {
		return Spec{}, fmt.Errorf("train: read spec: %w: %w", err, ErrInvalid)
	}
	if err := s.Validate(); err != nil {
		return Spec{}, err
	}
	return s, nil
}
