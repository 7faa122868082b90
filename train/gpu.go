package train

import "strings"

// MatchGPU reports whether a GPU that its machine names name is of the type,
// as GPU.Types means it: each word of the type is a word of the name, without
// regard to case. "A100-80GB" matches "NVIDIA-A100-SXM4-80GB", and "A10" does
// not match "A100".
func MatchGPU(wanted, name string) bool {
	words := gpuTokens(name)
	for _, w := range gpuTokens(wanted) {
		found := false
		for _, have := range words {
			found = found || have == w
		}
		if !found {
			return false
		}
	}
	return true
}

// Wants is the place of a GPU's type in Types, 0 being the best, and -1 for one
// that is not wanted. A GPU without Types wants every type.
func (g GPU) Wants(name string) int {
	if len(g.Types) == 0 {
		return 0
	}
	for i, t := range g.Types {
		if MatchGPU(t, name) {
			return i
		}
	}
	return -1
}

// gpuTokens are the words of a name that say something.
func gpuTokens(name string) []string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return r == '-' || r == '_' || r == ' ' || r == '/' || r == ','
	})
	kept := words[:0]
	for _, w := range words {
		if w != "nvidia" && w != "tesla" {
			kept = append(kept, w)
		}
	}
	return kept
}
