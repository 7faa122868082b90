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

// Mem is a registry.Store in memory, with all optional parts but Notifier. The
// zero value is ready; it has nothing to close and forgets everything with the
// process.
type Mem struct {
	mu     sync.Mutex
	models map[string]*memModel
	log    []registry.Entry
	// names are the model each entry is about, which a rename does not change.
	about     []*memModel
	leases    map[string]*lease
	condemned map[string]mark
}

type memModel struct {
	registry.Model
	versions map[int]*registry.Version
	aliases  map[string]registry.Alias
}

type lease struct {
	digests map[string]bool
	until   time.Time
}

type mark struct {
	token string
	until time.Time
}

var (
	_ registry.Store     = (*Mem)(nil)
	_ registry.Purger    = (*Mem)(nil)
	_ registry.Collector = (*Mem)(nil)
)

// active returns the model of the name that is not deleted, nil for none.
func (m *Mem) active(name string) *memModel {
	if mod := m.models[name]; mod != nil && !mod.Deleted {
		return mod
	}
	return nil
}

func (m *Mem) add(model registry.Model) *memModel {
	mod := &memModel{Model: model, versions: map[int]*registry.Version{}, aliases: map[string]registry.Alias{}}
	mod.Updated, mod.Latest, mod.Deleted, mod.DeletedAt, mod.Aliases = mod.Created, 0, false, time.Time{}, nil
	mod.Tags = maps.Clone(model.Tags)
	if m.models == nil {
		m.models = map[string]*memModel{}
	}
	m.models[model.Name] = mod
	return mod
}

// append seals e and adds it to the log.
func (m *Mem) append(mod *memModel, e registry.Entry) registry.Entry {
	var prev registry.Entry
	if len(m.log) > 0 {
		prev = m.log[len(m.log)-1]
	}
	e.Evidence = slices.Clone(e.Evidence)
	e = e.Seal(prev)
	m.log = append(m.log, e)
	m.about = append(m.about, mod)
	e.Evidence = slices.Clone(e.Evidence)
	return e
}

// CreateModel implements registry.Store.
func (m *Mem) CreateModel(ctx context.Context, model registry.Model) (registry.Model, error) {
	if err := ctx.Err(); err != nil {
		return registry.Model{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.models[model.Name] != nil {
		return registry.Model{}, registry.ErrExists
	}
	return m.add(model).read(), nil
}

// UpdateModel implements registry.Store.
func (m *Mem) UpdateModel(ctx context.Context, name string, u registry.ModelUpdate) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.models[name]
	if mod == nil || mod.Deleted && (u.Deleted == nil || *u.Deleted) {
		return registry.ErrNotFound
	}
	if other := m.models[u.Rename]; u.Rename != "" && other != nil && other != mod {
		return registry.ErrExists
	}
	tags, err := changed(mod.Tags, u.SetTags, u.DeleteTags)
	if err != nil {
		return err
	}
	mod.Tags = tags
	if u.Description != nil {
		mod.Description = *u.Description
	}
	entry := registry.Entry{Time: u.Time, Name: name, By: u.By, Reason: u.Reason}
	if u.Deleted != nil && *u.Deleted != mod.Deleted {
		mod.Deleted, mod.DeletedAt = *u.Deleted, time.Time{}
		entry.Kind = registry.KindRestore
		if mod.Deleted {
			mod.DeletedAt = u.Time
			entry.Kind = registry.KindDelete
		}
		m.append(mod, entry)
	}
	if u.Rename != "" && u.Rename != mod.Name {
		delete(m.models, mod.Name)
		entry.Kind, entry.Name = registry.KindRename, u.Rename
		entry.Evidence = registry.RenamedFrom(mod.Name)
		mod.Name = u.Rename
		m.models[mod.Name] = mod
		for _, v := range mod.versions {
			v.Name = mod.Name
		}
		m.append(mod, entry)
	}
	mod.Updated = u.Time
	return nil
}

// CreateVersion implements registry.Store.
func (m *Mem) CreateVersion(ctx context.Context, v *registry.Version, token string) (*registry.Version, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.models[v.Name]
	if mod != nil && mod.Deleted {
		return nil, registry.ErrNotFound
	}
	if mod != nil && v.Key != "" {
		for _, old := range mod.versions {
			if old.Key == v.Key {
				delete(m.leases, token)
				return mod.version(old), nil
			}
		}
	}
	if token != "" && !m.holds(token, v.Files) {
		return nil, fmt.Errorf("the lease of the upload has ended: %w", registry.ErrConflict)
	}
	delete(m.leases, token)
	if mod == nil {
		mod = m.add(registry.Model{Name: v.Name, Created: v.Created})
	}
	kept := clone(v)
	mod.Latest++
	mod.Updated = v.Created
	kept.Number, kept.Aliases, kept.Updated, kept.Signed, kept.Deleted, kept.DeletedAt = mod.Latest, nil, v.Created, nil, false, time.Time{}
	if kept.Stage == "" {
		kept.Stage = registry.StageNone
	}
	mod.versions[kept.Number] = kept
	return mod.version(kept), nil
}

// Version implements registry.Store.
func (m *Mem) Version(ctx context.Context, name string, number int) (*registry.Version, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.active(name)
	if mod == nil || mod.versions[number] == nil {
		return nil, registry.ErrNotFound
	}
	return mod.version(mod.versions[number]), nil
}

// UpdateVersion implements registry.Store.
func (m *Mem) UpdateVersion(ctx context.Context, name string, number int, u registry.VersionUpdate) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.active(name)
	if mod == nil || mod.versions[number] == nil {
		return registry.ErrNotFound
	}
	v := mod.versions[number]
	if v.Deleted && (u.Deleted == nil || *u.Deleted) {
		return registry.ErrNotFound
	}
	tags, err := changed(v.Tags, u.SetTags, u.DeleteTags)
	if err != nil {
		return err
	}
	if u.Status != "" && v.Status != registry.Pending {
		return fmt.Errorf("the version is %s: %w", v.Status, registry.ErrConflict)
	}
	if u.Lease != "" && !m.holds(u.Lease, u.Files) {
		return fmt.Errorf("the lease of the upload has ended: %w", registry.ErrConflict)
	}
	delete(m.leases, u.Lease)
	v.Tags = tags
	if u.Status != "" {
		v.Status, v.StatusMessage = u.Status, u.StatusMessage
		if len(u.Files) > 0 {
			v.Files, v.Digest = slices.Clone(u.Files), u.Digest
		}
	}
	if u.Description != nil {
		v.Description = *u.Description
	}
	if u.Sign != nil {
		v.Signed = append(v.Signed, *u.Sign)
	}
	m.stage(mod, v, u)
	if u.Deleted != nil && *u.Deleted != v.Deleted {
		m.remove(mod, v, u)
	}
	v.Updated, mod.Updated = u.Time, u.Time
	return nil
}

// stage moves v, and others out of its way.
func (m *Mem) stage(mod *memModel, v *registry.Version, u registry.VersionUpdate) {
	if u.Stage == "" {
		return
	}
	move := func(v *registry.Version, to string) {
		if v.Stage == to {
			return
		}
		m.append(mod, registry.Entry{
			Kind: registry.KindStage, Time: u.Time, Name: mod.Name, To: v.Number, By: u.By,
			Reason: strings.TrimSpace(v.Stage + " to " + to + " " + u.Reason),
		})
		v.Stage, v.Updated = to, u.Time
	}
	if u.ArchiveOthers {
		for _, n := range slices.Sorted(maps.Keys(mod.versions)) {
			if other := mod.versions[n]; other != v && !other.Deleted && other.Stage == u.Stage {
				move(other, registry.StageArchived)
			}
		}
	}
	move(v, u.Stage)
}

// remove deletes or restores v.
func (m *Mem) remove(mod *memModel, v *registry.Version, u registry.VersionUpdate) {
	v.Deleted, v.DeletedAt = *u.Deleted, time.Time{}
	entry := registry.Entry{Kind: registry.KindRestore, Time: u.Time, Name: mod.Name, To: v.Number, By: u.By, Reason: u.Reason}
	if !v.Deleted {
		m.append(mod, entry)
		return
	}
	v.DeletedAt = u.Time
	for _, name := range slices.Sorted(maps.Keys(mod.aliases)) {
		if mod.aliases[name].Number == v.Number {
			delete(mod.aliases, name)
			m.append(mod, registry.Entry{Kind: registry.KindAlias, Time: u.Time, Name: mod.Name, Alias: name, From: v.Number, By: u.By, Reason: u.Reason})
		}
	}
	entry.Kind = registry.KindDelete
	m.append(mod, entry)
}

// Record implements registry.Store.
func (m *Mem) Record(ctx context.Context, e registry.Entry, expect int) (registry.Entry, error) {
	if err := ctx.Err(); err != nil {
		return registry.Entry{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.active(e.Name)
	if !e.Kind.Moves() {
		if mod == nil {
			return registry.Entry{}, registry.ErrNotFound
		}
		return m.append(mod, e), nil
	}
	if e.To != 0 && (mod == nil || mod.versions[e.To] == nil || mod.versions[e.To].Deleted) {
		return registry.Entry{}, registry.ErrNotFound
	}
	e.From, e.Seq = 0, 0
	if mod != nil {
		e.From = mod.aliases[e.Alias].Number
	}
	if expect != -1 && expect != e.From {
		return e, fmt.Errorf("the alias is at %d, not at %d: %w", e.From, expect, registry.ErrConflict)
	}
	if e.From == e.To {
		return e, nil
	}
	if e.To == 0 {
		delete(mod.aliases, e.Alias)
	} else {
		mod.aliases[e.Alias] = registry.Alias{Alias: e.Alias, Number: e.To, Moved: e.Time}
	}
	return m.append(mod, e), nil
}

// Aliases implements registry.Store.
func (m *Mem) Aliases(ctx context.Context, name, alias, after string, limit int) ([]registry.Alias, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.active(name)
	if mod == nil {
		return nil, nil
	}
	var out []registry.Alias
	for _, a := range mod.sortedAliases() {
		if a.Alias > after && (alias == "" || a.Alias == alias) && len(out) < limit {
			out = append(out, a)
		}
	}
	return out, nil
}

// Audit implements registry.Store.
func (m *Mem) Audit(ctx context.Context, q registry.AuditQuery) ([]registry.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []registry.Entry
	visit := func(i int) {
		e := m.log[i]
		switch {
		case len(out) >= q.Limit,
			q.Name != "" && m.about[i].Name != q.Name,
			q.Alias != "" && e.Alias != q.Alias,
			q.Kind != "" && e.Kind != q.Kind,
			q.To != 0 && e.To != q.To,
			!q.Backward && e.Seq < q.From,
			q.Backward && q.From != 0 && e.Seq > q.From:
			return
		}
		e.Evidence = slices.Clone(e.Evidence)
		out = append(out, e)
	}
	if q.Backward {
		for i := range slices.Backward(m.log) {
			visit(i)
		}
	} else {
		for i := range m.log {
			visit(i)
		}
	}
	return out, nil
}

// read returns the caller's copy.
func (mod *memModel) read() registry.Model {
	out := mod.Model
	out.Tags = nil
	if len(mod.Tags) > 0 {
		out.Tags = maps.Clone(mod.Tags)
	}
	out.Aliases = mod.sortedAliases()
	return out
}

func (mod *memModel) sortedAliases() []registry.Alias {
	var out []registry.Alias
	for _, name := range slices.Sorted(maps.Keys(mod.aliases)) {
		out = append(out, mod.aliases[name])
	}
	return out
}

// version returns the caller's copy of v with the aliases that are at it now.
func (mod *memModel) version(v *registry.Version) *registry.Version {
	out := clone(v)
	for _, a := range mod.aliases {
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
	out.Files, out.Signature, out.Datasets, out.Metrics, out.Tags, out.Signed = nil, nil, nil, nil, nil, nil
	if len(v.Files) > 0 {
		out.Files = slices.Clone(v.Files)
	}
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
	if len(v.Signed) > 0 {
		out.Signed = slices.Clone(v.Signed)
	}
	return &out
}

// changed returns the tags after an update.
func changed(tags, set map[string]string, remove []string) (map[string]string, error) {
	out := maps.Clone(tags)
	if out == nil {
		out = map[string]string{}
	}
	for _, key := range remove {
		if _, ok := out[key]; !ok {
			return nil, fmt.Errorf("there is no tag %q: %w", key, registry.ErrNotFound)
		}
		delete(out, key)
	}
	maps.Copy(out, set)
	return out, nil
}
