package registry

import (
	"context"
	"fmt"
)

// ModelPage returns one page of what SearchModels walks, and the token of the
// next, empty after the last: for servers that hand pages on.
func (r *Registry) ModelPage(ctx context.Context, q ModelQuery) (page []Model, next string, err error) {
	if page, next, err = r.store.SearchModels(ctx, q); err != nil {
		return nil, "", fmt.Errorf("registry: search models: %w", err)
	}
	return page, next, nil
}

// VersionPage returns one page of what SearchVersions walks, like ModelPage.
func (r *Registry) VersionPage(ctx context.Context, q VersionQuery) (page []*Version, next string, err error) {
	if page, next, err = r.store.SearchVersions(ctx, q); err != nil {
		return nil, "", fmt.Errorf("registry: search versions: %w", err)
	}
	return page, next, nil
}
