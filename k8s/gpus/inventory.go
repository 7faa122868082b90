package gpus

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/millwright-ml/millwright/train"
)

// Inventory is what a cluster has of GPUs at one moment.
type Inventory struct {
	Time time.Time
	// Capacity sums the nodes up by type, sorted by name.
	Capacity []Capacity
	// Nodes are those with GPUs, sorted by name.
	Nodes []Node
}

// Capacity is what a cluster has of one type.
type Capacity struct {
	Type
	// Total counts all GPUs of the type, Used those that running pods ask for,
	// Free the others on nodes that take pods, and Blocked those on nodes that do
	// not: cordoned, tainted or not ready.
	Total, Used, Free, Blocked int
	// Nodes is the number of nodes that have the type, and Largest the most free
	// GPUs on one of them.
	Nodes, Largest int
}

// Node is a node with GPUs.
type Node struct {
	Name string
	// Blocked says why the node takes no pods: "cordoned", "not ready", or the
	// taint that keeps out pods that only tolerate GPU taints. Empty: it does.
	Blocked string
	GPUs    []NodeGPU
	// CPU is in millicores, Memory in bytes and Pods a number: what the node
	// allocates and what running pods have not asked for.
	CPU, FreeCPU       int64
	Memory, FreeMemory int64
	Pods, FreePods     int64

	labels map[string]string
	down   string // as Blocked, without taints
	taints []corev1.Taint
}

// NodeGPU is what one node has of one type.
type NodeGPU struct {
	Type
	Total, Free int
}

// Types are the types of the inventory, for Match. It is never nil.
func (inv *Inventory) Types() []Type {
	out := make([]Type, 0, len(inv.Capacity))
	for _, c := range inv.Capacity {
		out = append(out, c.Type)
	}
	return out
}

// FitOptions changes one Fit. nil is the zero value.
type FitOptions struct {
	// Resources are what each pod needs beside GPUs. Default: nothing.
	Resources train.Resources
	// Tolerations are those of the pods. Taints of the GPU resources themselves
	// are tolerated always, as clusters with GPU nodes arrange it. Default: none.
	Tolerations []corev1.Toleration
	// Pods is how many pods the job has, for Text. Default: 1.
	Pods int
}

// Fit is how many pods of one size find room.
type Fit struct {
	// Now counts those that would start at once, Ever those on an empty cluster.
	// With fewer than the job has, it never starts as it is.
	Now, Ever int
	// Rule is what the pods ask for.
	Rule *Rule
	// Text says in one sentence what is in the way, or that nothing is.
	Text string
}

// Fit counts the pods that find room, each with what want says. When the cluster
// has no such GPU the error is ErrNoMatch.
func (inv *Inventory) Fit(want train.GPU, opts *FitOptions) (*Fit, error) {
	var o FitOptions
	if opts != nil {
		o = *opts
	}
	o.Pods = max(o.Pods, 1)
	rule, err := Match(want, inv.Types())
	if err != nil {
		return nil, err
	}
	fit := &Fit{Rule: rule}
	if want.Count <= 0 {
		fit.Text = "the job asks for no GPU"
		return fit, nil
	}
	free, largest, blocked := 0, 0, map[string]int{}
	for i := range inv.Nodes {
		n := &inv.Nodes[i]
		total, open := 0, 0
		for _, g := range n.GPUs {
			if slices.Contains(rule.Types, g.Type) {
				total, open = total+g.Total, open+g.Free
				largest = max(largest, g.Total)
			}
		}
		if total == 0 {
			continue
		}
		fit.Ever += n.places(total/want.Count, o.Resources, n.CPU, n.Memory, n.Pods)
		if why := n.refuses(o.Tolerations); why != "" {
			if open > 0 {
				blocked[why] += open
			}
			continue
		}
		free += open
		fit.Now += n.places(open/want.Count, o.Resources, n.FreeCPU, n.FreeMemory, n.FreePods)
	}
	fit.Text = fit.text(want, o, free, largest, blocked)
	return fit, nil
}

func (f *Fit) text(want train.GPU, o FitOptions, free, largest int, blocked map[string]int) string {
	names := make([]string, 0, len(f.Rule.Types))
	for _, t := range f.Rule.Types {
		names = append(names, t.String())
	}
	what := strings.Join(slices.Compact(names), " or ")
	var held strings.Builder
	reasons := make([]string, 0, len(blocked))
	for why := range blocked {
		reasons = append(reasons, why)
	}
	slices.Sort(reasons)
	for _, why := range reasons {
		fmt.Fprintf(&held, "; %d more are on nodes that are %s", blocked[why], why)
	}
	pods := fmt.Sprintf("%d pods of %d GPUs", o.Pods, want.Count)
	switch {
	case largest < want.Count:
		return fmt.Sprintf("no node has %d %s: the largest has %d", want.Count, what, largest)
	case f.Ever < o.Pods:
		return fmt.Sprintf("%s do not fit even when the cluster is empty: %d do (%s)", pods, f.Ever, what)
	case f.Now >= o.Pods:
		return fmt.Sprintf("%s fit now: %d %s are free", pods, free, what)
	case free >= o.Pods*want.Count:
		return fmt.Sprintf("%d of %s fit now: %d %s are free, but spread over nodes, or without the CPU and memory beside them%s", f.Now, pods, free, what, held.String())
	default:
		return fmt.Sprintf("%d of %s fit now: %d %s are free%s", f.Now, pods, free, what, held.String())
	}
}

// places bounds n pods by what each needs beside GPUs.
func (n *Node) places(count int, each train.Resources, cpu, memory, pods int64) int {
	out := min(int64(count), max(pods, 0))
	if need := int64(each.CPU * 1000); need > 0 {
		out = min(out, max(cpu, 0)/need)
	}
	if each.Memory > 0 {
		out = min(out, max(memory, 0)/each.Memory)
	}
	return int(out)
}

// refuses says why the node takes no pod with those tolerations.
func (n *Node) refuses(tolerations []corev1.Toleration) string {
	if n.down != "" {
		return n.down
	}
	for i := range n.taints {
		taint := &n.taints[i]
		if taint.Effect == corev1.TaintEffectPreferNoSchedule || isGPU(taint.Key) {
			continue
		}
		if !slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool { return tolerates(&t, taint) }) {
			return "tainted " + taint.Key
		}
	}
	return ""
}

// tolerates follows the scheduler's rules, without the comparing operators of
// newer servers, which it takes as not tolerated.
func tolerates(t *corev1.Toleration, taint *corev1.Taint) bool {
	if (t.Effect != "" && t.Effect != taint.Effect) || (t.Key != "" && t.Key != taint.Key) {
		return false
	}
	switch t.Operator {
	case corev1.TolerationOpExists:
		return true
	case "", corev1.TolerationOpEqual:
		return t.Key != "" && t.Value == taint.Value
	default:
		return false
	}
}

// sum fills Capacity from Nodes and sorts both.
func (inv *Inventory) sum() {
	byType := map[Type]*Capacity{}
	for i := range inv.Nodes {
		n := &inv.Nodes[i]
		slices.SortFunc(n.GPUs, func(a, b NodeGPU) int { return compare(a.Type, b.Type) })
		for _, g := range n.GPUs {
			c := byType[g.Type]
			if c == nil {
				c = &Capacity{Type: g.Type}
				byType[g.Type] = c
			}
			c.Nodes++
			c.Total += g.Total
			c.Used += g.Total - g.Free
			if n.Blocked != "" {
				c.Blocked += g.Free
				continue
			}
			c.Free += g.Free
			c.Largest = max(c.Largest, g.Free)
		}
	}
	for _, c := range byType {
		inv.Capacity = append(inv.Capacity, *c)
	}
	slices.SortFunc(inv.Capacity, func(a, b Capacity) int { return compare(a.Type, b.Type) })
	slices.SortFunc(inv.Nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
}

func compare(a, b Type) int {
	return cmp.Or(
		strings.Compare(a.Name, b.Name), strings.Compare(a.Resource, b.Resource), strings.Compare(a.Driver, b.Driver),
		strings.Compare(a.MIG, b.MIG), cmp.Compare(a.Memory, b.Memory),
	)
}
