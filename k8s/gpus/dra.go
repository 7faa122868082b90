package gpus

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

type deviceID struct{ driver, pool, name string }

type poolID struct{ driver, name string }

// Slice adds devices that a DRA driver offers. Devices that are no GPUs, such as
// network cards, are left out: those count whose driver's name begins with "gpu."
// or that say a product and a memory.
func (b *Builder) Slice(slice *resourcev1.ResourceSlice) { b.slices = append(b.slices, slice) }

// Claim adds the devices that a claim holds.
func (b *Builder) Claim(claim *resourcev1.ResourceClaim) {
	if claim.Status.Allocation == nil {
		return
	}
	if b.taken == nil {
		b.taken = map[deviceID]bool{}
	}
	for _, r := range claim.Status.Allocation.Devices.Results {
		if r.AdminAccess == nil || !*r.AdminAccess { // an administrator's look takes nothing
			b.taken[deviceID{r.Driver, r.Pool, r.Device}] = true
		}
	}
}

// devices adds the devices of the slices to their nodes.
func (b *Builder) devices() {
	newest := map[poolID]int64{}
	for _, s := range b.slices {
		id := poolID{s.Spec.Driver, s.Spec.Pool.Name}
		newest[id] = max(newest[id], s.Spec.Pool.Generation)
	}
	pools := map[poolID][]*resourcev1.ResourceSlice{}
	for _, s := range b.slices {
		id := poolID{s.Spec.Driver, s.Spec.Pool.Name}
		if s.Spec.Pool.Generation == newest[id] { // older ones are leftovers of an update
			pools[id] = append(pools[id], s)
		}
	}
	for id, parts := range pools {
		b.pool(id, parts)
	}
}

// pool adds one pool's devices. Partitions of a GPU, such as MIG slices, share
// its counters: what the taken ones consume is gone for the others, and the free
// ones are counted as many as fit beside each other.
func (b *Builder) pool(id poolID, parts []*resourcev1.ResourceSlice) {
	left := map[string]map[string]resource.Quantity{}
	for _, s := range parts {
		for _, set := range s.Spec.SharedCounters {
			left[set.Name] = map[string]resource.Quantity{}
			for name, c := range set.Counters {
				left[set.Name][name] = c.Value.DeepCopy()
			}
		}
	}
	each := func(do func(s *resourcev1.ResourceSlice, d *resourcev1.Device, taken bool)) {
		for _, s := range parts {
			for i := range s.Spec.Devices {
				d := &s.Spec.Devices[i]
				do(s, d, b.taken[deviceID{id.driver, id.name, d.Name}])
			}
		}
	}
	each(func(_ *resourcev1.ResourceSlice, d *resourcev1.Device, taken bool) {
		if taken {
			consume(left, d)
		}
	})
	// Whole GPUs before slices of them: each type is counted by itself, from the
	// same counters, because a job asks for one type.
	byType := map[string]map[string]map[string]resource.Quantity{}
	each(func(s *resourcev1.ResourceSlice, d *resourcev1.Device, taken bool) {
		t, ok := deviceType(id.driver, d)
		if !ok {
			return
		}
		counters := left
		if len(d.ConsumesCounters) > 0 {
			key := t.String()
			if byType[key] == nil {
				byType[key] = clone(left)
			}
			counters = byType[key]
		}
		free := !taken && !tainted(d) && consume(counters, d)
		for _, n := range b.placed(s, d) {
			n.device(t, free)
		}
	})
}

// device counts one device on the node.
func (n *Node) device(t Type, free bool) {
	i := slices.IndexFunc(n.GPUs, func(g NodeGPU) bool { return g.Type == t })
	if i < 0 {
		n.GPUs = append(n.GPUs, NodeGPU{Type: t})
		i = len(n.GPUs) - 1
	}
	n.GPUs[i].Total++
	if free {
		n.GPUs[i].Free++
	}
}

// placed are the nodes from which a device is in reach. One that many nodes reach
// is counted on the first of them, lest it be counted twice.
func (b *Builder) placed(s *resourcev1.ResourceSlice, d *resourcev1.Device) []*Node {
	name, selector := s.Spec.NodeName, s.Spec.NodeSelector
	all := s.Spec.AllNodes != nil && *s.Spec.AllNodes
	if s.Spec.PerDeviceNodeSelection != nil && *s.Spec.PerDeviceNodeSelection {
		name, selector, all = d.NodeName, d.NodeSelector, d.AllNodes != nil && *d.AllNodes
	}
	if name != nil {
		if n := b.nodes[*name]; n != nil {
			return []*Node{n}
		}
		return nil
	}
	var first *Node
	for _, n := range b.nodes {
		if (all || selected(selector, n)) && (first == nil || n.Name < first.Name) {
			first = n
		}
	}
	if first == nil {
		return nil
	}
	return []*Node{first}
}

// selected reports whether a selector means the node. It knows the operators of
// labels; a term with another does not hold.
func selected(selector *corev1.NodeSelector, n *Node) bool {
	if selector == nil {
		return false
	}
	return slices.ContainsFunc(selector.NodeSelectorTerms, func(term corev1.NodeSelectorTerm) bool {
		for _, e := range term.MatchExpressions {
			value, ok := n.labels[e.Key]
			switch e.Operator {
			case corev1.NodeSelectorOpIn:
				ok = ok && slices.Contains(e.Values, value)
			case corev1.NodeSelectorOpNotIn:
				ok = !ok || !slices.Contains(e.Values, value)
			case corev1.NodeSelectorOpExists:
			case corev1.NodeSelectorOpDoesNotExist:
				ok = !ok
			default:
				ok = false
			}
			if !ok {
				return false
			}
		}
		for _, f := range term.MatchFields {
			if f.Key != "metadata.name" || f.Operator != corev1.NodeSelectorOpIn || !slices.Contains(f.Values, n.Name) {
				return false
			}
		}
		return len(term.MatchExpressions)+len(term.MatchFields) > 0
	})
}

// deviceType reads what a device says of itself. The names of attributes are the
// drivers' own: NVIDIA's says productName, the example driver model.
func deviceType(driver string, d *resourcev1.Device) (Type, bool) {
	t := Type{Driver: driver}
	attributes := map[string]string{}
	for name, a := range d.Attributes {
		if a.StringValue != nil {
			attributes[qualified(driver, name)] = *a.StringValue
		}
	}
	for _, label := range []string{"productName", "model", "deviceName"} {
		if attributes[label] != "" {
			t.Name, t.Label = attributes[label], label
			break
		}
	}
	for name, c := range d.Capacity {
		if qualified(driver, name) == "memory" {
			t.Memory = c.Value.Value()
		}
	}
	if attributes["type"] == "mig" || attributes["profile"] != "" {
		t.MIG = strings.ToLower(attributes["profile"])
	}
	t.Shared = d.AllowMultipleAllocations != nil && *d.AllowMultipleAllocations
	return t, strings.HasPrefix(driver, "gpu.") || (t.Name != "" && t.Memory > 0)
}

func tainted(d *resourcev1.Device) bool {
	return slices.ContainsFunc(d.Taints, func(t resourcev1.DeviceTaint) bool {
		return t.Effect == resourcev1.DeviceTaintEffectNoSchedule || t.Effect == resourcev1.DeviceTaintEffectNoExecute
	})
}

// consume takes a device's share out of the counters, or nothing when it does
// not fit.
func consume(left map[string]map[string]resource.Quantity, d *resourcev1.Device) bool {
	for _, use := range d.ConsumesCounters {
		for name, c := range use.Counters {
			have := left[use.CounterSet][name]
			if c.Value.Sign() > 0 && have.Cmp(c.Value) < 0 {
				return false
			}
		}
	}
	for _, use := range d.ConsumesCounters {
		for name, c := range use.Counters {
			have := left[use.CounterSet][name]
			if c.Value.Sign() > 0 {
				have.Sub(c.Value)
				left[use.CounterSet][name] = have
			}
		}
	}
	return true
}

func clone(counters map[string]map[string]resource.Quantity) map[string]map[string]resource.Quantity {
	out := make(map[string]map[string]resource.Quantity, len(counters))
	for set, values := range counters {
		out[set] = make(map[string]resource.Quantity, len(values))
		for name, q := range values {
			out[set][name] = q.DeepCopy()
		}
	}
	return out
}
