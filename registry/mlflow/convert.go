package mlflow

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/tracking"
)

// tagRunLink keeps a version's run_link, which nothing here has a use for.
const tagRunLink = "millwright.run_link"

// millis is t in milliseconds, 0 for the zero Time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// pairsOf returns tags as pairs ordered by key.
func pairsOf(tags map[string]string) []mlflowapi.KeyValue {
	if len(tags) == 0 {
		return nil
	}
	out := make([]mlflowapi.KeyValue, 0, len(tags))
	for key, value := range tags {
		out = append(out, mlflowapi.KeyValue{Key: key, Value: value})
	}
	slices.SortFunc(out, func(a, b mlflowapi.KeyValue) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// mapOf returns pairs as a map; of equal keys the last wins.
func mapOf(pairs []mlflowapi.KeyValue) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	m := make(map[string]string, len(pairs))
	for _, kv := range pairs {
		m[kv.Key] = kv.Value
	}
	return m
}

// isPrompt reports whether tags mark a prompt.
func isPrompt(tags map[string]string) bool {
	return strings.EqualFold(tags[registry.PromptTag], "true")
}

func wireVersion(v *registry.Version) mlflowapi.ModelVersion {
	out := mlflowapi.ModelVersion{
		Name: v.Name, Version: strconv.Itoa(v.Number),
		CreationTimestamp: millis(v.Created), LastUpdatedTimestamp: millis(v.Updated),
		UserID: v.User, CurrentStage: v.Stage, Description: v.Description, Source: v.Source, RunID: v.Run,
		Status: mlflowapi.ModelVersionStatus(v.Status), StatusMessage: v.StatusMessage,
		Tags: pairsOf(v.Tags), RunLink: v.Tags[tagRunLink], Aliases: v.Aliases,
	}
	if out.CurrentStage == "" {
		out.CurrentStage = registry.StageNone
	}
	if out.RunLink != "" {
		out.Tags = slices.DeleteFunc(out.Tags, func(kv mlflowapi.KeyValue) bool { return kv.Key == tagRunLink })
	}
	return out
}

func wireModel(m *registry.Model) mlflowapi.RegisteredModel {
	out := mlflowapi.RegisteredModel{
		Name: m.Name, CreationTimestamp: millis(m.Created), LastUpdatedTimestamp: millis(m.Updated),
		Description: m.Description, Tags: pairsOf(m.Tags),
	}
	if len(m.LatestVersions) > 0 {
		out.LatestVersions = make([]mlflowapi.ModelVersion, 0, len(m.LatestVersions))
	}
	for _, v := range m.LatestVersions {
		out.LatestVersions = append(out.LatestVersions, wireVersion(v))
	}
	for _, a := range m.Aliases {
		out.Aliases = append(out.Aliases, mlflowapi.RegisteredModelAlias{Alias: a.Alias, Version: strconv.Itoa(a.Number)})
	}
	return out
}

// checkName refuses a model name in MLflow's words.
func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Missing value for required parameter 'name'.")
	case strings.ContainsAny(name, "/:"):
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid model name '%s'. Names cannot contain '/' or ':'.", mlflowhttp.Printable(name))
	case name == "." || name == "..":
		return invalid("name", name, "Names must not be path steps.")
	}
	return nil
}

// invalid is the error of a text that a parameter cannot have.
func invalid(param, value, hint string) error {
	return mlflowapi.InvalidValue(param, string(mlflowapi.AppendText(nil, value)), hint)
}

// checkTags refuses keys that MLflow's own clients cannot set.
func checkTags(tags ...mlflowapi.KeyValue) error {
	for _, kv := range tags {
		if tracking.ValidateKey(kv.Key) != nil {
			return invalid("key", kv.Key, "Names may only contain letters, digits, underscores, dashes, periods, spaces, colons and slashes, and are at most 250 long.")
		}
	}
	return nil
}

// versionNumber parses the number of a version, which the protocol has as text.
func versionNumber(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Parameter 'version' must be an integer, got '%s'.", mlflowhttp.Printable(text))
	}
	return n, nil
}

func noModel(name string) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotFound, "Registered Model with name=%s not found", mlflowhttp.Printable(name))
}

func noVersion(name, version string) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotFound, "Model Version (name=%s, version=%s) not found", mlflowhttp.Printable(name), mlflowhttp.Printable(version))
}

// model returns the active model of the name.
func (c *call) model(name string) (registry.Model, error) {
	if err := checkName(name); err != nil {
		return registry.Model{}, err
	}
	m, err := c.h.reg.Model(c.Ctx(), name)
	if errors.Is(err, registry.ErrNotFound) {
		err = noModel(name)
	}
	return m, err
}

// version returns an active version.
func (c *call) version(name, version string) (*registry.Version, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	n, err := versionNumber(version)
	if err != nil {
		return nil, err
	}
	if n <= 0 {
		return nil, noVersion(name, version)
	}
	v, err := c.h.reg.Version(c.Ctx(), name, n)
	if errors.Is(err, registry.ErrNotFound) || err == nil && v.Deleted {
		return nil, noVersion(name, version)
	}
	return v, err
}
