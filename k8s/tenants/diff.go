package tenants

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is one field that changes.
type Difference struct {
	Path string // such as "spec.hard.requests.nvidia.com/gpu"
	Old  any    // as JSON has it; nil when the field is new
	New  any    // nil when the field goes
}

// String writes the field with what it was and what it becomes.
func (d Difference) String() string {
	return fmt.Sprintf("%s: %s -> %s", d.Path, text(d.Old), text(d.New))
}

func text(v any) string {
	if v == nil {
		return "(none)"
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// diff lists the fields that differ, but for those that the server keeps.
func diff(old, now map[string]any) []Difference {
	var out []Difference
	compare("", strip(old), strip(now), &out)
	return out
}

// strip is the object without what the server keeps to itself.
func strip(object map[string]any) map[string]any {
	out := maps.Clone(object)
	delete(out, "status")
	if m, ok := out["metadata"].(map[string]any); ok {
		m = maps.Clone(m)
		for _, key := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"} {
			delete(m, key)
		}
		out["metadata"] = m
	}
	return out
}

func compare(path string, old, now any, out *[]Difference) {
	a, okA := old.(map[string]any)
	b, okB := now.(map[string]any)
	if okA && okB {
		keys := map[string]bool{}
		for k := range a {
			keys[k] = true
		}
		for k := range b {
			keys[k] = true
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			compare(strings.TrimPrefix(path+"."+k, "."), a[k], b[k], out)
		}
		return
	}
	if text(old) != text(now) {
		*out = append(*out, Difference{Path: path, Old: old, New: now})
	}
}

// dig follows keys into nested maps.
func dig(v any, keys ...string) any {
	for _, key := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}
