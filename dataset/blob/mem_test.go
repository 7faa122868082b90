package blob_test

import (
	"testing"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest"
)

func TestMem(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(*testing.T) blob.Store { return new(blob.Mem) })
}
