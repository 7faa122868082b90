package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
)

// LatestLister is a Store that finds the latest active version of each stage
// of many models at once. LatestVersions walks through the versions of others.
type LatestLister interface {
	// LatestVersions returns for each of the models, which are at most 1000, the
	// active version with the highest number of each stage, in any order. Models
	// that are unknown or deleted have none.
	LatestVersions(ctx context.Context, names []string) ([]*Version, error)
}

// latestAtOnce is how many models a LatestLister is asked for at a time.
const latestAtOnce = 100

// LatestVersions returns for each of the models the active version with the
// highest number in each stage, ordered by number, as MLflow's older clients
// ask for them. Unknown models have none.
func (r *Registry) LatestVersions(ctx context.Context, names ...string) (map[string][]*Version, error) {
	const op = "registry: latest versions"
	var faults errs.Faults
	for _, name := range names {
		checkName(&faults, name)
	}
	if err := faults.Err(op); err != nil {
		return nil, err
	}
	out := make(map[string][]*Version, len(names))
	lister, ok := r.store.(LatestLister)
	if !ok {
		for _, name := range names {
			list, err := r.walkLatest(ctx, name)
			if err != nil {
				return nil, err
			}
			out[name] = list
		}
		return out, nil
	}
	for part := range slices.Chunk(names, latestAtOnce) {
		list, err := lister.LatestVersions(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		for _, v := range list {
			out[v.Name] = append(out[v.Name], v)
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b *Version) int { return a.Number - b.Number })
	}
	return out, nil
}

// walkLatest finds the latest version of each stage by looking at all.
func (r *Registry) walkLatest(ctx context.Context, name string) ([]*Version, error) {
	const stages = 4
	seen := map[string]*Version{}
	for v, err := range r.SearchVersions(ctx, VersionQuery{Name: name, OrderBy: []string{"version_number DESC"}}) {
		if err != nil {
			return nil, err
		}
		stage := v.Stage
		if stage == "" {
			stage = StageNone
		}
		if seen[stage] == nil {
			seen[stage] = v
		}
		if len(seen) == stages {
			break
		}
	}
	out := make([]*Version, 0, len(seen))
	for _, v := range seen {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b *Version) int { return a.Number - b.Number })
	return out, nil
}
