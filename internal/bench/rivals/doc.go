// Package rivals runs Millwright's server and MLflow's own side by side and
// compares what they do: the processes, the medians and the table of ratios that
// the benchmarks share.
package rivals
