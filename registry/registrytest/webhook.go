package registrytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/webhook"
)

// Both is a store that queues for webhooks what happens in the registry.
type Both interface {
	registry.Store
	webhook.Store
}

// RunWebhooks checks that the stores of h, which are Both, keep the contract of
// webhook.Store.
func RunWebhooks(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, h Harness)
	}{
		{"Keep", testHooksKept},
		{"Pages", testHookPages},
		{"Told", testTold},
		{"NotTold", testNotTold},
		{"Prompts", testToldPrompts},
		{"Queue", testQueue},
		{"Changed", testQueueChanged},
		{"OneAtATime", testOneClaim},
		{"Failed", testHookFailed},
		{"Sweep", testSweep},
		{"Queued", testQueued},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, h)
		})
	}
}

func both(tb testing.TB, s registry.Store) Both {
	tb.Helper()
	out, ok := s.(Both)
	require.True(tb, ok, "the store is no webhook.Store")
	return out
}

// hook makes a webhook that is told of the events.
func hook(tb testing.TB, s webhook.Store, n int, events ...webhook.Event) webhook.Record {
	tb.Helper()
	slices.Sort(events)
	r := webhook.Record{Secret: "kept", Webhook: webhook.Webhook{
		ID: fmt.Sprintf("hook-%d", n), Name: "h", Description: "d 'ü'", URL: "https://example.com/?a=b", Events: events,
		Status: webhook.Active, Signed: true, Created: at(n), Updated: at(n),
	}}
	require.NoError(tb, s.CreateWebhook(tb.Context(), r, 10))
	return r
}

// claim claims the one webhook that is to be served, at time n.
func claim(tb testing.TB, s webhook.Store, owner string, n int) webhook.Lease {
	tb.Helper()
	ids, err := s.Claim(tb.Context(), owner, at(n), at(n+100), 10)
	require.NoError(tb, err)
	require.Len(tb, ids, 1)
	r, err := s.Webhook(tb.Context(), ids[0])
	require.NoError(tb, err)
	return webhook.Lease{Webhook: ids[0], Owner: owner, Until: at(n + 100), Seen: r.Updated}
}

// told reads what is queued for a webhook: event and data. It leaves the queue
// as it is.
func told(tb testing.TB, s webhook.Store, id string) (out []string) {
	tb.Helper()
	_, list, err := s.Pending(tb.Context(), webhook.Lease{Webhook: id, Until: at(0)}, 100)
	require.NoError(tb, err, "a webhook that nobody holds has the owner \"\"")
	last := int64(0)
	for _, d := range list {
		require.Greater(tb, d.Number, last)
		require.NotEmpty(tb, d.EventID)
		var body struct {
			Entity, Action, Timestamp string
			Data                      json.RawMessage
		}
		require.NoError(tb, json.Unmarshal(d.Body, &body))
		require.Equal(tb, string(d.Event), body.Entity+"."+body.Action)
		when, err := time.Parse(time.RFC3339Nano, body.Timestamp)
		require.NoError(tb, err)
		require.True(tb, when.Equal(d.Time))
		out, last = append(out, string(d.Event)+" "+string(body.Data)), d.Number
	}
	return out
}

func testHooksKept(t *testing.T, h Harness) {
	ctx, s := t.Context(), both(t, h.New(t))
	r := hook(t, s, 1, webhook.ModelCreated, webhook.AliasSet)
	got, err := s.Webhook(ctx, r.ID)
	require.NoError(t, err)
	require.Equal(t, r, got)

	name, url, empty, off := "other", "https://example.org", "", webhook.Disabled
	got, err = s.UpdateWebhook(ctx, r.ID, webhook.RecordUpdate{Name: &name, Time: at(5)})
	require.NoError(t, err)
	r.Name, r.Updated = name, at(5)
	require.Equal(t, r, got)
	got, err = s.UpdateWebhook(ctx, r.ID, webhook.RecordUpdate{
		URL: &url, Description: &empty, Secret: &empty, Status: &off, Events: []webhook.Event{webhook.VersionCreated}, Time: at(5),
	})
	require.NoError(t, err)
	require.True(t, got.Updated.After(at(5)), "each change has a time of its own")
	r.URL, r.Description, r.Secret, r.Signed, r.Status, r.Updated = url, "", "", false, off, got.Updated
	r.Events = []webhook.Event{webhook.VersionCreated}
	require.Equal(t, r, got)
	got, err = s.Webhook(ctx, r.ID)
	require.NoError(t, err)
	require.Equal(t, r, got)

	for n := 2; n <= 10; n++ {
		hook(t, s, n, webhook.ModelCreated)
	}
	r.ID = "one more"
	require.ErrorIs(t, s.CreateWebhook(ctx, r, 10), webhook.ErrInvalid)
	require.NoError(t, s.DeleteWebhook(ctx, "hook-1"))
	require.NoError(t, s.CreateWebhook(ctx, r, 10))

	_, err = s.Webhook(ctx, "hook-1")
	require.ErrorIs(t, err, webhook.ErrNotFound)
	_, err = s.UpdateWebhook(ctx, "hook-1", webhook.RecordUpdate{Name: &name, Time: at(9)})
	require.ErrorIs(t, err, webhook.ErrNotFound)
	require.ErrorIs(t, s.DeleteWebhook(ctx, "hook-1"), webhook.ErrNotFound)
	_, err = s.Backlog(ctx, "hook-1")
	require.ErrorIs(t, err, webhook.ErrNotFound)
	_, err = s.Failed(ctx, "hook-1", 0, 1)
	require.ErrorIs(t, err, webhook.ErrNotFound)
	_, err = s.Requeue(ctx, "hook-1", at(9))
	require.ErrorIs(t, err, webhook.ErrNotFound)
	_, _, err = s.Pending(ctx, webhook.Lease{Webhook: "hook-1", Until: at(9)}, 1)
	require.ErrorIs(t, err, webhook.ErrNotFound)
}

func testHookPages(t *testing.T, h Harness) {
	ctx, s := t.Context(), both(t, h.New(t))
	var want []string
	for n := range 7 {
		r := hook(t, s, n, webhook.ModelCreated)
		want = append([]string{r.ID}, want...)
	}
	for _, limit := range []int{1, 3, 7, 8} {
		var got []string
		token := ""
		for {
			page, next, err := s.Webhooks(ctx, limit, token)
			require.NoError(t, err)
			for _, r := range page {
				got = append(got, r.ID)
			}
			if token = next; token == "" {
				break
			}
		}
		require.Equal(t, want, got, "limit %d", limit)
	}
	_, _, err := s.Webhooks(ctx, 1, "damaged")
	require.ErrorIs(t, err, webhook.ErrInvalid)
}

// changes makes one change of each kind that is told, to a model or a prompt.
func changes(tb testing.TB, s registry.Store, name string, marks map[string]string) {
	tb.Helper()
	ctx := tb.Context()
	tags := map[string]string{"a": "<&>", "b": "2"}
	maps.Copy(tags, marks)
	_, err := s.CreateModel(ctx, registry.Model{Name: name, Description: "d", Tags: tags, Created: at(1)})
	require.NoError(tb, err)
	v := bare(name, 2)
	v.Tags, v.Source, v.Run = tags, "s3://b/m", "run-1"
	_, err = s.CreateVersion(ctx, v, "")
	require.NoError(tb, err)
	require.NoError(tb, s.UpdateModel(ctx, name, registry.ModelUpdate{
		SetTags: map[string]string{"y": "2", "x": "1"}, DeleteTags: []string{"a"}, Time: at(3)}))
	require.NoError(tb, s.UpdateVersion(ctx, name, 1, registry.VersionUpdate{
		SetTags: map[string]string{"y": "2", "x": ""}, DeleteTags: []string{"b"}, Time: at(4)}))
	for i, to := range []int{1, 0, 1} {
		_, err = s.Record(ctx, registry.Entry{Kind: registry.KindPromotion, Name: name, Alias: "champion", To: to, Time: at(5 + i)}, -1)
		require.NoError(tb, err)
	}
	// No move.
	_, err = s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: name, Alias: "champion", To: 1, Time: at(8)}, -1)
	require.NoError(tb, err)
	gone := true
	require.NoError(tb, s.UpdateVersion(ctx, name, 1, registry.VersionUpdate{Deleted: &gone, Time: at(9)}))
}

func testTold(t *testing.T, h Harness) {
	ctx, s := t.Context(), both(t, h.New(t))
	all, some := hook(t, s, 1, webhook.Events()...), hook(t, s, 2, webhook.AliasSet)
	off := hook(t, s, 3, webhook.Events()...)
	status := webhook.Disabled
	_, err := s.UpdateWebhook(ctx, off.ID, webhook.RecordUpdate{Status: &status, Time: at(4)})
	require.NoError(t, err)
	changes(t, s, "fraud", nil)
	require.Equal(t, []string{
		`registered_model.created {"name":"fraud","tags":{"a":"<&>","b":"2"},"description":"d"}`,
		`model_version.created {"name":"fraud","version":"1","source":"s3://b/m","run_id":"run-1","tags":{"a":"<&>","b":"2"},"description":null}`,
		`model_version_tag.deleted {"name":"fraud","version":"1","key":"b"}`,
		`model_version_tag.set {"name":"fraud","version":"1","key":"x","value":""}`,
		`model_version_tag.set {"name":"fraud","version":"1","key":"y","value":"2"}`,
		`model_version_alias.created {"name":"fraud","alias":"champion","version":"1"}`,
		`model_version_alias.deleted {"name":"fraud","alias":"champion"}`,
		`model_version_alias.created {"name":"fraud","alias":"champion","version":"1"}`,
		`model_version_alias.deleted {"name":"fraud","alias":"champion"}`,
	}, told(t, s, all.ID))
	require.Equal(t, []string{
		`model_version_alias.created {"name":"fraud","alias":"champion","version":"1"}`,
		`model_version_alias.created {"name":"fraud","alias":"champion","version":"1"}`,
	}, told(t, s, some.ID))
	b, err := s.Backlog(ctx, all.ID)
	require.NoError(t, err)
	require.Equal(t, webhook.Backlog{Pending: 9, Oldest: at(1)}, b)

	// What was queued waits while the webhook is disabled, and nothing joins it.
	_, err = s.UpdateWebhook(ctx, some.ID, webhook.RecordUpdate{Status: &status, Time: at(10)})
	require.NoError(t, err)
	require.Empty(t, told(t, s, some.ID))
	require.Empty(t, told(t, s, off.ID))
	status = webhook.Active
	for _, id := range []string{some.ID, off.ID} {
		_, err = s.UpdateWebhook(ctx, id, webhook.RecordUpdate{Status: &status, Time: at(11)})
		require.NoError(t, err)
	}
	require.Len(t, told(t, s, some.ID), 2)
	require.Empty(t, told(t, s, off.ID))

	// A version makes its model, and is told of when it is ready.
	r := hook(t, s, 4, webhook.ModelCreated, webhook.VersionCreated)
	v := bare("churn", 20)
	v.Status, v.Files, v.Digest = registry.Pending, nil, ""
	_, err = s.CreateVersion(ctx, v, "")
	require.NoError(t, err)
	require.Len(t, told(t, s, r.ID), 1)
	require.NoError(t, s.UpdateVersion(ctx, "churn", 1, registry.VersionUpdate{Status: registry.Ready, Time: at(21)}))
	_, err = s.CreateVersion(ctx, bare("churn", 22), "")
	require.NoError(t, err)
	require.Equal(t, []string{
		`registered_model.created {"name":"churn","tags":{},"description":""}`,
		`model_version.created {"name":"churn","version":"1","source":"","run_id":null,"tags":{},"description":null}`,
		`model_version.created {"name":"churn","version":"2","source":"","run_id":null,"tags":{},"description":null}`,
	}, told(t, s, r.ID))
}

// testNotTold makes changes that fail, or are none.
func testNotTold(t *testing.T, h Harness) {
	ctx, s := t.Context(), both(t, h.New(t))
	v := bare("fraud", 1)
	v.Key = "k"
	_, err := s.CreateVersion(ctx, v, "")
	require.NoError(t, err)
	r := hook(t, s, 1, webhook.Events()...)

	_, err = s.CreateVersion(ctx, v, "") // the same again
	require.NoError(t, err)
	_, err = s.CreateModel(ctx, registry.Model{Name: "fraud", Created: at(2)})
	require.ErrorIs(t, err, registry.ErrExists)
	err = s.UpdateVersion(ctx, "fraud", 1, registry.VersionUpdate{SetTags: map[string]string{"a": "1"}, DeleteTags: []string{"absent"}, Time: at(3)})
	require.ErrorIs(t, err, registry.ErrNotFound)
	_, err = s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "a", To: 1, Time: at(4)}, 7)
	require.ErrorIs(t, err, registry.ErrConflict)
	_, err = s.Record(ctx, registry.Entry{Kind: registry.KindAlias, Name: "fraud", Alias: "a", To: 9, Time: at(4)}, -1)
	require.ErrorIs(t, err, registry.ErrNotFound)
	text := "d"
	require.NoError(t, s.UpdateModel(ctx, "fraud", registry.ModelUpdate{Description: &text, SetTags: map[string]string{"t": "1"}, Time: at(5)}))
	require.NoError(t, s.UpdateVersion(ctx, "fraud", 1, registry.VersionUpdate{Stage: registry.StageProduction, Time: at(6)}))
	require.Empty(t, told(t, s, r.ID))
	ids, err := s.Claim(ctx, "w", at(7), at(8), 10)
	require.NoError(t, err)
	require.Empty(t, ids)
}

func testToldPrompts(t *testing.T, h Harness) {
	s := both(t, h.New(t))
	r := hook(t, s, 1, webhook.Events()...)
	changes(t, s, "greet", map[string]string{
		registry.PromptTag: "true", "_mlflow_prompt_type": "text", "mlflow.prompt.text": "Hello {{ name }}!",
	})
	require.Equal(t, []string{
		`prompt.created {"name":"greet","tags":{"a":"<&>","b":"2","mlflow.prompt.text":"Hello {{ name }}!"},"description":"d"}`,
		`prompt_version.created {"name":"greet","version":"1","template":"Hello {{ name }}!","tags":{"a":"<&>","b":"2"},"description":null}`,
		`prompt_tag.deleted {"name":"greet","key":"a"}`,
		`prompt_tag.set {"name":"greet","key":"x","value":"1"}`,
		`prompt_tag.set {"name":"greet","key":"y","value":"2"}`,
		`prompt_version_tag.deleted {"name":"greet","version":"1","key":"b"}`,
		`prompt_version_tag.set {"name":"greet","version":"1","key":"x","value":""}`,
		`prompt_version_tag.set {"name":"greet","version":"1","key":"y","value":"2"}`,
		`prompt_alias.created {"name":"greet","alias":"champion","version":"1"}`,
		`prompt_alias.deleted {"name":"greet","alias":"champion"}`,
		`prompt_alias.created {"name":"greet","alias":"champion","version":"1"}`,
		`prompt_alias.deleted {"name":"greet","alias":"champion"}`,
	}, told(t, s, r.ID))
}
