package dataset_test

// some tells whether the nth of many alike cases is tried: each, or every fourth
// under the race detector.
func some(n int) bool { return !detector || n%4 == 0 }

// fewer is n, or a part of it under the race detector.
func fewer(n, part int) int {
	if detector {
		return n / part
	}
	return n
}
