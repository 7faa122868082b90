package mlflow

import (
	"net/http"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
)

func (h *Handler) stageRoutes() []route {
	const latest = "registered-models/get-latest-versions"
	name := func(m *mlflowapi.GetLatestVersions) string { return m.Name }
	return []route{
		on(http.MethodPost, latest, Read, name, h.getLatest),
		on(http.MethodGet, latest, Read, name, h.getLatest),
		on(http.MethodPost, "model-versions/transition-stage", Write, func(m *mlflowapi.TransitionModelVersionStage) string { return m.Name }, h.transition),
	}
}

var stages = []string{registry.StageNone, registry.StageStaging, registry.StageProduction, registry.StageArchived}

// stageOf returns the stage that a text names, in any case.
func stageOf(text string) (string, error) {
	for _, s := range stages {
		if strings.EqualFold(s, text) {
			return s, nil
		}
	}
	return "", mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid Model Version stage: %s. Value must be one of %s.", mlflowhttp.Printable(text), strings.Join(stages, ", "))
}

func (h *Handler) getLatest(c *call, m *mlflowapi.GetLatestVersions) (any, error) {
	if _, err := c.model(m.Name); err != nil {
		return nil, err
	}
	wanted := make([]string, 0, len(stages))
	for _, text := range m.Stages {
		s, err := stageOf(text)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, s)
	}
	latest, err := h.reg.LatestVersions(c.Ctx(), m.Name)
	if err != nil {
		return nil, err
	}
	out := &mlflowapi.GetLatestVersionsResponse{}
	for _, v := range latest {
		wire := wireVersion(v)
		if len(wanted) == 0 || slices.Contains(wanted, wire.CurrentStage) {
			out.ModelVersions = append(out.ModelVersions, wire)
		}
	}
	return out, nil
}

func (h *Handler) transition(c *call, m *mlflowapi.TransitionModelVersionStage) (any, error) {
	stage, err := stageOf(m.Stage)
	if err != nil {
		return nil, err
	}
	if m.ArchiveExistingVersions && stage != registry.StageStaging && stage != registry.StageProduction {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Model version transition cannot archive existing model versions because '%s' is not an Active stage. "+
			"Valid stages are Staging and Production.", mlflowhttp.Printable(m.Stage))
	}
	if err := c.changeVersion(m.Name, m.Version, registry.VersionUpdate{Stage: stage, ArchiveOthers: m.ArchiveExistingVersions}); err != nil {
		return nil, err
	}
	return h.getVersion(c, &mlflowapi.ModelVersionName{Name: m.Name, Version: m.Version})
}
