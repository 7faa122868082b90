package mlflow

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/registry"
)

// remoteTime is a time on the wire; 0 is none.
func remoteTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// remoteNumber reads a version's number, which the wire has as a text.
func remoteNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("the server answered with the version %q, which is no number from 1 up: %w", mlflowclient.Shown(text), errs.ErrUnsupported)
	}
	return n, nil
}

func remoteModel(m *mlflowapi.RegisteredModel, latest bool) (registry.Model, error) {
	out := registry.Model{
		Name: m.Name, Description: m.Description, Tags: mapOf(m.Tags),
		Created: remoteTime(m.CreationTimestamp), Updated: remoteTime(m.LastUpdatedTimestamp),
	}
	for i := range m.LatestVersions {
		v, err := remoteVersion(&m.LatestVersions[i])
		if err != nil {
			return out, err
		}
		out.Latest = max(out.Latest, v.Number)
		if latest {
			out.LatestVersions = append(out.LatestVersions, v)
		}
	}
	slices.SortFunc(out.LatestVersions, func(a, b *registry.Version) int { return cmp.Compare(a.Number, b.Number) })
	for _, a := range m.Aliases {
		n, err := remoteNumber(a.Version)
		if err != nil {
			return out, err
		}
		out.Aliases = append(out.Aliases, registry.Alias{Alias: a.Alias, Number: n})
	}
	slices.SortFunc(out.Aliases, func(a, b registry.Alias) int { return cmp.Compare(a.Alias, b.Alias) })
	for _, v := range out.LatestVersions { // upstream's searches tell them here only
		v.Aliases = nil
		for _, a := range out.Aliases {
			if a.Number == v.Number {
				v.Aliases = append(v.Aliases, a.Alias)
			}
		}
	}
	return out, nil
}

func remoteVersion(v *mlflowapi.ModelVersion) (*registry.Version, error) {
	n, err := remoteNumber(v.Version)
	if err != nil {
		return nil, err
	}
	out := &registry.Version{
		Name: v.Name, Number: n, Created: remoteTime(v.CreationTimestamp), Updated: remoteTime(v.LastUpdatedTimestamp),
		User: v.UserID, Stage: v.CurrentStage, Description: v.Description, Source: v.Source, Run: v.RunID, LoggedModel: v.ModelID,
		Status: registry.Status(v.Status), StatusMessage: v.StatusMessage, Tags: mapOf(v.Tags), Aliases: v.Aliases,
	}
	if out.Status == "" {
		out.Status = registry.Ready
	}
	if out.Stage == "" {
		out.Stage = registry.StageNone
	}
	slices.Sort(out.Aliases)
	if len(out.Aliases) == 0 {
		out.Aliases = nil
	}
	return out, nil
}
