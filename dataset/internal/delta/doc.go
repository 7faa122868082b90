// Package delta speaks the part of the Delta Lake protocol that a plain table
// needs (reader version 1, writer version 2): the JSON actions of a commit, the
// schema string, and the statistics of a file.
//
// Source: PROTOCOL.md of github.com/delta-io/delta, read in 2026.
package delta
