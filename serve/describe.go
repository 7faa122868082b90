package serve

import (
	"cmp"
	"maps"
	"slices"

	"github.com/millwright-ml/millwright/serve/oip"
)

// ModelInfo describes one deployed model.
type ModelInfo struct {
	Name string
	// Default is the version that answers when none is named and no Router
	// chooses.
	Default string
	// Versions are all that answer, the default among them.
	Versions []VersionInfo
}

// VersionInfo describes one deployed version.
type VersionInfo struct {
	Version, Platform, Digest string
	// Labels are the deployment's.
	Labels map[string]string
	// Size is the memory that the model says it holds, in bytes, 0 if it
	// does not say.
	Size int64
}

// Models describes what is deployed, in the order of the names.
func (s *Server) Models() []ModelInfo {
	now := s.table.Load()
	list := make([]ModelInfo, 0, len(now.models))
	for name, m := range now.models {
		info := ModelInfo{Name: name, Default: m.def.version}
		for _, v := range m.versions {
			info.Versions = append(info.Versions, v.info())
		}
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b ModelInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (v *deployed) info() VersionInfo {
	return VersionInfo{v.version, v.platform, v.digest, maps.Clone(v.labels), v.size}
}

// ServerMetadata is the answer to GET /v2.
func (s *Server) ServerMetadata() oip.ServerMetadata {
	list := []string{"binary_tensor_data", "generate", "model_configuration", "statistics"}
	if s.opts.Repository != nil && s.opts.Authorize != nil {
		list = append(list, "model_repository")
	}
	return oip.ServerMetadata{Name: s.opts.Name, Version: s.opts.Version, Extensions: list}
}

// Metadata describes the version, the default one when version is empty. Its
// Versions are all that are deployed. ErrNotFound when there is no such one.
func (s *Server) Metadata(name, version string) (oip.ModelMetadata, error) {
	m, err := s.model(s.table.Load(), name)
	if err != nil {
		return oip.ModelMetadata{}, err
	}
	v, err := m.exact(name, version)
	if err != nil {
		return oip.ModelMetadata{}, err
	}
	return oip.ModelMetadata{
		Name: v.name, Versions: m.numbers(), Platform: v.platform,
		Inputs: v.inputs.copied(), Outputs: v.outputs.copied(),
	}, nil
}

// Signature returns the signature of a version, the default one when version
// is empty. ErrNotFound when there is no such one.
func (s *Server) Signature(name, version string) (Signature, error) {
	v, err := s.lookup(name, version)
	if err != nil {
		return Signature{}, err
	}
	return Signature{Inputs: v.inputs.copied(), Outputs: v.outputs.copied()}, nil
}

// Ready reports whether there is a model to answer requests. A server that
// starts without one takes no traffic before the first, and one that was shut
// down takes no more.
func (s *Server) Ready() bool {
	now := s.table.Load()
	return !now.closed && len(now.models) > 0
}

// ModelReady returns nil when the version answers requests, any version when
// version is empty; else an ErrNotFound or, after Shutdown, an ErrClosed.
func (s *Server) ModelReady(name, version string) error {
	_, err := s.lookup(name, version)
	return err
}

// matching returns the versions that a name and a version stand for, either of
// which may be empty for all.
func (s *Server) matching(name, version string) ([]*deployed, error) {
	now := s.table.Load()
	if name == "" {
		var list []*deployed
		for _, name := range slices.Sorted(maps.Keys(now.models)) {
			list = append(list, now.models[name].versions...)
		}
		return list, nil
	}
	m, err := s.model(now, name)
	if err != nil {
		return nil, err
	}
	if version == "" {
		return m.versions, nil
	}
	v, err := m.exact(name, version)
	if err != nil {
		return nil, err
	}
	return []*deployed{v}, nil
}

// copied returns a copy of the list, whose owner may change it.
func (t *tensors) copied() []oip.TensorMetadata {
	list := slices.Clone(t.list)
	for i := range list {
		list[i].Shape = slices.Clone(list[i].Shape)
	}
	return list
}
