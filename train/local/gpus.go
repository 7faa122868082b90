package local

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// device is one GPU, or one MIG slice of it.
type device struct {
	UUID   string
	Name   string // type, as nvidia-smi names it
	Memory int64  // bytes
	MIG    string // profile of a slice; empty for a whole GPU
	sliced bool   // a whole GPU that is split into slices
}

const discoverTimeout = 30 * time.Second

// discover asks nvidia-smi for the machine's GPUs.
func (l *Launcher) discover(ctx context.Context) ([]device, error) {
	name := l.opts.NvidiaSMI
	if name == "-" {
		return nil, nil
	}
	if name == "" {
		path, err := exec.LookPath("nvidia-smi")
		if err != nil {
			return nil, nil //nolint:nilerr // a machine without the program has no GPUs
		}
		name = path
	}
	ctx, stop := context.WithTimeout(ctx, discoverTimeout)
	defer stop()
	whole, err := output(ctx, name, "--query-gpu=uuid,name,memory.total,mig.mode.current", "--format=csv,noheader,nounits")
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	devices := parseGPUs(whole)
	if !slices.ContainsFunc(devices, func(d device) bool { return d.sliced }) {
		return devices, nil
	}
	list, err := output(ctx, name, "-L")
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	return append(devices, parseSlices(list, devices)...), nil
}

func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		text := ""
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			text = ": " + strings.TrimSpace(string(append(out, exit.Stderr...)))
		}
		return nil, fmt.Errorf("%s: is the driver loaded?%.300s: %w: %w", name, text, err, train.ErrUnavailable)
	}
	return out, nil
}

// parseGPUs reads "uuid, name, MiB, Enabled" lines. Lines of another form, such
// as those of a GPU that fell off the bus, are no devices.
func parseGPUs(data []byte) []device {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.LazyQuotes = -1, true, true
	var devices []device
	for {
		fields, err := r.Read()
		if err != nil {
			return devices
		}
		if len(fields) < 4 || !validUUID(fields[0]) {
			continue
		}
		mib, err := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 40)
		if err != nil || mib < 0 {
			mib = 0 // "[N/A]" on machines that share their memory
		}
		devices = append(devices, device{
			UUID: fields[0], Name: strings.TrimSpace(fields[1]), Memory: mib << 20, sliced: strings.TrimSpace(fields[3]) == "Enabled",
		})
	}
}

// parseSlices reads the list of "GPU 0: name (UUID: …)" lines, each followed by
// its slices as "MIG 1g.10gb Device 0: (UUID: …)".
func parseSlices(data []byte, whole []device) []device {
	var slices []device
	parent := ""
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		_, id, ok := strings.Cut(line, "(UUID: ")
		id, _, _ = strings.Cut(id, ")")
		if !ok || len(fields) < 2 || !validUUID(id) {
			continue
		}
		if fields[0] == "GPU" {
			parent = ""
			for _, d := range whole {
				if d.UUID == id {
					parent = d.Name
				}
			}
			continue
		}
		if fields[0] != "MIG" || parent == "" {
			continue
		}
		_, size, _ := strings.Cut(fields[1], ".")
		digits, _, _ := strings.Cut(size, "gb")
		gb, err := strconv.ParseInt(digits, 10, 20)
		if err != nil || gb < 0 {
			continue
		}
		slices = append(slices, device{UUID: id, Name: parent, MIG: fields[1], Memory: gb << 30})
	}
	return slices
}

// validUUID keeps what becomes a word of a script and a file's name to letters,
// digits and "-".
func validUUID(id string) bool {
	return (strings.HasPrefix(id, "GPU-") || strings.HasPrefix(id, "MIG-")) && len(id) <= 100 &&
		strings.Trim(strings.ToLower(id), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// candidates are the devices that fit, those of the best type first and those of
// one type together.
func candidates(all []device, want train.GPU) []device {
	var fit []device
	for _, d := range all {
		if !d.sliced && d.MIG == want.MIG && want.Wants(d.Name) >= 0 && (want.MinMemory == 0 || d.Memory >= want.MinMemory) {
			fit = append(fit, d)
		}
	}
	slices.SortStableFunc(fit, func(a, b device) int {
		if c := want.Wants(a.Name) - want.Wants(b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return fit
}

func describe(all []device) string {
	if len(all) == 0 {
		return "no GPUs (nvidia-smi lists none)"
	}
	counts := map[string]int{}
	var names []string
	for _, d := range all {
		name := strings.TrimSpace(d.Name + " " + d.MIG)
		if d.sliced {
			name += " (split into slices)"
		}
		if counts[name]++; counts[name] == 1 {
			names = append(names, name)
		}
	}
	for i, name := range names {
		names[i] = strconv.Itoa(counts[name]) + " " + name
	}
	return strings.Join(names, ", ")
}

// lockPath is the file by whose lock a device is held.
func (l *Launcher) lockPath(uuid string) string {
	return filepath.Join(l.opts.GPULocks, uuid+".lock")
}

// holder is the job that got the device last.
func (l *Launcher) holder(uuid string) string {
	data, err := readFile(filepath.Join(l.opts.GPULocks, uuid+".job"), maxStateFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// lockFiles opens, and does not lock, the files of the line and of the devices,
// for the supervisor to inherit.
func (l *Launcher) lockFiles(devices []device) ([]*os.File, error) {
	if err := os.MkdirAll(l.opts.GPULocks, 0o700); err != nil {
		return nil, err
	}
	paths := []string{filepath.Join(l.opts.GPULocks, "line.lock")}
	for _, d := range devices {
		paths = append(paths, l.lockPath(d.UUID))
	}
	files := make([]*os.File, 0, len(paths))
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // nothing was written
	}
}

func randomPorts(low, high, n int) []int {
	ports := make([]int, n)
	for i := range ports {
		ports[i] = low + rand.IntN(high-low) //nolint:gosec // it need not be secret
	}
	return ports
}

// gpuNames remembers the types of the devices that an attempt may get.
func gpuNames(devices []device) []byte {
	var b strings.Builder
	for _, d := range devices {
		b.WriteString(d.UUID + "\t" + strings.TrimSpace(d.Name+" "+d.MIG) + "\n")
	}
	return []byte(b.String())
}

// gpuType is the type of the GPUs that an attempt has, empty without any.
func (j *job) gpuType(attempt int, gpus []string) string {
	if len(gpus) == 0 {
		return ""
	}
	data, _, _ := j.read(attempt, "gpus") // without it the type is not known
	for line := range strings.Lines(string(data)) {
		if id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); id == gpus[0] {
			return name
		}
	}
	return ""
}

// busy counts the devices that a job holds.
func (l *Launcher) busy(devices []device) int {
	n := 0
	for _, d := range devices {
		if l.locked(d) {
			n++
		}
	}
	return n
}
