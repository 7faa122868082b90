package main

import (
	"maps"
	"math"
	"slices"
)

// tenths are the edges between the tenths of sorted numbers.
func tenths(sorted []float64) []float64 {
	var edges []float64
	for i := 1; i < 10 && len(sorted) > 0; i++ {
		if e := sorted[i*len(sorted)/10]; e > sorted[0] && (len(edges) == 0 || e > edges[len(edges)-1]) {
			edges = append(edges, e)
		}
	}
	return edges
}

// binned counts the numbers between edges.
func binned(numbers, edges []float64) []uint64 {
	counts := make([]uint64, len(edges)+1)
	for _, v := range numbers {
		i, found := slices.BinarySearch(edges, v)
		if found {
			i++
		}
		counts[i]++
	}
	return counts
}

// doane are NumPy's edges of bins by Doane's rule.
func doane(sorted []float64) []float64 {
	n := float64(len(sorted))
	if n < 3 || sorted[0] == sorted[len(sorted)-1] {
		if n == 0 {
			return []float64{0, 1}
		}
		return []float64{sorted[0] - 0.5, sorted[0] + 0.5}
	}
	mean, sd := meanSD(sorted)
	skew := 0.0
	for _, v := range sorted {
		z := (v - mean) / sd
		skew += z * z * z / n
	}
	unit := math.Sqrt(6 * (n - 2) / ((n + 1) * (n + 3)))
	bins := int(math.Ceil(1 + math.Log2(n) + math.Log2(1+math.Abs(skew)/unit)))
	low, high := sorted[0], sorted[len(sorted)-1]
	edges := make([]float64, bins+1)
	for i := range edges {
		edges[i] = low + (high-low)*float64(i)/float64(bins)
	}
	edges[bins] = high
	return edges
}

// histogram is the share of the numbers in each bin; the last one holds its end.
func histogram(numbers, edges []float64) []float64 {
	shares := make([]float64, len(edges)-1)
	for _, v := range numbers {
		if v < edges[0] || v > edges[len(edges)-1] {
			continue
		}
		i, found := slices.BinarySearch(edges, v)
		if !found {
			i--
		}
		shares[min(i, len(shares)-1)] += 1 / float64(len(numbers))
	}
	return shares
}

func meanSD(values []float64) (mean, sd float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	for _, v := range values {
		sd += (v - mean) * (v - mean) / n
	}
	return mean, math.Sqrt(sd)
}

func count(texts []string) map[string]int {
	counts := map[string]int{}
	for _, s := range texts {
		counts[s]++
	}
	return counts
}

// pair are the counts of two samples over the categories of both.
func pair(ref, cur map[string]int) (a, b []uint64) {
	all := maps.Clone(ref)
	maps.Copy(all, cur)
	for _, s := range slices.Sorted(maps.Keys(all)) {
		a, b = append(a, uint64(ref[s])), append(b, uint64(cur[s]))
	}
	return a, b
}
