package checkpoint

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

const (
	tempPrefix = ".tmp-"
	tempMaxAge = time.Hour
)

// SaveOptions changes one Save. nil is the zero value.
type SaveOptions struct {
	// Metrics are kept in the manifest. Default: none.
	Metrics map[string]float64
}

// Save makes a checkpoint of what write leaves in an empty folder, and reports
// it. On ranks other than 0, and without a URI, it does nothing and returns nil.
func (k *Keeper) Save(step int64, write func(dir string) error, opts *SaveOptions) (*Checkpoint, error) {
	if k.rank != 0 || k.dir == "" {
		return nil, nil //nolint:nilnil // the documented answer
	}
	if opts == nil {
		opts = &SaveOptions{}
	}
	fail := func(err error) (*Checkpoint, error) {
		return nil, fmt.Errorf("checkpoint: save step %d: %w", step, err)
	}
	if step < 0 {
		return fail(fmt.Errorf("the step is negative: %w", ErrInvalid))
	}
	tag := make([]byte, 4)
	_, _ = rand.Read(tag) // documented to never fail
	name := fmt.Sprintf("step-%020d-a%d-%s", step, k.attempt, hex.EncodeToString(tag))
	temp := filepath.Join(k.dir, tempPrefix+name)
	if err := os.Mkdir(temp, 0o755); err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(temp) }() // gone already after the rename
	if err := write(temp); err != nil {
		return fail(err)
	}
	files, err := seal(temp)
	if err != nil {
		return fail(err)
	}
	if len(files) == 0 {
		return fail(fmt.Errorf("nothing was written to its folder: %w", ErrInvalid))
	}
	c := &Checkpoint{Dir: filepath.Join(k.dir, name), Manifest: Manifest{
		Format: format, Step: step, Attempt: k.attempt, Restart: k.restart, Job: k.job, Start: k.start,
		Time: time.Now().UTC(), Folder: name, Files: files, Metrics: finite(opts.Metrics),
	}}
	if err := os.Rename(temp, c.Dir); err != nil {
		return fail(err)
	}
	data, digest, err := c.encode()
	if err != nil {
		return fail(err)
	}
	c.Digest = digest
	// The folder is durable before the manifest that vouches for it.
	if err := syncPath(k.dir); err != nil {
		return fail(err)
	}
	if err := writeWhole(filepath.Join(k.dir, name+suffix), data); err != nil {
		return fail(err)
	}
	if err := k.trim(); err != nil {
		return fail(err)
	}
	ref := c.Ref()
	if err := k.print(train.Report{Step: step, Metrics: c.Metrics, Checkpoint: &ref}); err != nil {
		return fail(err)
	}
	return c, nil
}

// seal makes a folder's files durable and takes their sizes and digests.
func seal(dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return errors.Join(err, syncPath(path))
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file: %w", d.Name(), ErrInvalid)
		}
		if err := syncPath(path); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum, err := sumFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files = append(files, File{Path: filepath.ToSlash(rel), Size: info.Size(), SHA256: sum})
		return nil
	})
	return files, err
}

// trim removes all but the newest checkpoints.
func (k *Keeper) trim() error {
	if k.opts.Keep < 0 {
		return nil
	}
	names, err := k.manifests()
	if err != nil {
		return err
	}
	k.mu.Lock()
	from := k.from
	k.mu.Unlock()
	for _, name := range names[min(k.opts.Keep, len(names)):] {
		if name == from {
			continue
		}
		// The manifest first: what is half removed is no checkpoint.
		if err := os.Remove(filepath.Join(k.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.RemoveAll(filepath.Join(k.dir, strings.TrimSuffix(name, suffix))); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what killed processes left behind; what can not be removed is
// left for the next time.
func (k *Keeper) sweep() {
	entries, _ := os.ReadDir(k.dir)
	for _, e := range entries {
		path := filepath.Join(k.dir, e.Name())
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < tempMaxAge {
			continue
		}
		orphan := false
		if strings.HasPrefix(e.Name(), "step-") && e.IsDir() {
			_, err := os.Stat(path + suffix)
			orphan = errors.Is(err, fs.ErrNotExist)
		}
		if orphan || strings.HasPrefix(e.Name(), tempPrefix) {
			_ = os.RemoveAll(path)
		}
	}
}

// Report says how far the training is. Metrics that are no finite numbers are
// left out. On ranks other than 0 it does nothing.
func (k *Keeper) Report(step, total int64, metrics map[string]float64) error {
	if k.rank != 0 {
		return nil
	}
	metrics = finite(metrics)
	if k.opts.Tracker != nil {
		for name, v := range metrics {
			k.opts.Tracker.Metric(name, v, step)
		}
	}
	k.mu.Lock()
	early := time.Since(k.printed) < k.opts.ReportEvery && (step != total || total == 0)
	if !early {
		k.printed = time.Now()
	}
	k.mu.Unlock()
	if early {
		return nil
	}
	return k.print(train.Report{Step: step, Total: total, Metrics: metrics})
}

// print writes one line at once, so that others' lines do not get into it.
func (k *Keeper) print(r train.Report) error {
	line, err := r.Line()
	if err != nil && len(r.Metrics) > 0 { // too many for one line
		r.Metrics = nil
		line, err = r.Line()
	}
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err = k.opts.Output.Write([]byte(line + "\n"))
	return err
}

func finite(metrics map[string]float64) map[string]float64 {
	var kept map[string]float64
	for name, v := range metrics {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		if kept == nil {
			kept = make(map[string]float64, len(metrics))
		}
		kept[name] = v
	}
	return kept
}

// writeWhole writes a file whole or not at all, durably.
func writeWhole(path string, data []byte) error {
	temp := filepath.Join(filepath.Dir(path), tempPrefix+filepath.Base(path))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
