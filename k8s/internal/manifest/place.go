package manifest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/train"
)

// spotLabels are how the nodes of the clouds and of Karpenter say that they can
// be taken away.
var spotLabels = []struct{ key, value string }{
	{"cloud.google.com/gke-spot", "true"},
	{"eks.amazonaws.com/capacityType", "SPOT"},
	{"karpenter.sh/capacity-type", "spot"},
	{"kubernetes.azure.com/scalesetpriority", "spot"},
}

// IsSpot reports whether a node with those labels can be taken away.
func IsSpot(labels map[string]string) bool {
	return slices.ContainsFunc(spotLabels, func(l struct{ key, value string }) bool { return labels[l.key] == l.value })
}

// place says on which nodes the pod may and should run.
func place(s train.Spec, p *Params, pod *corev1.PodSpec) {
	if p.GPU.Count > 0 && p.GPU.Resource != "" {
		// Clusters taint their GPU nodes with the resource's name.
		pod.Tolerations = append(pod.Tolerations, corev1.Toleration{Key: string(p.GPU.Resource), Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
	}
	if s.Spot == train.SpotAllow || s.Spot == train.SpotPrefer || s.Spot == train.SpotRequire {
		for _, l := range spotLabels {
			pod.Tolerations = append(pod.Tolerations, corev1.Toleration{Key: l.key, Operator: corev1.TolerationOpEqual, Value: l.value, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	pod.Affinity = Affinity(s, p)
}

// Affinity says which nodes a pod needs and likes.
func Affinity(s train.Spec, p *Params) *corev1.Affinity {
	terms, preferred := slices.Clone(p.GPU.Terms), slices.Clone(p.GPU.Preferred)
	switch s.Spot {
	case train.SpotRequire:
		terms = spotTerms(terms)
	case train.SpotPrefer:
		for _, l := range spotLabels {
			preferred = append(preferred, corev1.PreferredSchedulingTerm{Weight: 50, Preference: corev1.NodeSelectorTerm{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: l.key, Operator: corev1.NodeSelectorOpIn, Values: []string{l.value}}},
			}})
		}
	case train.SpotAllow:
	default:
		terms = noSpotTerms(terms)
	}
	if len(terms) == 0 && len(preferred) == 0 {
		return nil
	}
	affinity := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: preferred}}
	if len(terms) > 0 {
		affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: terms}
	}
	return affinity
}

// spotTerms asks for any of the labels beside each term.
func spotTerms(terms []corev1.NodeSelectorTerm) []corev1.NodeSelectorTerm {
	if len(terms) == 0 {
		terms = []corev1.NodeSelectorTerm{{}}
	}
	var out []corev1.NodeSelectorTerm
	for _, t := range terms {
		for _, l := range spotLabels {
			one := *t.DeepCopy()
			one.MatchExpressions = append(one.MatchExpressions, corev1.NodeSelectorRequirement{Key: l.key, Operator: corev1.NodeSelectorOpIn, Values: []string{l.value}})
			out = append(out, one)
		}
	}
	return out
}

// noSpotTerms asks for none of the labels in each term. A node without the label
// passes.
func noSpotTerms(terms []corev1.NodeSelectorTerm) []corev1.NodeSelectorTerm {
	if len(terms) == 0 {
		terms = []corev1.NodeSelectorTerm{{}}
	}
	out := make([]corev1.NodeSelectorTerm, 0, len(terms))
	for _, t := range terms {
		one := *t.DeepCopy()
		for _, l := range spotLabels {
			one.MatchExpressions = append(one.MatchExpressions, corev1.NodeSelectorRequirement{Key: l.key, Operator: corev1.NodeSelectorOpNotIn, Values: []string{l.value}})
		}
		out = append(out, one)
	}
	return out
}
