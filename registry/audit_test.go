package registry_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// forger is a store whose audit log somebody changed.
type forger struct {
	*registrytest.Mem
	change func([]registry.Entry) []registry.Entry
}

func (f *forger) Audit(ctx context.Context, q registry.AuditQuery) ([]registry.Entry, error) {
	page, err := f.Mem.Audit(ctx, q)
	return f.change(page), err
}

func TestVerifyAuditNoticesEveryChange(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), setup(t, nil)
	for range 3 {
		_, err := b.Register(ctx, "fraud", challenger(0.7))
		require.NoError(t, err)
	}
	var heads []registry.AuditHead
	for n := 1; n <= 3; n++ {
		_, err := b.Promote(ctx, "fraud", "champion", n, &registry.PromoteOptions{By: "ci"})
		require.NoError(t, err)
		head, err := b.VerifyAudit(ctx, heads...)
		require.NoError(t, err)
		heads = append(heads, head)
	}
	reseal := func(log []registry.Entry) []registry.Entry {
		prev := registry.Entry{}
		for i := range log {
			log[i] = log[i].Seal(prev)
			prev = log[i]
		}
		return log
	}
	for name, c := range map[string]struct {
		change func([]registry.Entry) []registry.Entry
		want   string
	}{
		"other version": {func(log []registry.Entry) []registry.Entry { log[1].To = 1; return log }, "entry 2: its content does not match its hash"},
		"other person":  {func(log []registry.Entry) []registry.Entry { log[0].By = "me"; return log }, "entry 1: its content does not match its hash"},
		"evidence":      {func(log []registry.Entry) []registry.Entry { log[2].Evidence = []byte("{}"); return log }, "entry 3: its content does not match its hash"},
		"rehashed": {func(log []registry.Entry) []registry.Entry {
			log[1].By = "me"
			log[1] = log[1].Seal(log[0])
			return log
		}, "entry 2: it is not the entry that was known"},
		"removed":   {func(log []registry.Entry) []registry.Entry { return slices.Delete(log, 1, 2) }, "entry 2: it is missing, the next is 3"},
		"rewritten": {func(log []registry.Entry) []registry.Entry { log[0].By = "me"; return reseal(log) }, "entry 1: it is not the entry that was known"},
		"cut off":   {func(log []registry.Entry) []registry.Entry { return log[:2] }, "entry 3: it is missing, entry 3 was known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forged := registry.New(&forger{Mem: b.store, change: c.change}, nil, nil)
			_, err := forged.VerifyAudit(ctx, heads...)
			require.ErrorIs(t, err, registry.ErrInvalid)
			require.EqualError(t, err, "registry: audit log: "+c.want+": the log was altered")
		})
	}
}
