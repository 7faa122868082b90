// Package manifest writes the objects that make up one training job. It is pure:
// a Spec and what is known of the cluster go in, objects come out.
package manifest
