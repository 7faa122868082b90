package registrytest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

func testPurge(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	p, ok := s.(registry.Purger)
	if !ok {
		t.Skip("this store keeps everything")
	}
	for i := range 2 {
		_, err := s.CreateVersion(ctx, bare("fraud", i), "")
		require.NoError(t, err)
	}
	yes := true
	require.ErrorIs(t, p.PurgeVersion(ctx, "fraud", 2, "ann"), registry.ErrInvalid)
	require.ErrorIs(t, p.PurgeVersion(ctx, "fraud", 3, "ann"), registry.ErrNotFound)
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{Deleted: &yes, Time: at(3)}))
	require.NoError(t, p.PurgeVersion(ctx, "fraud", 2, "ann"))
	_, err := s.Version(ctx, "fraud", 2)
	require.ErrorIs(t, err, registry.ErrNotFound)
	next, err := s.CreateVersion(ctx, bare("fraud", 4), "")
	require.NoError(t, err)
	require.Equal(t, 3, next.Number, "a purged number is not used again")

	require.ErrorIs(t, p.PurgeModel(ctx, "fraud", "ann"), registry.ErrInvalid)
	require.NoError(t, s.UpdateModel(ctx, "fraud", registry.ModelUpdate{Deleted: &yes, Time: at(5)}))
	require.NoError(t, p.PurgeModel(ctx, "fraud", "ann"))
	require.ErrorIs(t, p.PurgeModel(ctx, "fraud", "ann"), registry.ErrNotFound)
	first, err := s.CreateVersion(ctx, bare("fraud", 6), "")
	require.NoError(t, err)
	require.Equal(t, 1, first.Number, "the name is free for another model")
	list, err := s.Aliases(ctx, "fraud", "", "", 5)
	require.NoError(t, err)
	require.Empty(t, list)

	// The log remembers, and its chain is whole.
	var prev registry.Entry
	log, err := s.Audit(ctx, registry.AuditQuery{Limit: 100})
	require.NoError(t, err)
	require.Equal(t, registry.KindPurge, log[len(log)-1].Kind)
	for _, e := range log {
		require.Equal(t, e.Seal(prev), e)
		prev = e
	}
}

func testCollector(t *testing.T, h Harness) {
	ctx, s := t.Context(), h.New(t)
	c, ok := s.(registry.Collector)
	if !ok {
		t.Skip("this store does not know which objects are needed")
	}
	digest := func(n int) string { return bare("x", n).Files[0].SHA256 }
	now := time.Now().UTC().Truncate(time.Microsecond)
	_, err := s.CreateVersion(ctx, bare("fraud", 1), "")
	require.NoError(t, err)
	blocked, err := c.Lease(ctx, "upload", []string{digest(2)}, now.Add(time.Hour))
	require.NoError(t, err)
	require.Empty(t, blocked)
	blocked, err = c.Lease(ctx, "upload", []string{digest(3)}, now.Add(time.Hour))
	require.NoError(t, err)
	require.Empty(t, blocked)

	const mine, other = "collector", "another"
	later := now.Add(time.Minute)
	doomed, err := c.Condemn(ctx, mine, []string{digest(1), digest(2), digest(3), digest(4)}, now, later)
	require.NoError(t, err)
	require.Equal(t, []string{digest(4)}, doomed)
	blocked, err = c.Lease(ctx, "late", []string{digest(4), digest(5)}, now.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, []string{digest(4)}, blocked)
	doomed, err = c.Condemn(ctx, other, []string{digest(4), digest(5)}, now, later)
	require.NoError(t, err)
	require.Equal(t, []string{digest(5)}, doomed, "a blocked lease holds nothing, and what one collector deletes is not another's")
	require.NoError(t, c.Cleared(ctx, other, []string{digest(4), digest(5)}))
	blocked, err = c.Lease(ctx, "late", []string{digest(4)}, later)
	require.NoError(t, err)
	require.Equal(t, []string{digest(4)}, blocked, "nobody clears another's marks")
	doomed, err = c.Condemn(ctx, other, nil, later.Add(time.Second), later.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, []string{digest(4)}, doomed, "a dead collector's marks pass on")
	require.NoError(t, c.Cleared(ctx, mine, doomed))
	require.NoError(t, c.Cleared(ctx, other, doomed))
	blocked, err = c.Lease(ctx, "late", []string{digest(4)}, later)
	require.NoError(t, err)
	require.Empty(t, blocked)

	// The version takes over from its lease, and a lease ends with its time.
	_, err = s.CreateVersion(ctx, bare("fraud", 2), "upload")
	require.NoError(t, err)
	doomed, err = c.Condemn(ctx, mine, []string{digest(2), digest(3), digest(4)}, later.Add(time.Second), later.Add(time.Hour))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{digest(3), digest(4)}, doomed)
	require.NoError(t, c.Cleared(ctx, mine, doomed))

	// An upload that was held up until its lease was over, and a collector came
	// by, makes no version: not with the lease gone, nor with a later one.
	blocked, err = c.Lease(ctx, "slow", []string{digest(6)}, now.Add(time.Second))
	require.NoError(t, err)
	require.Empty(t, blocked)
	doomed, err = c.Condemn(ctx, mine, []string{digest(6)}, now.Add(time.Second), later)
	require.NoError(t, err)
	require.Equal(t, []string{digest(6)}, doomed)
	require.NoError(t, c.Cleared(ctx, mine, doomed))
	slow := bare("slow", 6)
	slow.Files = append(slow.Files, registry.File{Path: "second", Size: 7, SHA256: digest(7)})
	_, err = s.CreateVersion(ctx, slow, "slow")
	require.ErrorIs(t, err, registry.ErrConflict)
	blocked, err = c.Lease(ctx, "slow", []string{digest(7)}, later)
	require.NoError(t, err)
	require.Empty(t, blocked)
	_, err = s.CreateVersion(ctx, slow, "slow")
	require.ErrorIs(t, err, registry.ErrConflict)
	none, err := allModels(ctx, s, registry.ModelQuery{Name: "slow"})
	require.NoError(t, err)
	require.Empty(t, none)
	blocked, err = c.Lease(ctx, "slow", []string{digest(6), digest(7)}, later)
	require.NoError(t, err)
	require.Empty(t, blocked)
	_, err = s.CreateVersion(ctx, slow, "slow")
	require.NoError(t, err)

	// Nor does it complete a pending one.
	pending := &registry.Version{Name: "late", Created: at(1), Digest: registry.ManifestDigest(nil), Status: registry.Pending}
	_, err = s.CreateVersion(ctx, pending, "")
	require.NoError(t, err)
	done := registry.VersionUpdate{Status: registry.Ready, Files: bare("late", 8).Files, Digest: bare("late", 8).Digest, Lease: "late upload", Time: at(2)}
	require.ErrorIs(t, s.UpdateVersion(ctx, "late", 1, done), registry.ErrConflict)
	v, err := s.Version(ctx, "late", 1)
	require.NoError(t, err)
	require.Equal(t, registry.Pending, v.Status)
	blocked, err = c.Lease(ctx, "late upload", []string{digest(8)}, later)
	require.NoError(t, err)
	require.Empty(t, blocked)
	require.NoError(t, s.UpdateVersion(ctx, "late", 1, done))
	doomed, err = c.Condemn(ctx, mine, []string{digest(8)}, later.Add(time.Second), later.Add(time.Minute))
	require.NoError(t, err)
	require.Empty(t, doomed)

	// What is deleted is kept until it is purged.
	yes := true
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 2, registry.VersionUpdate{Deleted: &yes, Time: at(9)}))
	doomed, err = c.Condemn(ctx, mine, []string{digest(2)}, now, later)
	require.NoError(t, err)
	require.Empty(t, doomed)
	p, ok := s.(registry.Purger)
	if !ok {
		return
	}
	require.NoError(t, p.PurgeVersion(ctx, "fraud", 2, "ann"))
	doomed, err = c.Condemn(ctx, mine, []string{digest(2)}, now, later)
	require.NoError(t, err)
	require.Equal(t, []string{digest(2)}, doomed)
}

func testNotifier(t *testing.T, h Harness) {
	stores := handles(t, h)
	n, ok := stores[0].(registry.Notifier)
	if !ok {
		t.Skip("this store wakes nobody")
	}
	ctx := t.Context()
	_, err := stores[1].CreateVersion(ctx, bare("fraud", 1), "")
	require.NoError(t, err)
	type woken struct {
		seq int64
		err error
	}
	done := make(chan woken, 1)
	go func() {
		seq, err := n.Wait(ctx, 0)
		done <- woken{seq, err}
	}()
	e, err := stores[1].Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "champion", To: 1, Time: at(1)}, 0)
	require.NoError(t, err)
	require.Equal(t, woken{e.Seq, nil}, <-done)
	seq, err := n.Wait(ctx, 0) // what is there already wakes at once
	require.NoError(t, err)
	require.Equal(t, e.Seq, seq)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = n.Wait(ended, e.Seq)
	require.ErrorIs(t, err, context.Canceled)
}
