package mlflow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/registry"
)

// CreateVersion implements registry.Store for versions without files, see
// Conn. The lease is ignored, as there is nothing to keep.
func (c *Conn) CreateVersion(ctx context.Context, v *registry.Version, _ string) (*registry.Version, error) {
	message := &mlflowapi.CreateModelVersion{Name: v.Name, Source: v.Source, Tags: pairsOf(v.Tags), Description: v.Description}
	if v.Run != "" {
		message.RunID = &v.Run
	}
	if v.LoggedModel != "" {
		message.ModelID = &v.LoggedModel
	}
	r := remote("create version of model", v.Name, http.MethodPost, "model-versions/create", message)
	r.Rule = mlflowclient.Refused
	if lost := unsent(v); len(lost) > 0 {
		return nil, r.Fail(fmt.Errorf("MLflow's versions have no %s: %w", strings.Join(lost, ", "), errs.ErrUnsupported))
	}
	if v.Source == "" {
		return nil, r.Fail(fmt.Errorf("the Source is empty, MLflow wants the URI of the files: %w", errs.ErrInvalid))
	}
	answer, err := do[mlflowapi.ModelVersionResponse](ctx, c, r)
	if errors.Is(err, errs.ErrNotFound) {
		_, err = c.CreateModel(ctx, registry.Model{Name: v.Name})
		if err == nil || errors.Is(err, errs.ErrExists) {
			answer, err = do[mlflowapi.ModelVersionResponse](ctx, c, r)
		}
	}
	if err != nil {
		return nil, err
	}
	return remoteVersion(&answer.ModelVersion)
}

// unsent names what the wire has no place for.
func unsent(v *registry.Version) (lost []string) {
	for _, f := range []struct {
		has  bool
		what string
	}{
		{len(v.Files) > 0, "files"}, {len(v.Signature) > 0, "signature"}, {v.Framework != "", "framework"}, {v.Flavor != "", "flavor"},
		{len(v.Datasets) > 0, "datasets"}, {len(v.Metrics) > 0, "metrics"}, {v.Code != registry.Code{}, "code"}, {v.License != "", "license"},
		{v.Golden != "", "golden outputs"}, {v.User != "", "user of the caller's choice"}, {v.Key != "", "key"},
		{v.Status != "" && v.Status != registry.Ready, "status of the caller's choice"},
		{v.Stage != "" && v.Stage != registry.StageNone, "stage at their creation"}, {len(v.Signed) > 0, "signatures"},
	} {
		if f.has {
			lost = append(lost, f.what)
		}
	}
	return lost
}

// Version implements registry.Store. A deleted one is ErrNotFound.
func (c *Conn) Version(ctx context.Context, name string, number int) (*registry.Version, error) {
	r := remote("get version", fmt.Sprintf("%s/%d", name, number), http.MethodGet, "model-versions/get", nil)
	r.Query = url.Values{"name": {name}, "version": {strconv.Itoa(number)}}
	answer, err := do[mlflowapi.ModelVersionResponse](ctx, c, r)
	if err != nil {
		return nil, err
	}
	v, err := remoteVersion(&answer.ModelVersion)
	if err != nil {
		return nil, r.Fail(err)
	}
	return v, nil
}

// UpdateVersion implements registry.Store, with a request for each change. By
// and Reason are not kept.
func (c *Conn) UpdateVersion(ctx context.Context, name string, number int, u registry.VersionUpdate) error {
	const dir = "model-versions/"
	ref, n := fmt.Sprintf("%s/%d", name, number), strconv.Itoa(number)
	refuse := func(why string) error {
		r := remote("update version", ref, "", "", nil)
		return r.Fail(fmt.Errorf("%s: %w", why, errs.ErrUnsupported))
	}
	archive := u.ArchiveOthers && (u.Stage == registry.StageStaging || u.Stage == registry.StageProduction)
	switch {
	case u.Deleted != nil && !*u.Deleted:
		return refuse("MLflow deletes versions for good and cannot restore them")
	case u.Status != "" || u.StatusMessage != "" || len(u.Files) > 0 || u.Digest != "":
		return refuse("the status of a version and its files are the server's")
	case u.Sign != nil:
		return refuse("MLflow's versions have no signatures")
	case u.ArchiveOthers && u.Stage == registry.StageNone:
		return refuse("MLflow archives the others of an active stage only")
	}
	var requests []mlflowclient.Call
	add := func(method, path string, message any) {
		requests = append(requests, remote("update version", ref, method, dir+path, message))
	}
	var aliases []string
	if len(u.DeleteTags) > 0 || u.Deleted != nil || len(u.SetTags) == 0 && u.Description == nil && u.Stage == "" {
		v, err := c.Version(ctx, name, number)
		if err != nil {
			return err
		}
		if err := needTags("version", ref, v.Tags, u.SetTags, u.DeleteTags); err != nil {
			return err
		}
		aliases = v.Aliases
	}
	if u.Description != nil {
		add(http.MethodPatch, "update", &mlflowapi.UpdateModelVersion{Name: name, Version: n, Description: *u.Description})
	}
	for _, key := range slices.Sorted(maps.Keys(u.SetTags)) {
		add(http.MethodPost, "set-tag", &mlflowapi.SetModelVersionTag{Name: name, Version: n, Key: key, Value: u.SetTags[key]})
	}
	for _, key := range u.DeleteTags {
		add(http.MethodDelete, "delete-tag", &mlflowapi.DeleteModelVersionTag{Name: name, Version: n, Key: key})
	}
	if u.Stage != "" {
		add(http.MethodPost, "transition-stage", &mlflowapi.TransitionModelVersionStage{Name: name, Version: n, Stage: u.Stage, ArchiveExistingVersions: archive})
	}
	if u.Deleted != nil {
		add(http.MethodDelete, "delete", &mlflowapi.ModelVersionName{Name: name, Version: n})
		requests[len(requests)-1].GoneIsDone = true
		// Upstream leaves them behind, at a version that is gone.
		for _, alias := range aliases {
			requests = append(requests, deleteAlias(name, alias))
		}
	}
	for _, r := range requests {
		if err := c.client.Do(ctx, r, nil); err != nil {
			return err
		}
	}
	return nil
}

// SearchVersions implements registry.Store. Upstream's searches tell no
// aliases.
func (c *Conn) SearchVersions(ctx context.Context, q registry.VersionQuery) ([]*registry.Version, string, error) {
	s := search{op: "search versions", path: "model-versions/search", name: q.Name, filter: q.Filter, orderBy: q.OrderBy, size: min(q.Page.Max, maxVersions)}
	if err := s.open(q.Page.Token); err != nil || q.View == registry.DeletedOnly {
		return nil, "", err
	}
	return searchFor(ctx, c, &s, func(answer *mlflowapi.SearchModelVersionsResponse) (page []*registry.Version, next string, err error) {
		for i := range answer.ModelVersions {
			v, err := remoteVersion(&answer.ModelVersions[i])
			if err != nil {
				return nil, "", err
			}
			page = append(page, v)
		}
		return page, answer.NextPageToken, nil
	})
}
