// Package mlflowclient is the client side of MLflow's REST API, as far as
// tracking/mlflow and registry/mlflow share it: requests that are sent again
// where that is safe, errors with their kinds and likely causes, and the files
// that a server keeps for its clients.
package mlflowclient
