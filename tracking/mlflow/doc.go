// Package mlflow speaks MLflow's REST API, in both directions.
//
// NewHandler serves a tracking.Store as an http.Handler that the unmodified
// Python client, the R and Java clients and MLflow's web UI cannot tell from
// MLflow's own server. Dial makes a tracking.Store of a server, this one or
// MLflow's.
//
// The model registry's part of the API, and what GraphQL shows of registered
// versions, come from Options.Registry: the handler of package registry/mlflow.
package mlflow
