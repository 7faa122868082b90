package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/serve"
)

func version(number int) string { return strconv.Itoa(number) }

// facts is what of a version's JSON is read.
type facts struct {
	Digest    string          `json:"digest"`
	Files     []file          `json:"files"`
	Signature json.RawMessage `json:"signature"`
	Golden    string          `json:"golden"`
	Framework string          `json:"framework"`
	Run       string          `json:"run"`
	Datasets  []struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Digest  string `json:"digest"`
	} `json:"datasets"`
}

// file is one of a version's files.
type file struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// load deploys a version beside those there are. The model's lock is held.
func (k *Keeper) load(ctx context.Context, m *kept, number int, local bool) error {
	if err := m.bad[number]; err != nil {
		return err
	}
	start := time.Now()
	files, text, done, err := k.files(ctx, m, number, local)
	if err != nil {
		return err
	}
	defer done()
	var v facts
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("the facts about the version: %w: %w", err, ErrInvalid)
	}
	d, err := v.deployment(m, number, files)
	if err != nil {
		return err
	}
	if d.Model, err = load(ctx, m.Runtime, files); err != nil {
		return fmt.Errorf("load the files: %w", err)
	}
	size := int64(0)
	for _, f := range v.Files {
		size += f.Size
	}
	if s, ok := d.Model.(serve.Sizer); ok {
		size = s.Size()
	}
	k.makeRoom(ctx, m, size)
	if err := k.server.Deploy(ctx, d); err != nil {
		return errors.Join(err, d.Model.Close())
	}
	m.loaded[number] = size
	k.opts.Logger.Info("deploy: loaded", "model", m.Name, "version", number, "digest", v.Digest, "took", time.Since(start))
	return nil
}

// load runs a runtime on files that may be anything.
func load(ctx context.Context, r serve.Runtime, files fs.FS) (m serve.Model, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("the runtime panicked: %v: %w", p, ErrInvalid)
		}
	}()
	if m, err = r.Load(ctx, files); err == nil && m == nil {
		return nil, fmt.Errorf("the runtime returned neither a model nor an error: %w", ErrInvalid)
	}
	return m, err
}

// deployment is the version without its model.
func (v *facts) deployment(m *kept, number int, files fs.FS) (serve.Deployment, error) {
	d := serve.Deployment{
		Name: m.Name, Version: version(number), Beside: true, Platform: v.Framework, Digest: v.Digest,
		Batching: m.Batching, Tolerance: m.Tolerance, Labels: make(map[string]string),
	}
	if v.Run != "" {
		d.Labels["run"] = v.Run
	}
	for i, set := range v.Datasets {
		name := "dataset"
		if i > 0 {
			name += "." + set.Name
		}
		d.Labels[name] = set.Digest
	}
	var sig serve.Signature
	// A signature in another form says nothing about tensors.
	if json.Unmarshal(v.Signature, &sig) == nil && len(sig.Inputs) > 0 && len(sig.Outputs) > 0 && sig.Inputs[0].Datatype != "" {
		d.Signature = &sig
	}
	if v.Golden == "" {
		return d, nil
	}
	cases, err := golden(files, v.Golden)
	d.Golden = cases
	return d, err
}

// maxGolden bounds a file of golden cases.
const maxGolden = 16 << 20

// golden reads a registry's file of golden cases, whose inputs and outputs are
// infer requests and responses.
func golden(files fs.FS, path string) ([]serve.Golden, error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the golden cases: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxGolden+1))
	if err != nil {
		return nil, fmt.Errorf("the golden cases: %w", err)
	}
	var in struct {
		Format int `json:"format"`
		Cases  []struct {
			Input  json.RawMessage `json:"input"`
			Output json.RawMessage `json:"output"`
		} `json:"cases"`
	}
	if len(b) > maxGolden {
		return nil, fmt.Errorf("the golden cases %q: more than %d bytes: %w", path, maxGolden, ErrInvalid)
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("the golden cases %q: %w: %w", path, err, ErrInvalid)
	}
	if in.Format != 1 {
		return nil, fmt.Errorf("the golden cases %q have format %d, want 1: %w", path, in.Format, ErrInvalid)
	}
	list := make([]serve.Golden, len(in.Cases))
	for i, c := range in.Cases {
		if list[i], err = serve.DecodeGolden(c.Input, c.Output); err != nil {
			return nil, fmt.Errorf("the golden cases %q: case %d: %w", path, i, err)
		}
	}
	return list, nil
}

// makeRoom unloads the models that were not asked for the longest until there is
// room for size bytes more. The lock of m is held.
func (k *Keeper) makeRoom(ctx context.Context, m *kept, size int64) {
	if k.opts.Memory <= 0 {
		return
	}
	for {
		var oldest *kept
		var when time.Time
		held := m.held() + size
		for _, o := range k.models {
			// A model that is being loaded is in use.
			if o == m || !o.mu.TryLock() {
				continue
			}
			n, last := o.held(), time.Time{}
			o.mu.Unlock()
			if n == 0 {
				continue
			}
			held += n
			list, _ := k.server.Statistics(o.Name, "")
			for _, s := range list {
				if s.LastInference.After(last) {
					last = s.LastInference
				}
			}
			if oldest == nil || last.Before(when) {
				oldest, when = o, last
			}
		}
		if held <= k.opts.Memory || oldest == nil || !oldest.mu.TryLock() {
			return
		}
		clear(oldest.loaded)
		oldest.idle, oldest.reason = true, "unloaded for want of room"
		// Its requests go on until they have ended; only then the memory is
		// free.
		soon, cancel := context.WithTimeout(ctx, 10*time.Second)
		if err := k.server.Undeploy(soon, oldest.Name); err != nil {
			k.report(fmt.Errorf("deploy: unload %q: %w", oldest.Name, err))
		}
		cancel()
		oldest.mu.Unlock()
	}
}

// held is the memory of the model's versions. The lock is held.
func (m *kept) held() (n int64) {
	for _, size := range m.loaded {
		n += max(size, 1)
	}
	return n
}
