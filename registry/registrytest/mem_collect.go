package registrytest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/registry"
)

// PurgeVersion implements registry.Purger.
func (m *Mem) PurgeVersion(ctx context.Context, name string, number int, by string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.active(name)
	if mod == nil || mod.versions[number] == nil {
		return registry.ErrNotFound
	}
	if !mod.versions[number].Deleted {
		return registry.ErrInvalid
	}
	delete(mod.versions, number)
	m.append(mod, registry.Entry{Kind: registry.KindPurge, Time: purgeTime(), Name: name, To: number, By: by})
	return nil
}

// PurgeModel implements registry.Purger.
func (m *Mem) PurgeModel(ctx context.Context, name, by string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mod := m.models[name]
	if mod == nil {
		return registry.ErrNotFound
	}
	if !mod.Deleted {
		return registry.ErrInvalid
	}
	delete(m.models, name)
	m.append(mod, registry.Entry{Kind: registry.KindPurge, Time: purgeTime(), Name: name, By: by})
	return nil
}

func purgeTime() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Lease implements registry.Collector.
func (m *Mem) Lease(ctx context.Context, token string, digests []string, until time.Time) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var blocked []string
	for _, d := range digests {
		if _, marked := m.condemned[d]; marked {
			blocked = append(blocked, d)
		}
	}
	if len(blocked) > 0 {
		return blocked, nil
	}
	l := m.leases[token]
	if l == nil {
		l = &lease{digests: map[string]bool{}}
		if m.leases == nil {
			m.leases = map[string]*lease{}
		}
		m.leases[token] = l
	}
	l.until = until
	for _, d := range digests {
		l.digests[d] = true
	}
	return nil, nil
}

// holds reports whether a lease has all digests of the files.
func (m *Mem) holds(token string, files []registry.File) bool {
	l := m.leases[token]
	return l != nil && !slices.ContainsFunc(files, func(f registry.File) bool { return !l.digests[f.SHA256] })
}

// Condemn implements registry.Collector.
func (m *Mem) Condemn(ctx context.Context, token string, digests []string, now, until time.Time) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	needed := map[string]bool{}
	for _, mod := range m.models {
		for _, v := range mod.versions {
			for _, f := range v.Files {
				needed[f.SHA256] = true
			}
		}
	}
	for token, l := range m.leases {
		if !l.until.After(now) {
			delete(m.leases, token)
			continue
		}
		maps.Copy(needed, l.digests)
	}
	if m.condemned == nil {
		m.condemned = map[string]mark{}
	}
	var doomed []string
	for _, d := range digests {
		if _, marked := m.condemned[d]; !needed[d] && !marked {
			doomed = append(doomed, d)
			m.condemned[d] = mark{token, until}
		}
	}
	for d, old := range m.condemned {
		if old.until.Before(now) {
			doomed = append(doomed, d)
			m.condemned[d] = mark{token, until}
		}
	}
	return doomed, nil
}

// Cleared implements registry.Collector.
func (m *Mem) Cleared(ctx context.Context, token string, digests []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range digests {
		if m.condemned[d].token == token {
			delete(m.condemned, d)
		}
	}
	return nil
}
