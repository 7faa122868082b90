// Package parity compares the small types of k8s/internal/foreign with the real
// ones of the projects that define them: what a launcher writes is what they read,
// and what it reads is what they write. It has tests only.
package parity
