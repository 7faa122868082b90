package registry

import (
	"context"
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
)

// LatestVersions returns the active version with the highest number in each
// stage of a model, ordered by number, as MLflow's older clients ask for them,
// without what VersionQuery.Brief leaves out. An unknown model has none. For
// those of many models see ModelQuery.Latest.
func (r *Registry) LatestVersions(ctx context.Context, name string) ([]*Version, error) {
	const op = "registry: latest versions"
	var faults errs.Faults
	checkName(&faults, name)
	if err := faults.Err(op); err != nil {
		return nil, err
	}
	page, _, err := r.store.SearchModels(ctx, ModelQuery{Name: name, Latest: true, Page: Page{Max: 1}})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if len(page) == 0 {
		return nil, nil
	}
	return page[0].LatestVersions, nil
}
