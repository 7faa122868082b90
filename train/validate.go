package train

import (
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
)

var (
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	labelPart  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)
	subdomain  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	secretKey  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,253}$`)
	migProfile = regexp.MustCompile(`^[1-9][0-9]*g\.([1-9][0-9]{0,4})gb(\+[a-z0-9.]+)?$`)
	digest     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	// The grammar of the distribution project, with its limit on the name.
	image = regexp.MustCompile(`^(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?` +
		`[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*` +
		`(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`)
)

const (
	maxImageBytes = 512
	maxProcs      = 1 << 20 // in all nodes: beyond every cluster, and far from overflow
)

// Validate reports every fault of the Spec in one ErrInvalid.
func (s Spec) Validate() error {
	var f errs.Faults
	f.Check(s.Name != "", "name is empty")
	f.Check(len(s.Name) <= maxNameBytes, "name has %d bytes, want at most %d", len(s.Name), maxNameBytes)
	f.Check((s.Image != "" && len(s.Command) == 0) || (len(s.Command) > 0 && s.Command[0] != ""), "command is empty")
	f.Check(s.Image == "" || (len(s.Image) <= maxImageBytes && image.MatchString(s.Image)),
		"image %.100q is no image reference, such as \"registry.example/team/name:tag\": names are lower-case", s.Image)
	for what, text := range map[string]string{"name": s.Name, "dir": s.Dir, "output": s.Output, "model": s.Model, "run": s.Run, "checkpoint URI": s.Checkpoint.URI} {
		if text != "" { // a map, because the order of the rare faults here does not matter
			checkText(&f, what, text)
		}
	}
	for i, arg := range s.Command {
		checkText(&f, "command["+strconv.Itoa(i)+"]", arg)
	}
	s.checkEnv(&f)
	s.checkVolumes(&f)
	s.checkSize(&f)
	s.checkPolicy(&f)
	for i, in := range s.Inputs {
		f.Check(in.Name != "", "inputs[%d] has no name", i)
		for _, text := range []string{in.Name, in.Version, in.Digest, in.URI} {
			checkText(&f, "inputs["+strconv.Itoa(i)+"]", text)
		}
	}
	subject := "train: spec"
	if s.Name != "" && utf8.ValidString(s.Name) {
		subject = fmt.Sprintf("train: spec %.250q", s.Name)
	}
	return f.Err(subject)
}

// checkText refuses what an argument vector or JSON would silently change.
func checkText(f *errs.Faults, what, text string) {
	f.Check(utf8.ValidString(text), "%s is not valid UTF-8", what)
	f.Check(!strings.Contains(text, "\x00"), "%s holds a NUL byte", what)
}

func (s Spec) checkEnv(f *errs.Faults) {
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		f.Check(name != "" && !strings.Contains(name, "="), "env name %q is empty or holds \"=\"", name)
		s.checkOwn(f, "env", name)
		checkText(f, "env name", name)
		checkText(f, "env "+name, s.Env[name])
	}
	seen := map[string]bool{}
	for i, secret := range s.Secrets {
		f.Check(envName.MatchString(secret.Env), "secrets[%d]: env %q is no name of a variable", i, secret.Env)
		f.Check(isSubdomain(secret.Name), "secrets[%d]: name %q is not lower-case letters, digits, \"-\" and \".\"", i, secret.Name)
		f.Check(isKey(secret.Key), "secrets[%d]: key %q is not letters, digits, \"-\", \"_\" and \".\"", i, secret.Key)
		s.checkOwn(f, fmt.Sprintf("secrets[%d]: env", i), secret.Env)
		_, twice := s.Env[secret.Env]
		f.Check(!twice && !seen[secret.Env], "secrets[%d]: env %q is set twice", i, secret.Env)
		seen[secret.Env] = true
	}
}

func (s Spec) checkOwn(f *errs.Faults, what, name string) {
	f.Check(!ownEnv[name] && (name != EnvRun || s.Run == ""), "%s name %q is set by the launcher", what, name)
}

func isKey(name string) bool {
	return secretKey.MatchString(name) && name != "." && !strings.HasPrefix(name, "..")
}

func isSubdomain(name string) bool { return len(name) <= 253 && subdomain.MatchString(name) }

func (s Spec) checkVolumes(f *errs.Faults) {
	paths := map[string]bool{}
	for i, v := range s.Volumes {
		checkText(f, fmt.Sprintf("volumes[%d]", i), v.Path+v.HostPath)
		f.Check(path.IsAbs(v.Path) && v.Path != "/" && path.Clean(v.Path) == v.Path && !strings.Contains(v.Path, ":"),
			"volumes[%d]: path %q is not absolute, plain and below \"/\"", i, v.Path)
		f.Check(!paths[v.Path], "volumes[%d]: path %q is mounted twice", i, v.Path)
		paths[v.Path] = true
		kinds := 0
		for _, name := range []string{v.Claim, v.Secret, v.ConfigMap} {
			if name != "" {
				kinds++
				f.Check(isSubdomain(name), "volumes[%d]: name %q is not lower-case letters, digits, \"-\" and \".\"", i, name)
			}
		}
		if v.HostPath != "" {
			kinds++
			f.Check(path.IsAbs(v.HostPath) && !slices.Contains(strings.Split(v.HostPath, "/"), ".."),
				"volumes[%d]: host path %q is not absolute, or holds \"..\"", i, v.HostPath)
		}
		if v.Scratch != 0 {
			kinds++
			f.Check(v.Scratch >= -1, "volumes[%d]: scratch is %d bytes, want -1 (as large as the node allows) or more", i, v.Scratch)
		}
		f.Check(kinds == 1, "volumes[%d] has %d of claim, secret, configMap, hostPath and scratch, want one", i, kinds)
		f.Check(!v.Memory || v.Scratch != 0, "volumes[%d]: only scratch can be kept in memory", i)
	}
}

func (s Spec) checkSize(f *errs.Faults) {
	f.Check(s.Nodes >= 0, "nodes is %d, want 0 (one) or more", s.Nodes)
	f.Check(s.Procs >= 0, "procs is %d, want 0 (the default) or more", s.Procs)
	if s.Nodes > 0 || s.Procs > 0 {
		f.Check(s.NodeCount() <= maxProcs && s.ProcCount() <= maxProcs && s.NodeCount()*s.ProcCount() <= maxProcs,
			"%d nodes of %d processes are more than %d", s.NodeCount(), s.ProcCount(), maxProcs)
	}
	switch s.Launch {
	case "", Plain, Torchrun, JAX:
	case MPI:
		f.Check(s.Nodes > 1, "launch is mpi with %d node, want at least 2: on one node mpirun can be the command of a plain job", s.NodeCount())
	default:
		f.Addf("launch is %q, want plain, torchrun, mpi or jax", s.Launch)
	}
	r := s.Resources
	f.Check(r.CPU >= 0 && !math.IsInf(r.CPU, 0) && !math.IsNaN(r.CPU), "resources: cpu is %v cores, want 0 or more", r.CPU)
	f.Check(r.Memory >= 0, "resources: memory is %d bytes, want 0 or more", r.Memory)
	f.Check(r.Disk >= 0, "resources: disk is %d bytes, want 0 or more", r.Disk)
	s.GPU.check(f)
}

func (g GPU) check(f *errs.Faults) {
	f.Check(g.Count >= 0 && g.Count <= maxProcs, "gpu: count is %d, want 0 (none) to %d", g.Count, maxProcs)
	f.Check(g.MinMemory >= 0, "gpu: minMemory is %d bytes, want 0 (any) or more", g.MinMemory)
	f.Check(g.Count != 0 || (len(g.Types) == 0 && g.MinMemory == 0 && g.MIG == "" && !g.Shared),
		"gpu: count is 0 beside a type, memory, MIG profile or shared, want at least 1")
	for i, t := range g.Types {
		checkText(f, fmt.Sprintf("gpu: types[%d]", i), t)
		f.Check(len(gpuTokens(t)) > 0, "gpu: types[%d] %q names no type, such as \"H100\"", i, t)
	}
	if g.MIG == "" {
		return
	}
	m := migProfile.FindStringSubmatch(g.MIG)
	f.Check(m != nil, "gpu: mig %q is no profile, such as \"1g.10gb\"", g.MIG)
	f.Check(!g.Shared, "gpu: shared beside a MIG profile, whose slices are isolated")
	if m != nil {
		gb, _ := strconv.ParseInt(m[1], 10, 64) // at most five digits
		f.Check(g.MinMemory <= gb<<30, "gpu: minMemory is %d bytes, which slices of %s do not have", g.MinMemory, g.MIG)
	}
}

func (s Spec) checkPolicy(f *errs.Faults) {
	switch c := s.Checkpoint; {
	case c.Resume == "" || c.Resume == ResumeLatest || c.Resume == ResumeNone || digest.MatchString(c.Resume):
		f.Check(c.URI != "" || c.Resume == "", "checkpoint: resume is %q without a URI", c.Resume)
	default:
		f.Addf("checkpoint: resume is %.100q, want latest, none or \"sha256:…\" of a manifest", c.Resume)
	}
	f.Check(s.Retry.Infra >= -1, "retry: infra is %d, want -1 (never), 0 (%d times) or more", s.Retry.Infra, defaultInfra)
	f.Check(s.Retry.User >= 0, "retry: user is %d, want 0 (never) or more", s.Retry.User)
	for _, code := range slices.Sorted(maps.Keys(s.Retry.ExitCodes)) {
		f.Check(code >= 1 && code <= 255, "retry: exit code %d is not between 1 and 255", code)
		a := s.Retry.ExitCodes[code]
		f.Check(a == RetryInfra || a == Fail, "retry: exit code %d leads to %q, want retry or fail", code, a)
	}
	f.Check(s.Deadline >= 0, "deadline is %v, want 0 (none) or more", s.Deadline)
	f.Check(s.Grace >= 0 || s.Grace == -1, "grace is %v, want -1 (none), 0 (%v) or more", s.Grace, DefaultGrace)
	f.Check(s.TTL >= 0, "ttl is %v, want 0 (none) or more", s.TTL)
	f.Check(s.MaxCost >= 0 && !math.IsInf(s.MaxCost, 0) && !math.IsNaN(s.MaxCost), "maxCost is %v, want 0 (no cap) or more", s.MaxCost)
	f.Check(s.Queue == "" || isSubdomain(s.Queue), "queue %q is not lower-case letters, digits, \"-\" and \".\"", s.Queue)
	f.Check(s.Priority == "" || isSubdomain(s.Priority), "priority %q is not lower-case letters, digits, \"-\" and \".\"", s.Priority)
	f.Check(s.Gang == "" || slices.Contains([]Gang{GangAuto, GangOn, GangOff}, s.Gang), "gang is %q, want auto, on or off", s.Gang)
	f.Check(s.Spot == "" || slices.Contains([]Spot{SpotNever, SpotAllow, SpotPrefer, SpotRequire}, s.Spot),
		"spot is %q, want never, allow, prefer or require", s.Spot)
	f.Check(s.Team == "" || labelPart.MatchString(s.Team), "team %q is no label value: at most 63 letters, digits, \"-\", \"_\" and \".\"", s.Team)
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		prefix, name, two := strings.Cut(key, "/")
		f.Check((two && isSubdomain(prefix) && labelPart.MatchString(name)) || (!two && labelPart.MatchString(key)),
			"label key %q is not \"name\" or \"domain/name\" of at most 63 letters, digits, \"-\", \"_\" and \".\"", key)
		v := s.Labels[key]
		f.Check(v == "" || labelPart.MatchString(v), "label %s=%q: the value is not at most 63 letters, digits, \"-\", \"_\" and \".\"", key, v)
	}
}
