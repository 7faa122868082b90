package train

import "time"

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
