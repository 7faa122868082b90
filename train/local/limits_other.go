//go:build !linux

package local

import "github.com/millwright-ml/millwright/train"

// limits are how a job's processes are held to their resources.
type limits struct {
	memory, cpu string
	data        int64
	warnings    []string
}

// limit says that nothing is enforced: there are no control groups here.
func limit(_, _ string, _ train.Resources, _ int, _ bool) limits {
	return limits{warnings: []string{"CPU and memory are not limited on this system"}}
}

func removeGroups(_, _ string) {}
