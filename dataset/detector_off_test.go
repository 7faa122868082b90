//go:build !race

package dataset_test

const detector = false
