package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
)

// Follow is Watch in standard types, for a consumer that does not import this
// package, such as serve/deploy: the number of the version that the alias is at,
// 0 for none, at once and again after each move.
func (r *Registry) Follow(ctx context.Context, name, alias string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for a, err := range r.Watch(ctx, name, alias) {
			if !yield(a.Number, err) {
				return
			}
		}
	}
}

// Bundle opens a version in standard types: its files, as Open gives them, and
// the JSON of the Version.
func (r *Registry) Bundle(ctx context.Context, name string, number int) (fs.FS, json.RawMessage, error) {
	v, err := r.Version(ctx, name, number)
	if err != nil {
		return nil, nil, err
	}
	files, err := r.Open(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	facts, err := json.Marshal(v)
	if err != nil {
		return nil, nil, fmt.Errorf("registry: bundle %q: %w", v.Ref(), err)
	}
	return files, facts, nil
}
