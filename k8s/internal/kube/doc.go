// Package kube is a light client of a Kubernetes API server.
//
// It speaks to the server through client-go's REST client with a scheme of the
// few groups that Millwright uses, and with plain JSON for everything else. The
// generated clients and the discovery package of client-go are left out: they
// double the size of a program that submits a job.
package kube
