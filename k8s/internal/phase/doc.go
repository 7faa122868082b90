// Package phase reads how a job stands out of the objects that a cluster has of
// it. It is pure: trimmed objects go in, a status and findings come out.
package phase
