//go:build s3

package main

import (
	"context"
	"os"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
)

// Linked only on demand, so that the plain program stays free of the AWS SDK.
// Credentials come from the SDK's own chain; AWS_ENDPOINT_URL names a store
// other than AWS.
func init() {
	remoteStore = func(ctx context.Context, url string) (blob.Store, error) {
		endpoint := os.Getenv("AWS_ENDPOINT_URL")
		return s3blob.Open(ctx, url, &s3blob.Options{Endpoint: endpoint, PathStyle: endpoint != ""})
	}
}
