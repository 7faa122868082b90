// Package plain writes Kubernetes objects as the YAML that people keep in Git:
// one document an object, keys sorted, no status, nothing that a server filled
// in.
package plain

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"
)

// YAML writes the objects in their order, as documents of one file.
func YAML[T any](objects ...T) ([]byte, error) {
	var out bytes.Buffer
	for i, o := range objects {
		m, err := Map(o)
		if err != nil {
			return nil, err
		}
		doc, err := yaml.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("plain: write object %d as YAML: %w", i, err)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(doc)
	}
	return out.Bytes(), nil
}

// Map is the object as JSON has it, without status and empty metadata.
func Map(object any) (map[string]any, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("plain: write %T: %w", object, err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("plain: write %T: %w", object, err)
	}
	delete(m, "status")
	strip(m)
	return m, nil
}

// strip removes the null creation times that typed objects carry, at any depth.
func strip(v any) {
	switch v := v.(type) {
	case map[string]any:
		if t, ok := v["creationTimestamp"]; ok && t == nil {
			delete(v, "creationTimestamp")
		}
		for _, child := range v {
			strip(child)
		}
	case []any:
		for _, child := range v {
			strip(child)
		}
	}
}
