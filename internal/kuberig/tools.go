package kuberig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrNotBuilt is the error when a program is not there: scripts/realtools.sh
// kube builds it.
var ErrNotBuilt = errors.New("not built: run scripts/realtools.sh kube")

// tools are the paths of what scripts/realtools.sh provisioned.
type tools struct {
	controlPlane, kwok, kueue, jobset, trainer string
	manifests                                  string // a folder for each of the last three
}

// findTools looks for the tools' folder: $MILLWRIGHT_CACHE, or .cache in the
// project's root, which is above the working directory.
func findTools() (*tools, error) {
	cache := os.Getenv("MILLWRIGHT_CACHE") //nolint:forbidigo // The test run's own setting.
	if cache == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		for {
			if _, err := os.Stat(filepath.Join(dir, "scripts", "realtools.sh")); err == nil {
				break
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				return nil, fmt.Errorf("kuberig: the project's root, with scripts/realtools.sh, is not above the working directory: %w", ErrNotBuilt)
			}
			dir = parent
		}
		cache = filepath.Join(dir, ".cache")
	}
	bin := func(name string) string { return filepath.Join(cache, "bin", name) }
	return &tools{
		controlPlane: bin("kube-controlplane"), kwok: bin("kwok"), kueue: bin("kueue"),
		jobset: bin("jobset"), trainer: bin("trainer"), manifests: filepath.Join(cache, "kube"),
	}, nil
}

// need looks for the programs that a cluster with the options runs.
func (t *tools) need(opts *Options) error {
	programs := []string{t.controlPlane, t.kwok}
	for program, wanted := range map[string]bool{t.kueue: opts.Kueue, t.jobset: opts.JobSet, t.trainer: opts.Trainer} {
		if wanted {
			programs = append(programs, program)
		}
	}
	for _, path := range programs {
		if fi, err := os.Stat(path); err != nil || fi.Mode()&0o111 == 0 {
			return fmt.Errorf("kuberig: %s: %w", path, ErrNotBuilt)
		}
	}
	return nil
}
