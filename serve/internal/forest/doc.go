// Package forest evaluates ensembles of decision trees without a branch that
// depends on the data.
//
// A loader describes each tree to a [Builder] in the form "x < threshold goes
// left". What the model formats have beyond that (where a missing value goes,
// which categories form a set, a test for equality) becomes a slot: a value that
// is made from a feature once a row, before the trees are walked, so that the
// walk itself knows comparisons only.
//
// [Build] lays the nodes of each tree out breadth first with siblings side by
// side. A leaf points at itself and tests a slot that is always less than its
// value, so that a walk may take more steps than the path is long: every tree of
// a group is walked to the group's greatest depth. Eight walks are interleaved,
// over eight trees for one row and over eight rows for many.
//
// For many rows there are two more forms, which compare the ranks of the values
// among a feature's thresholds in the place of the values: even trees are laid out
// like heaps, without links, and trees with one test a level (CatBoost's) test
// eight rows in one word, a byte each. One row of such trees has the answers to all
// different tests written down first, so that a step is two loads and a sum.
package forest
