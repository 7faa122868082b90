package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
			if p, _ := delta.DecodePath(a.Remove.Path); added[p] && r.e.fresh[r.root+p] {
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
