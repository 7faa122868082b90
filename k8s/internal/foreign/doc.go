// Package foreign holds small types of the resources that other projects define:
// the fields that a launcher writes and reads, and no more. The modules of these
// projects would triple what a program depends on. internal/kuberig compares the
// types with the real ones.
package foreign
