package train

import (
	"fmt"
	"time"
)

const giB = 1 << 30

// PerHour is the price of one hour of a whole job with GPUs of that type, and
// false when it asks for something that has no price.
func (p Prices) PerHour(s Spec, gpu string, spot bool) (float64, bool) {
	nodes := float64(s.NodeCount())
	known := p.CPUHour > 0 || p.MemoryHour > 0
	sum := nodes * (s.Resources.CPU*p.CPUHour + float64(s.Resources.Memory)/giB*p.MemoryHour)
	if s.GPU.Count > 0 {
		price, ok := p.gpuHour(gpu, spot)
		if !ok {
			return 0, false
		}
		known = true
		sum += nodes * float64(s.GPU.Count) * price
	}
	return sum, known
}

// gpuHour looks the type up as it is written, then as GPU.Types would match it
// with the most words, then as "any other".
func (p Prices) gpuHour(name string, spot bool) (float64, bool) {
	if spot {
		if price, ok := lookupGPU(p.SpotGPUHour, name); ok {
			return price, true
		}
	}
	return lookupGPU(p.GPUHour, name)
}

func lookupGPU(prices map[string]float64, name string) (float64, bool) {
	if price, ok := prices[name]; ok {
		return price, true
	}
	best, found, price := "", false, 0.0
	for key, v := range prices {
		if key == "" || name == "" || !MatchGPU(key, name) {
			continue
		}
		a, b := len(gpuTokens(key)), len(gpuTokens(best))
		if !found || a > b || (a == b && key < best) {
			best, found, price = key, true, v
		}
	}
	if !found {
		price, found = prices[""]
	}
	return price, found
}

// Cost estimates a job that could get GPUs of those types (none: an unknown
// type). The dearest counts. With Spec.MaxCost the deadline is shortened to what
// the cap pays for; ErrInvalid when no price is known for that.
func (p Prices) Cost(s Spec, types []string, spot bool) (Cost, error) {
	c := Cost{Currency: p.Currency, Deadline: s.Deadline}
	if len(types) == 0 {
		types = []string{""}
		if len(s.GPU.Types) > 0 {
			types = s.GPU.Types
		}
	}
	all := true
	for _, t := range types {
		price, ok := p.PerHour(s, t, spot)
		all = all && ok
		c.PerHour = max(c.PerHour, price)
	}
	if !all {
		c.PerHour = 0
	}
	if s.MaxCost > 0 {
		if c.PerHour <= 0 {
			return c, fmt.Errorf("train: spec %q: maxCost is %g, and the launcher's Prices do not say what this job costs: %w", s.Name, s.MaxCost, ErrInvalid)
		}
		hours := s.MaxCost / c.PerHour
		if limit := time.Duration(hours * float64(time.Hour)); hours < 24*365*100 && (c.Deadline == 0 || limit < c.Deadline) {
			c.Deadline = max(limit, time.Second)
		}
	}
	c.Max = c.PerHour * c.Deadline.Hours()
	return c, nil
}
