package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

// prices are what an hour costs; put yours here.
var prices = train.Prices{
	Currency: "EUR", GPUHour: map[string]float64{"H100": 2.5, "A100": 1.6, "L4": 0.7, "": 1}, CPUHour: 0.04, MemoryHour: 0.005,
}

// openLauncher opens the engine that the flags name.
func openLauncher(ctx context.Context, c *config) (train.Launcher, func(), error) {
	if c.cluster.wanted() {
		if len(c.program) == 0 {
			c.program = []string{"/train-gpu-job", "train"} // of the image that the Dockerfile makes
		}
		return c.cluster.open(ctx)
	}
	dir, err := filepath.Abs(c.dir)
	if err != nil {
		return nil, nil, err
	}
	c.dir = dir
	if len(c.program) == 0 {
		self, err := keepSelf(filepath.Join(dir, "bin"))
		if err != nil {
			return nil, nil, err
		}
		c.program = []string{self, "train"}
	}
	l, err := local.Open(filepath.Join(dir, "state"), &local.Options{Prices: prices})
	if err != nil {
		return nil, nil, err
	}
	return l, func() {}, nil // nothing to close: the jobs live in the folder
}

// checkpoints is where jobs keep theirs, on this machine.
func (c *config) checkpoints() string {
	if c.cluster.wanted() {
		return "" // on a cluster a job names a volume of its own
	}
	return filepath.Join(c.dir, "checkpoints")
}

// keepSelf copies this binary into dir, because go run removes its own at the end
// and jobs that are started again still need it.
func keepSelf(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	path := filepath.Join(dir, "train-gpu-job-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return "", err
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Chmod(0o700), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("keep the training program: %w", err), os.Remove(temp.Name()))
	}
	return path, nil
}
