package gpus

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/train"
)

// ErrNoMatch says that no GPU of the cluster is what was asked for. The text says
// what there is and why it was not taken.
var ErrNoMatch = errs.ErrInvalid

// Rule is what a pod has to ask for to get the GPUs that a job wants. The zero
// Rule asks for nothing.
type Rule struct {
	// Resource is the extended resource and Count how many of it the container
	// asks for. Resource is empty when only a DRA driver has such GPUs.
	Resource corev1.ResourceName
	Count    int
	// Terms is the required node affinity: one term has to hold, and all its
	// expressions. Empty: any node that has the resource.
	Terms []corev1.NodeSelectorTerm
	// Preferred ranks the types in the order of GPU.Types.
	Preferred []corev1.PreferredSchedulingTerm
	// Device says the same to a DRA driver. nil when no driver has such GPUs.
	Device *DeviceRule
	// Types are the types that fit, best first.
	Types []Type
	// Assumed says that the cluster's types were not known, and Terms hold the
	// names that such products commonly have.
	Assumed bool
	// Skipped says, for each other type, why it was not taken.
	Skipped []Skip
}

// DeviceRule is a request to a DRA driver.
type DeviceRule struct {
	Driver string // such as "gpu.nvidia.com"
	// Selectors are CEL expressions that all have to hold, for
	// spec.devices.requests[].exactly.selectors of a ResourceClaim.
	Selectors []string
}

// Skip is a type that was not taken, and why.
type Skip struct {
	Type   Type
	Reason string
}

// Match finds the types of have that are what want asks for and says how a pod
// asks for them. A nil have means that the cluster's types are not known: the
// rule then goes by the names that such products commonly have. When nothing
// fits, the error is ErrNoMatch.
//
// MinMemory is nominal: 80 GiB is met by every GPU that is sold as one of 80 GB,
// though an H100 reports 79.6 GiB.
func Match(want train.GPU, have []Type) (*Rule, error) {
	if want.Count == 0 {
		return &Rule{}, nil
	}
	if have == nil {
		return assume(want)
	}
	rule := &Rule{Count: want.Count}
	type ranked struct {
		rank int
		t    Type
	}
	var fits []ranked
	for _, t := range have {
		rank, reason := judge(want, t)
		if reason != "" {
			rule.Skipped = append(rule.Skipped, Skip{t, reason})
			continue
		}
		fits = append(fits, ranked{rank, t})
	}
	if len(fits) == 0 {
		return nil, noMatch(want, rule.Skipped)
	}
	slices.SortStableFunc(fits, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.t.Name, b.t.Name), strings.Compare(a.t.Resource, b.t.Resource))
	})
	// A container names one resource, so the types of one resource are taken: that
	// of the best type; among equals the one with the most types, then NVIDIA's. Devices of a
	// driver come in when no device plugin has such a type.
	first, most := fits[0].t, 0
	best := slices.IndexFunc(fits, func(f ranked) bool { return f.t.Driver == "" })
	for _, f := range fits {
		if best < 0 || f.t.Driver != "" || f.rank > fits[best].rank {
			continue
		}
		n := 0
		for _, other := range fits {
			if other.t.Resource == f.t.Resource {
				n++
			}
		}
		if n > most || (n == most && f.t.Resource == resourceNVIDIA) {
			first, most = f.t, n
		}
	}
	ranks := map[string]int{}
	for _, f := range fits {
		if f.t.Resource != first.Resource || f.t.Driver != first.Driver {
			rule.Skipped = append(rule.Skipped, Skip{f.t, "a pod can ask for one resource only, and " + first.source() + " has a better or equal type"})
			continue
		}
		rule.Types = append(rule.Types, f.t)
		ranks[f.t.Name] = f.rank
	}
	if first.Driver != "" {
		rule.Device = &DeviceRule{Driver: first.Driver, Selectors: selectors(want, rule.Types)}
		return rule, nil
	}
	rule.Resource = corev1.ResourceName(first.Resource)
	rule.affinity(len(want.Types) > 0 || rule.excludes(first.Resource), ranks)
	return rule, nil
}

// source names where a type comes from.
func (t Type) source() string {
	if t.Driver != "" {
		return "driver " + t.Driver
	}
	return t.Resource
}

// judge says at which place of want.Types the type is, or why it does not do.
func judge(want train.GPU, t Type) (int, string) {
	rank := 0
	if len(want.Types) > 0 {
		rank = slices.IndexFunc(want.Types, t.named)
		if rank < 0 {
			return 0, "is not " + strings.Join(want.Types, " or ")
		}
	}
	switch {
	case want.MIG == "" && t.MIG != "":
		return 0, "is a MIG slice (" + t.MIG + "), not a whole GPU"
	case want.MIG != "" && t.MIG == "":
		return 0, "is not cut into MIG slices"
	case !strings.EqualFold(want.MIG, t.MIG):
		return 0, "has the MIG profile " + t.MIG
	case t.Shared && !want.Shared:
		return 0, "is shared with other pods without isolation of memory (ask for it with Shared)"
	case want.MinMemory > 0 && t.Memory == 0:
		return 0, "does not say how much memory it has"
	case !t.holds(want.MinMemory):
		return 0, "has " + size(t.Memory) + " of memory"
	}
	return rank, ""
}

// excludes reports whether a type that was skipped has the same resource, so
// that the resource alone does not keep the job off it.
func (r *Rule) excludes(resource string) bool {
	return slices.ContainsFunc(r.Skipped, func(s Skip) bool { return s.Type.Resource == resource })
}

// affinity turns Types into Terms, where they are needed, and Preferred.
func (r *Rule) affinity(needed bool, ranks map[string]int) {
	byLabel := map[string][]string{}
	var labels []string
	for _, t := range r.Types {
		if t.Label == "" {
			needed = false // a node that does not name its GPU cannot be asked for by name
			continue
		}
		if byLabel[t.Label] == nil {
			labels = append(labels, t.Label)
		}
		if !slices.Contains(byLabel[t.Label], t.Name) {
			byLabel[t.Label] = append(byLabel[t.Label], t.Name)
		}
	}
	if !needed {
		return
	}
	worst := 0
	for _, rank := range ranks {
		worst = max(worst, rank)
	}
	for _, label := range labels {
		slices.Sort(byLabel[label])
		r.Terms = append(r.Terms, term(label, byLabel[label]))
		for rank := range worst { // the worst needs no preference
			names := slices.DeleteFunc(slices.Clone(byLabel[label]), func(n string) bool { return ranks[n] != rank })
			if len(names) > 0 {
				r.Preferred = append(r.Preferred, corev1.PreferredSchedulingTerm{
					Weight: max(1, int32(100-100*rank/worst)), Preference: term(label, names),
				})
			}
		}
	}
}

func term(label string, names []string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: label, Operator: corev1.NodeSelectorOpIn, Values: names},
	}}
}

// selectors are the CEL expressions for devices of the types, which are all of
// one driver.
func selectors(want train.GPU, types []Type) []string {
	driver := types[0].Driver
	out := []string{fmt.Sprintf("device.driver == %q", driver)}
	var names []string
	for _, t := range types {
		quoted := fmt.Sprintf("%q", t.Name)
		if t.Label != "" && t.Label == types[0].Label && !slices.Contains(names, quoted) {
			names = append(names, quoted)
		}
	}
	if len(want.Types) > 0 && len(names) > 0 {
		out = append(out, fmt.Sprintf("device.attributes[%q].%s in [%s]", driver, types[0].Label, strings.Join(names, ", ")))
	}
	if want.MinMemory > 0 {
		out = append(out, fmt.Sprintf("device.capacity[%q].memory.compareTo(quantity(%q)) >= 0", driver, fmt.Sprint(want.MinMemory/100*nominal)))
	}
	if want.MIG != "" {
		out = append(out, fmt.Sprintf("device.attributes[%q].profile == %q", driver, types[0].MIG))
	}
	return out
}

func noMatch(want train.GPU, skipped []Skip) error {
	wish := "a GPU"
	if len(want.Types) > 0 {
		wish = strings.Join(want.Types, " or ")
	}
	if want.MIG != "" {
		wish += " MIG " + want.MIG
	}
	if want.MinMemory > 0 {
		wish += " of at least " + size(want.MinMemory)
	}
	why := "the cluster has no GPUs"
	if len(skipped) > 0 {
		var texts []string
		for _, s := range skipped {
			texts = append(texts, s.Type.String()+" "+s.Reason)
		}
		why = strings.Join(slices.Compact(texts), "; ")
	}
	return fmt.Errorf("gpus: match %q: %s: %w", wish, why, ErrNoMatch)
}

// size writes bytes in GiB, as the products are sold.
func size(n int64) string { return fmt.Sprintf("%.4g GiB", float64(n)/(1<<30)) }
