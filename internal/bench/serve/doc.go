// Package serve holds the benchmarks of package serve: see its tests.
package serve
