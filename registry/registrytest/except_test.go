package registrytest_test

import (
	"testing"

	"github.com/millwright-ml/millwright/registry/registrytest"
)

func TestMemExcept(t *testing.T) {
	t.Parallel()
	registrytest.RunExcept(t, harness, registrytest.Differences{})
}
