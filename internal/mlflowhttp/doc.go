// Package mlflowhttp is what the servers of MLflow's REST API share, whichever
// part of the API they have: a router whose paths match exactly, requests read
// in full and within bounds, answers and errors in MLflow's words, pages
// written in constant memory, files sent for saving only, and the checks of
// Host, Origin and paths that keep foreign pages and paths out.
//
// A handler has a [Site], a [Router] of its own route type, and a type for a
// request that embeds [Call].
package mlflowhttp
