//go:build !race

package trees_test

const raceEnabled = false
