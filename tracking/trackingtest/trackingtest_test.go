package trackingtest_test

import (
	"testing"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	trackingtest.Run(t, func(testing.TB) tracking.Store { return &trackingtest.Memory{} })
}

func BenchmarkMemory(b *testing.B) {
	trackingtest.Bench(b, func(testing.TB) tracking.Store { return &trackingtest.Memory{} })
}
