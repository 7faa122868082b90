package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/train"
)

// checked is what is known of a spec before a process is made.
type checked struct {
	dir, program string
	tools        tools
	cost         train.Cost
	devices      []device // that fit, best first
	faults       []error
	warnings     []string
}

// check finds everything that would keep the spec from running here.
func (l *Launcher) check(ctx context.Context, spec train.Spec) checked {
	c := checked{tools: findTools()}
	fault := func(kind error, format string, args ...any) {
		c.faults = append(c.faults, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), kind))
	}
	var err error
	if c.dir, c.program, err = resolve(spec); err != nil {
		c.faults = append(c.faults, err)
	}
	if spec.Launch == train.MPI {
		fault(train.ErrUnsupported, "launch is mpi, which needs other machines: make mpirun the command of a plain job")
	}
	for i, v := range spec.Volumes {
		switch {
		case v.HostPath != "" && path.Clean(v.HostPath) == v.Path && !v.ReadOnly:
		case v.Scratch != 0 && v.Memory && v.Path == "/dev/shm":
			c.warnings = append(c.warnings, "/dev/shm is the machine's own and not limited")
		default:
			fault(train.ErrUnsupported, "volumes[%d]: a process sees the machine's files as they are, %s can not be mounted", i, v.Path)
		}
	}
	for _, s := range spec.Secrets {
		if _, err := l.secret(s); err != nil {
			c.faults = append(c.faults, err)
		}
	}
	if c.cost, err = l.opts.Prices.Cost(spec, nil, false); err != nil {
		c.faults = append(c.faults, err)
	}
	if c.cost.Deadline > 0 || spec.NodeCount()*spec.CommandsPerNode() > 1 || spec.GPU.Count > 0 {
		if c.tools.Sleep == "" {
			fault(train.ErrUnsupported, "this system has no sleep command, which deadlines, several processes and GPUs need")
		}
	}
	if spec.GPU.Count > 0 {
		l.checkGPUs(ctx, spec, &c)
	}
	c.warn(spec)
	if spec.Resources != (train.Resources{}) {
		c.warnings = append(c.warnings, limit(l.opts.Cgroup, "", spec.Resources, spec.NodeCount(), spec.GPU.Count > 0).warnings...)
	}
	return c
}

func (l *Launcher) checkGPUs(ctx context.Context, spec train.Spec, c *checked) {
	if c.tools.Flock == "" {
		c.faults = append(c.faults, fmt.Errorf("gpu: this system has no flock command, by which GPUs are allotted: %w", train.ErrUnsupported))
	}
	all, err := l.discover(ctx)
	if err != nil {
		c.faults = append(c.faults, err)
		return
	}
	c.devices = candidates(all, spec.GPU)
	need, most, byType := spec.GPU.Count*spec.NodeCount(), 0, map[string]int{}
	for _, d := range c.devices {
		byType[d.Name]++
		most = max(most, byType[d.Name])
	}
	if most < need {
		c.faults = append(c.faults, fmt.Errorf("gpu: %d of one type that fits are wanted, this machine has %s: %w", need, describe(all), train.ErrInvalid))
	}
	if cost, err := l.opts.Prices.Cost(spec, types(c.devices), false); err == nil && len(c.devices) > 0 {
		c.cost = cost
	}
}

// warn names the wishes that processes on one machine do not have.
func (c *checked) warn(spec train.Spec) {
	for _, w := range []struct {
		unmet bool
		text  string
	}{
		{spec.Image != "", "the image is not used: the command runs as it is on this machine"},
		{spec.Nodes > 1, fmt.Sprintf("the %d nodes are all this machine", spec.Nodes)},
		{spec.Queue != "" || spec.Priority != "", "there are no queues and priorities: jobs begin at once, or wait in line for GPUs"},
		{spec.Spot == train.SpotRequire || spec.Spot == train.SpotPrefer, "this machine is no spot node"},
		{spec.Resources.Disk > 0, "the disk is not limited"},
		{spec.Resources.CPU > float64(runtime.NumCPU()), fmt.Sprintf("%g cores are wanted, this machine has %d", spec.Resources.CPU, runtime.NumCPU())},
		{c.tools.Setsid == "" && (spec.Retry.InfraBudget() > 0 || spec.Retry.User > 0), "this system has no setsid command: an attempt that failed is started again when a launcher looks at the job"},
	} {
		if w.unmet {
			c.warnings = append(c.warnings, w.text)
		}
	}
}

func joinFaults(faults []error) error {
	if len(faults) == 1 {
		return faults[0]
	}
	texts := make([]string, len(faults))
	for i, err := range faults {
		texts[i] = err.Error()
	}
	return &faultsError{text: strings.Join(texts, "; "), list: faults}
}

// faultsError is several faults in one line.
type faultsError struct {
	text string
	list []error
}

func (e *faultsError) Error() string   { return e.text }
func (e *faultsError) Unwrap() []error { return e.list }

// Plan implements [train.Launcher].
func (l *Launcher) Plan(ctx context.Context, spec train.Spec, opts *train.SubmitOptions) (*train.Plan, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("train/local: plan %q: %w", spec.Name, err)
	}
	c := l.check(ctx, spec)
	p := &train.Plan{
		Backend: "process", Reason: "this launcher runs processes on this machine",
		Warnings: c.warnings, Cost: c.cost, GPUTypes: types(c.devices),
	}
	for _, err := range c.faults {
		p.Faults = append(p.Faults, err.Error())
	}
	name := "job-…"
	if opts != nil && opts.Key != "" {
		name = train.JobID(opts.Key)
		if j, err := l.load(name); err == nil {
			p.Existing = name
			if j.rec.Hash != spec.Hash() {
				p.Faults = append(p.Faults, (&train.ConflictError{Job: name, Key: opts.Key, Want: spec.Hash(), Have: j.rec.Hash}).Error())
			}
		} else if !errors.Is(err, train.ErrNotFound) {
			p.Faults = append(p.Faults, err.Error())
		}
	}
	if spec.GPU.Count > 0 && len(c.devices) > 0 {
		p.Headroom = append(p.Headroom, train.Headroom{
			Quota: "this machine", Resource: "gpu", Limit: float64(len(c.devices)),
			Used: float64(l.busy(c.devices)), Need: float64(spec.GPU.Count * spec.NodeCount()),
		})
	}
	if len(c.faults) == 0 {
		text, err := manifest(c, spec)
		if err != nil {
			return nil, fmt.Errorf("train/local: plan %q: %w", spec.Name, err)
		}
		p.Manifests = []train.Manifest{{Kind: "process", Name: name, YAML: text}}
	}
	return p, nil
}

// manifest says what would be started, as JSON, which is YAML too.
func manifest(c checked, spec train.Spec) (string, error) {
	data, err := json.MarshalIndent(struct {
		Program   string            `json:"program"`
		Args      []string          `json:"args"`
		Dir       string            `json:"dir"`
		Env       map[string]string `json:"env,omitempty"`
		Processes int               `json:"processes"`
	}{c.program, spec.Command[1:], c.dir, spec.Env, spec.NodeCount() * spec.CommandsPerNode()}, "", "  ")
	return string(data) + "\n", err
}

const maxSecret = 1 << 20

// secret reads one value.
func (l *Launcher) secret(s train.Secret) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("secret %s/%s: %w: %w", s.Name, s.Key, err, train.ErrInvalid)
	}
	if l.opts.Secrets == "" {
		return fail(errors.New("the launcher has no folder of secrets"))
	}
	f, err := os.OpenInRoot(l.opts.Secrets, s.Name+"/"+s.Key)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return fail(err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if len(data) > maxSecret || strings.Contains(text, "\x00") {
		return fail(fmt.Errorf("longer than %d bytes, or with a NUL byte", maxSecret))
	}
	return text, nil
}

// freePort finds a port that nobody listens on, below those that systems give to
// outgoing connections. A later listener may still be faster than the job.
func freePort() int {
	const low, high, tries = 20_000, 32_000, 50
	for _, port := range randomPorts(low, high, tries) {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // it does not wait
		if err == nil {
			_ = l.Close() // only looked
			return port
		}
	}
	return train.DefaultMasterPort
}

func types(devices []device) []string {
	var names []string
	for _, d := range devices {
		if !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}
