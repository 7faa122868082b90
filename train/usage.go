package train

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// Prices says what an hour costs. The zero value knows no price.
type Prices struct {
	Currency string // such as "EUR"
	// GPUHour is the price of one GPU (or MIG slice) for an hour, by type as
	// GPU.Types names it; "" is any other type.
	GPUHour map[string]float64
	// SpotGPUHour is the same on spot nodes. Default: GPUHour.
	SpotGPUHour map[string]float64
	CPUHour     float64 // one core
	MemoryHour  float64 // one GiB
}

// Usage is what a job took of the machines.
type Usage struct {
	Job      string
	Team     string
	Currency string
	Items    []UsageItem
	// Open is true while the job goes on: the figures still grow.
	Open bool
}

// UsageItem is the part of a usage that has one GPU type and outcome.
type UsageItem struct {
	GPU     string // type; "" for a job without GPUs
	Spot    bool   // on spot nodes
	Outcome Outcome
	GPUs    float64 // GPU-seconds
	CPU     float64 // core-seconds, as requested
	Memory  float64 // GiB-seconds, as requested
	Cost    float64 // 0 for Queued
}

// Outcome says what the time was good for.
type Outcome string

// The outcomes.
const (
	Useful Outcome = "useful" // led to a result, or to a checkpoint that a later attempt went on from
	Lost   Outcome = "lost"   // since the last checkpoint of an attempt that was broken off, or of a job that failed
	Waited Outcome = "queued" // GPUs that the job asked for and did not have
)

// Attempt is one start of a job, from which a usage is computed.
type Attempt struct {
	GPU        string // type of the GPUs
	Spot       bool
	GPUs       int // in all nodes
	CPU        float64
	Memory     int64 // bytes
	Queued     time.Time
	Started    time.Time // zero: never
	Finished   time.Time // zero: it goes on
	Checkpoint time.Time // of its last checkpoint; zero: none
	OK         bool      // it ended with success
}

// NewUsage adds up the attempts of one job until now. open says that the job
// goes on. A GPU that was wanted and not had costs nothing.
func NewUsage(job, team string, attempts []Attempt, prices Prices, open bool, now time.Time) Usage {
	u := Usage{Job: job, Team: team, Currency: prices.Currency, Open: open}
	for _, a := range attempts {
		ended := a.Finished
		if ended.IsZero() {
			ended = now
		}
		if !a.Queued.IsZero() {
			until := a.Started
			if until.IsZero() {
				until = ended
			}
			u.add(a, Waited, until.Sub(a.Queued), prices)
		}
		if a.Started.IsZero() {
			continue
		}
		useful := ended.Sub(a.Started)
		if !a.OK && !a.Finished.IsZero() {
			useful = min(useful, max(0, a.Checkpoint.Sub(a.Started)))
			u.add(a, Lost, ended.Sub(a.Started)-useful, prices)
		}
		u.add(a, Useful, useful, prices)
	}
	slices.SortStableFunc(u.Items, compareItems)
	return u
}

// add adds a time to the item that it belongs to.
func (u *Usage) add(a Attempt, outcome Outcome, d time.Duration, prices Prices) {
	if d <= 0 {
		return
	}
	sec := d.Seconds()
	item := UsageItem{
		GPU: a.GPU, Spot: a.Spot, Outcome: outcome,
		GPUs: sec * float64(a.GPUs), CPU: sec * a.CPU, Memory: sec * float64(a.Memory) / giB,
	}
	if outcome != Waited {
		gpu, _ := prices.gpuHour(a.GPU, a.Spot)
		item.Cost = (item.GPUs*gpu + item.CPU*prices.CPUHour + item.Memory*prices.MemoryHour) / 3600
	}
	u.Items = addItem(u.Items, item)
}

func addItem(items []UsageItem, item UsageItem) []UsageItem {
	for i := range items {
		if it := &items[i]; compareItems(*it, item) == 0 {
			it.GPUs += item.GPUs
			it.CPU += item.CPU
			it.Memory += item.Memory
			it.Cost += item.Cost
			return items
		}
	}
	return append(items, item)
}

var outcomeRank = map[Outcome]int{Useful: 0, Lost: 1, Waited: 2}

func compareItems(a, b UsageItem) int {
	spot := func(it UsageItem) int {
		if it.Spot {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.GPU, b.GPU), cmp.Compare(spot(a), spot(b)), cmp.Compare(outcomeRank[a.Outcome], outcomeRank[b.Outcome]))
}

// Cost is the sum of the items' costs.
func (u Usage) Cost() float64 {
	sum := 0.0
	for _, it := range u.Items {
		sum += it.Cost
	}
	return sum
}

// Bill adds up usages by team, sorted by team. Usages in different currencies
// are billed apart.
func Bill(usages iter.Seq[Usage]) []Statement {
	type payer struct{ team, currency string }
	sums := map[payer]*Statement{}
	for u := range usages {
		p := payer{u.Team, u.Currency}
		b := sums[p]
		if b == nil {
			b = &Statement{Team: u.Team, Currency: u.Currency}
			sums[p] = b
		}
		b.Jobs++
		b.Open = b.Open || u.Open
		for _, it := range u.Items {
			b.Items = addItem(b.Items, it)
			b.Cost += it.Cost
		}
	}
	bills := make([]Statement, 0, len(sums))
	for _, b := range sums {
		slices.SortFunc(b.Items, compareItems)
		bills = append(bills, *b)
	}
	slices.SortFunc(bills, func(a, b Statement) int {
		return cmp.Or(cmp.Compare(a.Team, b.Team), cmp.Compare(a.Currency, b.Currency))
	})
	return bills
}

// Statement is what one team's jobs took.
type Statement struct {
	Team     string
	Currency string
	Jobs     int
	Items    []UsageItem
	Cost     float64
	Open     bool // some of the jobs go on
}
