//go:build race

package pqfile_test

// stride is how many of the columns the batches of the tests hold: one of so many.
// The race detector makes the loops over values twentyfold slower, and learns
// nothing from more of them.
const stride = 5
