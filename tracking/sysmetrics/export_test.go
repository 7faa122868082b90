package sysmetrics

// The parsers, for tests.
var (
	ParseCPU     = parseCPU
	ParseMemory  = parseMemory
	ParseTraffic = parseTraffic
	ParseGPUs    = parseGPUs
)

// Since gives the busy share between two readings of /proc/stat.
func Since(before, after cpuTimes) (float64, bool) { return after.since(before) }

// Memory and Traffic give the parts of what the parsers return.
func Memory(m memory) (total, available uint64) { return m.total, m.available }

// Traffic gives the parts of what ParseTraffic returns.
func Traffic(t traffic) (received, sent uint64) { return t.received, t.sent }
