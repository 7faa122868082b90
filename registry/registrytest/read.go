package registrytest

import (
	"context"

	"github.com/millwright-ml/millwright/registry"
)

// aliasOf returns one alias; ErrNotFound when there is none.
func aliasOf(ctx context.Context, s registry.Store, name, alias string) (registry.Alias, error) {
	list, err := s.Aliases(ctx, name, alias, "", 1)
	if err == nil && len(list) == 0 {
		err = registry.ErrNotFound
	}
	if err != nil {
		return registry.Alias{}, err
	}
	return list[0], nil
}

// allModels reads every page of a query.
func allModels(ctx context.Context, s registry.Store, q registry.ModelQuery) ([]registry.Model, error) {
	return all(func(token string) ([]registry.Model, string, error) {
		q.Page.Token = token
		page, next, err := s.SearchModels(ctx, q)
		for i := range page {
			brief(page[i].LatestVersions)
		}
		return page, next, err
	})
}

// allVersions reads every page of a query.
func allVersions(ctx context.Context, s registry.Store, q registry.VersionQuery) ([]*registry.Version, error) {
	return all(func(token string) ([]*registry.Version, string, error) {
		q.Page.Token = token
		page, next, err := s.SearchVersions(ctx, q)
		if q.Brief {
			brief(page)
		}
		return page, next, err
	})
}

// brief takes away what a store may leave out.
func brief(list []*registry.Version) {
	for _, v := range list {
		v.Files, v.Digest, v.Signature, v.Datasets, v.Metrics = nil, "", nil, nil, nil
		v.Code, v.Golden, v.Key, v.Signed = registry.Code{}, "", "", nil
		v.Framework, v.Flavor, v.License, v.LoggedModel = "", "", "", ""
	}
}

func all[T any](fetch func(token string) ([]T, string, error)) ([]T, error) {
	var out []T
	for token, pages := "", 0; ; pages++ {
		page, next, err := fetch(token)
		if err != nil {
			return nil, err
		}
		if out = append(out, page...); next == "" {
			return out, nil
		}
		if pages == 1000 {
			return nil, registry.ErrInvalid // paging does not come to an end
		}
		token = next
	}
}
