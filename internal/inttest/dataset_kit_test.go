package inttest_test

import (
	"testing"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/datasettest"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// TestDatasetKit runs the conformance kit of datasets on real S3 servers, with a
// client for each writer.
func TestDatasetKit(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *inttest.S3) {
		datasettest.Run(t, func(t *testing.T) func() blob.Store {
			url := "s3://" + server.NewBucket(t) + "/lake"
			return func() blob.Store { return open(t, url, server.Options()) }
		}, &datasettest.Options{Histories: 1})
	})
}
