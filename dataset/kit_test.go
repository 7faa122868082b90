package dataset_test

import (
	"testing"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/datasettest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("mem", func(t *testing.T) {
		datasettest.Run(t, func(*testing.T) func() blob.Store {
			s := &blob.Mem{}
			return func() blob.Store { return s }
		}, &datasettest.Options{Histories: fewer(2, 2)})
	})
	t.Run("folder", func(t *testing.T) {
		datasettest.Run(t, func(t *testing.T) func() blob.Store {
			dir := t.TempDir()
			return func() blob.Store { return folder(t, dir) }
		}, &datasettest.Options{Histories: 1})
	})
}
