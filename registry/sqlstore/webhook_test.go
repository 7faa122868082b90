package sqlstore_test

import (
	"testing"

	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

func TestWebhooks(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		registrytest.RunWebhooks(t, harness(freshURL))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		pgtest.SchemaURL(t) // skips here, once
		registrytest.RunWebhooks(t, harness(pgtest.SchemaURL))
	})
}
