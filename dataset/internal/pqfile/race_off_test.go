//go:build !race

package pqfile_test

// stride is 1: all columns. See race_on_test.go.
const stride = 1
