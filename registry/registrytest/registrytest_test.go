package registrytest_test

import (
	"testing"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

var harness = registrytest.Harness{New: func(testing.TB) registry.Store { return new(registrytest.Mem) }}

func TestMem(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, harness)
}

func BenchmarkMem(b *testing.B) { registrytest.Benchmark(b, harness) }
