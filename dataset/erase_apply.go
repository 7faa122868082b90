package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// derived are files of a log that other engines make of its entries, and can do
// without.
var derived = regexp.MustCompile(`^[0-9]{20}(\.crc|\.[0-9]{20}\.compacted\.json)$`)

// checkpoints rewrites the checkpoints.
func (e *eraser) checkpoints(ctx context.Context) error {
	for _, l := range e.logs() {
		parts := map[int64]int{}
		var singles, remove []string
		for info, err := range e.d.store.List(ctx, l.root+logFolder) {
			if err != nil {
				return err
			}
			name := path.Base(info.Name())
			if derived.MatchString(name) {
				remove = append(remove, info.Name())
			}
			if n, _, of, ok := delta.ParseCheckpointName(name); ok {
				parts[n] = max(parts[n], of)
				if of > 1 {
					singles = append(singles, info.Name())
				}
			}
		}
		many := map[int64]bool{}
		for n, of := range parts {
			s, err := l.fromCheckpoint(ctx, n, of)
			if errors.Is(err, ErrInvalid) || errors.Is(err, fs.ErrNotExist) {
				// It cannot be read: the log without it says the same, and it may hold what
				// is to go.
				err = nil
				remove = append(remove, l.key(delta.CheckpointName(n)))
				many[n] = of > 1
			}
			if err != nil {
				return err
			}
			if s == nil {
				continue
			}
			if after, _ := e.replaced(s); after != s {
				if err := l.checkpoint(ctx, after); err != nil {
					return err
				}
				many[n] = of > 1
			}
		}
		for _, key := range singles {
			if n, _, _, ok := delta.ParseCheckpointName(path.Base(key)); ok && many[n] {
				remove = append(remove, key)
			}
		}
		for _, key := range remove {
			if err := retry(ctx, func() error { return e.d.store.Delete(ctx, key) }); err != nil {
				return err
			}
		}
		l.forget()
	}
	return nil
}

// records takes the profiles and the reports out of the records of commits that
// wrote an old file.
func (e *eraser) records(ctx context.Context) error {
	bySHA := map[string]*erasedPlan{}
	for i := range e.j.Planned {
		p := &e.j.Planned[i]
		if m := ownFile.FindStringSubmatch(p.Path); m != nil {
			bySHA[m[1]] = p
		}
	}
	for info, err := range e.d.store.List(ctx, commitFolder) {
		if err != nil {
			return err
		}
		name, ok := strings.CutSuffix(path.Base(info.Name()), ".json")
		if !ok || recordKey(name) != info.Name() {
			continue
		}
		r, err := e.d.record(ctx, name)
		if err != nil {
			return err
		}
		var files []File
		hit := false
		for _, f := range r.Files {
			p := bySHA[f.SHA256]
			if p == nil {
				files = append(files, f)
				continue
			}
			hit = true
			r.Rows -= p.Rows
			for _, n := range p.New {
				files = append(files, n.File)
			}
		}
		if slices.Contains(r.Erases, e.j.ID) {
			e.j.Records = appendNew(e.j.Records, name)
		}
		if !hit {
			continue
		}
		r.Erases = append(r.Erases, e.j.ID)
		r.Files, r.Profile, r.Validation = files, nil, nil
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := e.d.put(ctx, info.Name(), body); err != nil {
			return err
		}
		e.j.Records = appendNew(e.j.Records, name)
	}
	return nil
}

// after finds the new digest of a version.
func (e *eraser) after(table string, number int64) (ErasedVersion, bool) {
	v, ok := e.moved[versionAt{table, number}]
	return v, ok
}

// tags writes the tags of changed versions anew.
func (e *eraser) tags(ctx context.Context) error {
	for t, err := range e.d.Tags(ctx) {
		if err != nil {
			return err
		}
		v, ok := e.after(t.Table, t.Number)
		if !ok || v.After == "" {
			continue
		}
		if err := e.digestIn(ctx, tagKey(t.Name), v.After); err != nil {
			return err
		}
		e.j.Tags = appendNew(e.j.Tags, t.Name)
	}
	return nil
}

// heads writes the files of heads anew.
func (e *eraser) heads(ctx context.Context) error {
	for info, err := range e.d.store.List(ctx, headFolder) {
		if err != nil {
			return err
		}
		data, err := blob.ReadAll(ctx, e.d.store, info.Name(), maxRefBytes)
		if err != nil {
			return err
		}
		var h headFile
		if json.Unmarshal(data, &h) != nil {
			continue // Only a cache.
		}
		if v, ok := e.after(h.Table, h.Version); ok {
			if err := e.digestIn(ctx, info.Name(), v.After); err != nil {
				return err
			}
		}
	}
	return nil
}

// digestIn sets the digest in a JSON file.
func (e *eraser) digestIn(ctx context.Context, key, digest string) error {
	before, err := blob.ReadAll(ctx, e.d.store, key, maxRefBytes)
	if err != nil {
		return err
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(before, &file); err != nil {
		return err
	}
	if file["digest"], err = json.Marshal(digest); err != nil {
		return err
	}
	after, err := json.Marshal(file)
	if err != nil {
		return err
	}
	return e.putIfChanged(ctx, key, before, after)
}

// exported deletes the Iceberg tables of changed versions.
func (e *eraser) exported(ctx context.Context) error {
	changed := map[string]bool{}
	for _, v := range e.j.Versions {
		changed[v.Before] = true
	}
	folders := map[string]bool{}
	err := e.d.exports(ctx, func(key string, _ int64, digest string) error {
		if changed[digest] {
			folders[path.Dir(path.Dir(key))] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(folders) > 0 {
		for folder := range folders {
			e.j.Exports = appendNew(e.j.Exports, path.Base(folder))
		}
		slices.Sort(e.j.Exports)
		if err := e.save(ctx); err != nil {
			return err
		}
	}
	for _, folder := range sortedKeys(folders) {
		// The metadata file goes last: it is what a repeat finds the folder by.
		var last string
		for info, err := range e.d.store.List(ctx, folder+"/") {
			if err != nil {
				return err
			}
			if strings.HasSuffix(info.Name(), ".metadata.json") {
				last = info.Name()
				continue
			}
			if err := retry(ctx, func() error { return e.d.store.Delete(ctx, info.Name()) }); err != nil {
				return err
			}
		}
		if err := retry(ctx, func() error { return e.d.store.Delete(ctx, last) }); err != nil {
			return err
		}
	}
	return nil
}

// deletes deletes the old files.
func (e *eraser) deletes(ctx context.Context) error {
	err := parallel(ctx, len(e.j.Planned), func(ctx context.Context, i int) error {
		if e.j.Planned[i].gone() {
			return nil
		}
		return retry(ctx, func() error { return e.d.store.Delete(ctx, e.j.Planned[i].Path) })
	})
	e.progress("delete", len(e.j.Planned), len(e.j.Planned))
	return err
}

// check reads the logs again: no version has an old file, and those that changed
// have the digest that the certificate names.
func (e *eraser) check(ctx context.Context) error {
	for _, l := range e.logs() {
		l.forget()
		err := e.history(ctx, l, func(s *snapshot) error {
			if slices.ContainsFunc(s.files, func(f *dataFile) bool { p := e.plan[f.Path]; return p != nil && !p.gone() }) {
				return fmt.Errorf("version %d of %s still has a file with erased rows: another process wrote to the log: resume: %w", s.version, l.name, ErrConflict)
			}
			if v, ok := e.after(strings.TrimSuffix(l.root, "/"), s.version); ok && v.After != s.digest() {
				return fmt.Errorf("version %d of %s has digest %s, want %s: %w", s.version, l.name, s.digest(), v.After, ErrInvalid)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	e.progress("check", 1, 1)
	return nil
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }

// appendNew appends a name unless it is there.
func appendNew(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}
