package dataset

import (
	"bytes"
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

// entries rewrites the entries of both logs, in two passes, each of which leaves
// every version readable at every moment. The first notes the new digest beside
// the old, and lets whatever takes an old file out take the new one out too. The
// second, with final set, brings the new files in where the old ones were.
func (e *eraser) entries(final bool) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, l := range e.logs() {
			head, err := l.latest(ctx)
			if l == e.d.refs && notThere(err) {
				continue
			}
			if err != nil {
				return err
			}
			r := e.rewriter(l, final)
			err = parallel(ctx, int(head.version+1), func(ctx context.Context, i int) error {
				key := l.key(delta.LogName(int64(i)))
				before, err := blob.ReadAll(ctx, e.d.store, key, maxLogBytes)
				if err != nil {
					return err
				}
				after, err := r.entry(int64(i), before)
				if err != nil {
					return fmt.Errorf("log entry %s: %w", key, err)
				}
				return e.putIfChanged(ctx, key, before, after)
			})
			l.forget()
			if err != nil {
				return err
			}
			e.progress("rewrite", int(head.version+1), int(head.version+1))
		}
		return nil
	}
}

// entryRewriter rewrites the entries of one log.
type entryRewriter struct {
	e       *eraser
	root    string
	final   bool
	numbers map[int64]ErasedVersion
	digests map[string]string // Old to new.
}

func (e *eraser) rewriter(l *logbook, final bool) *entryRewriter {
	r := &entryRewriter{e: e, root: l.root, final: final, numbers: map[int64]ErasedVersion{}, digests: map[string]string{}}
	for _, v := range e.j.Versions {
		if v.Before != "" {
			r.digests[v.Before] = v.After
		}
		if v.Table == strings.TrimSuffix(l.root, "/") {
			r.numbers[v.Number] = v
		}
	}
	return r
}

// entry rewrites one entry. Lines that it need not touch stay as they are, also
// those of actions that this package does not know.
func (r *entryRewriter) entry(n int64, data []byte) ([]byte, error) {
	var lines [][]byte
	added, removed, gone := map[string]bool{}, map[string]bool{}, map[string]bool{}
	mentioned := false
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var a struct {
			CommitInfo json.RawMessage `json:"commitInfo"`
			Add        *delta.Add      `json:"add"`
			Remove     *delta.Remove   `json:"remove"`
		}
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, err
		}
		switch {
		case a.Add != nil:
			p, err := delta.DecodePath(a.Add.Path)
			if err != nil {
				return nil, err
			}
			plan := r.e.plan[r.root+p]
			if plan == nil {
				added[p] = true
				break
			}
			mentioned = true
			if !r.final {
				added[p] = true
				for _, f := range plan.New {
					gone[f.Path[len(r.root):]] = true
				}
				break
			}
			gone[p] = true
			fresh, err := r.adds(a.Add, plan)
			if err != nil {
				return nil, err
			}
			for i, f := range plan.New {
				added[f.Path[len(r.root):]] = true
				lines = append(lines, fresh[i])
			}
			continue
		case a.Remove != nil:
			p, err := delta.DecodePath(a.Remove.Path)
			if err != nil {
				return nil, err
			}
			if plan := r.e.plan[r.root+p]; plan != nil {
				mentioned = true
				for _, f := range plan.New {
					gone[f.Path[len(r.root):]] = true
				}
			}
			if removed[p] {
				continue
			}
			removed[p] = true
		}
		lines = append(lines, line)
	}
	var out bytes.Buffer
	for _, line := range lines {
		var a struct {
			CommitInfo map[string]json.RawMessage `json:"commitInfo"`
			Remove     *delta.Remove              `json:"remove"`
		}
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, err
		}
		if a.Remove != nil {
			if p, _ := delta.DecodePath(a.Remove.Path); added[p] && r.e.isNew(r.root+p) {
				continue // A commit must not add and remove one file.
			}
		}
		if a.CommitInfo != nil {
			changed, err := r.info(n, a.CommitInfo, mentioned)
			if err != nil {
				return nil, err
			}
			if changed {
				if line, err = json.Marshal(map[string]any{"commitInfo": a.CommitInfo}); err != nil {
					return nil, err
				}
			}
		}
		out.Write(line)
		out.WriteByte('\n')
	}
	for p := range gone {
		if added[p] || removed[p] {
			delete(gone, p)
		}
	}
	for _, p := range sortedKeys(gone) {
		line, err := json.Marshal(map[string]any{"remove": delta.Remove{Path: delta.EncodePath(p), DataChange: true}})
		if err != nil {
			return nil, err
		}
		out.Write(line)
		out.WriteByte('\n')
	}
	return out.Bytes(), nil
}

// adds are the actions that bring the new files in.
func (r *entryRewriter) adds(old *delta.Add, plan *erasedPlan) ([][]byte, error) {
	order := int64(0)
	if _, err := fmt.Sscan(old.Tags[tagOrder], &order); err != nil {
		order = 0
	}
	var lines [][]byte
	for i, f := range plan.New {
		at := order
		if at > 0 {
			at += int64(i)
		}
		line, err := json.Marshal(map[string]any{"add": delta.Add{
			Path: delta.EncodePath(f.Path[len(r.root):]), PartitionValues: map[string]string{}, Size: f.Size, ModificationTime: old.ModificationTime,
			DataChange: old.DataChange, Stats: f.Stats, Tags: newTags(old.Tags, f.Tags, at),
		}})
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// info rewrites what an entry says about itself.
func (r *entryRewriter) info(n int64, info map[string]json.RawMessage, mentioned bool) (changed bool, err error) {
	var parameters map[string]json.RawMessage
	if mentioned && json.Unmarshal(info["operationParameters"], &parameters) == nil && parameters["predicate"] != nil {
		delete(parameters, "predicate") // It may name what was erased.
		if info["operationParameters"], err = json.Marshal(parameters); err != nil {
			return false, err
		}
		changed = true
	}
	if len(info["millwright"]) == 0 {
		return changed, nil
	}
	var own map[string]json.RawMessage
	if err := json.Unmarshal(info["millwright"], &own); err != nil {
		return false, err
	}
	var s summary
	if err := json.Unmarshal(info["millwright"], &s); err != nil {
		return false, err
	}
	set := func(key string, v any) {
		if err == nil {
			own[key], err = json.Marshal(v)
			changed = true
		}
	}
	if v, ok := r.numbers[n]; ok && s.Digest == v.Before && s.Digest != "" {
		set("digest", v.After)
		set("was", v.Before)
		set("rows", s.Rows-v.Rows)
	}
	if after := r.digests[s.Parent]; after != "" {
		set("parent", after)
	}
	if err == nil && changed {
		info["millwright"], err = json.Marshal(own)
	}
	return changed, err
}

// isNew tells whether a path is that of a new file.
func (e *eraser) isNew(p string) bool {
	for i := range e.j.Planned {
		for _, f := range e.j.Planned[i].New {
			if f.Path == p {
				return true
			}
		}
	}
	return false
}

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
	for _, v := range e.j.Versions {
		if v.Table == table && v.Number == number {
			return v, true
		}
	}
	return ErasedVersion{}, false
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
			if after, _ := e.replaced(s); after != s {
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
