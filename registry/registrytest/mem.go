package registrytest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/registry"
)

// Mem is a registry.Store in memory. The zero value is ready; it has nothing
// to close and forgets everything with the process.
type Mem struct {
	mu     sync.Mutex
	models map[string]*memModel
	moves  []registry.Move
}

type memModel struct {
	created  time.Time
	versions []*registry.Version // number n at n-1
	aliases  map[string]registry.Alias
}

var _ registry.Store = (*Mem)(nil)

// CreateVersion implements registry.Store.
func (m *Mem) CreateVersion(ctx context.Context, v *registry.Version) (*registry.Version, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.models[v.Name]
	if mod == nil {
		mod = &memModel{created: v.Created, aliases: map[string]registry.Alias{}}
		if m.models == nil {
			m.models = map[string]*memModel{}
		}
		m.models[v.Name] = mod
	}
	for _, old := range mod.versions {
		if v.Key != "" && old.Key == v.Key {
			return mod.read(old), nil
		}
	}
	kept := clone(v)
	kept.Number = len(mod.versions) + 1
	kept.Aliases = nil
	mod.versions = append(mod.versions, kept)
	return mod.read(kept), nil
}

// Version implements registry.Store.
func (m *Mem) Version(ctx context.Context, name string, number int) (*registry.Version, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.models[name]
	if !mod.has(number) {
		return nil, registry.ErrNotFound
	}
	return mod.read(mod.versions[number-1]), nil
}

// Versions implements registry.Store.
func (m *Mem) Versions(ctx context.Context, name string, before, limit int) ([]*registry.Version, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*registry.Version
	if mod := m.models[name]; mod != nil {
		for _, v := range slices.Backward(mod.versions) {
			if (before == 0 || v.Number < before) && len(out) < limit {
				out = append(out, mod.read(v))
			}
		}
	}
	return out, nil
}

// Models implements registry.Store.
func (m *Mem) Models(ctx context.Context, after string, limit int) ([]registry.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []registry.Model
	for _, name := range slices.Sorted(maps.Keys(m.models)) {
		if name > after && len(out) < limit {
			mod := m.models[name]
			out = append(out, registry.Model{Name: name, Created: mod.created, Latest: len(mod.versions)})
		}
	}
	return out, nil
}

// MoveAlias implements registry.Store.
func (m *Mem) MoveAlias(ctx context.Context, move registry.Move, expect int) (registry.Move, error) {
	if err := ctx.Err(); err != nil {
		return registry.Move{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.models[move.Name]
	if move.To != 0 && !mod.has(move.To) {
		return registry.Move{}, registry.ErrNotFound
	}
	move.From, move.Seq = 0, 0
	if mod != nil {
		move.From = mod.aliases[move.Alias].Number
	}
	if expect != -1 && expect != move.From {
		return move, fmt.Errorf("the alias is at %d, not at %d: %w", move.From, expect, registry.ErrConflict)
	}
	if move.From == move.To {
		return move, nil
	}
	move.Seq = int64(len(m.moves)) + 1
	move.Evidence = slices.Clone(move.Evidence)
	if move.To == 0 {
		delete(mod.aliases, move.Alias)
	} else {
		mod.aliases[move.Alias] = registry.Alias{Alias: move.Alias, Number: move.To, Moved: move.Time}
	}
	m.moves = append(m.moves, move)
	move.Evidence = slices.Clone(move.Evidence)
	return move, nil
}

// Alias implements registry.Store.
func (m *Mem) Alias(ctx context.Context, name, alias string) (registry.Alias, error) {
	if err := ctx.Err(); err != nil {
		return registry.Alias{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if mod := m.models[name]; mod != nil {
		if a, ok := mod.aliases[alias]; ok {
			return a, nil
		}
	}
	return registry.Alias{}, registry.ErrNotFound
}

// Aliases implements registry.Store.
func (m *Mem) Aliases(ctx context.Context, name, after string, limit int) ([]registry.Alias, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []registry.Alias
	if mod := m.models[name]; mod != nil {
		for _, a := range mod.aliases {
			if a.Alias > after {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, func(a, b registry.Alias) int { return strings.Compare(a.Alias, b.Alias) })
	return out[:min(limit, len(out))], nil
}

// History implements registry.Store.
func (m *Mem) History(ctx context.Context, name, alias string, before int64, limit int) ([]registry.Move, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []registry.Move
	for _, move := range slices.Backward(m.moves) {
		if move.Name == name && (alias == "" || move.Alias == alias) && (before == 0 || move.Seq < before) && len(out) < limit {
			move.Evidence = slices.Clone(move.Evidence)
			out = append(out, move)
		}
	}
	return out, nil
}

func (m *memModel) has(number int) bool {
	return m != nil && number >= 1 && number <= len(m.versions)
}

// read returns the caller's copy of v with the aliases that are at it now.
func (m *memModel) read(v *registry.Version) *registry.Version {
	out := clone(v)
	for _, a := range m.aliases {
		if a.Number == v.Number {
			out.Aliases = append(out.Aliases, a.Alias)
		}
	}
	slices.SortFunc(out.Aliases, cmp.Compare[string])
	return out
}

// clone copies v deeply, with empty parts as nil.
func clone(v *registry.Version) *registry.Version {
	out := *v
	out.Files = slices.Clone(v.Files)
	out.Signature, out.Datasets, out.Metrics, out.Tags = nil, nil, nil, nil
	if len(v.Signature) > 0 {
		out.Signature = slices.Clone(v.Signature)
	}
	if len(v.Datasets) > 0 {
		out.Datasets = slices.Clone(v.Datasets)
	}
	if len(v.Metrics) > 0 {
		out.Metrics = maps.Clone(v.Metrics)
	}
	if len(v.Tags) > 0 {
		out.Tags = maps.Clone(v.Tags)
	}
	return &out
}
