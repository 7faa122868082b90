package webhook_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/registry/webhook"
)

func TestKeeps(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	h := newHooks(t, s, local())
	made, err := h.Create(ctx, webhook.Draft{
		Name: "a.b_c-1", Description: "d", URL: "https://127.0.0.1/x", Events: []webhook.Event{webhook.VersionCreated, webhook.AliasSet, webhook.AliasSet},
	})
	require.NoError(t, err)
	require.Equal(t, webhook.Webhook{
		ID: made.ID, Name: "a.b_c-1", Description: "d", URL: "https://127.0.0.1/x", Status: webhook.Active,
		Events: []webhook.Event{webhook.VersionCreated, webhook.AliasSet}, Created: made.Created, Updated: made.Created,
	}, made)
	require.Len(t, made.ID, 36)
	got, err := h.Get(ctx, made.ID)
	require.NoError(t, err)
	require.Equal(t, made, got)

	name, text, off := "other", secret, webhook.Disabled
	changed, err := h.Update(ctx, made.ID, webhook.Update{Name: &name, Secret: &text, Status: &off})
	require.NoError(t, err)
	require.Equal(t, "other", changed.Name)
	require.True(t, changed.Signed)
	require.Equal(t, webhook.Disabled, changed.Status)
	require.Equal(t, made.Events, changed.Events)
	page, next, err := h.List(ctx, 0, "")
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, []webhook.Webhook{changed}, page)

	for _, limit := range []int{-1, webhook.MaxList + 1} {
		_, _, err = h.List(ctx, limit, "")
		require.ErrorIs(t, err, webhook.ErrInvalid)
	}
	require.NoError(t, h.Delete(ctx, made.ID))
	for _, id := range []string{made.ID, "", "../x", strings.Repeat("x", 1000), "a\x00b"} {
		_, err = h.Get(ctx, id)
		require.ErrorIs(t, err, webhook.ErrNotFound)
		_, err = h.Update(ctx, id, webhook.Update{Name: &name})
		require.ErrorIs(t, err, webhook.ErrNotFound)
		require.ErrorIs(t, h.Delete(ctx, id), webhook.ErrNotFound)
		_, err = h.Backlog(ctx, id)
		require.ErrorIs(t, err, webhook.ErrNotFound)
		_, err = h.Requeue(ctx, id)
		require.ErrorIs(t, err, webhook.ErrNotFound)
		for _, err := range h.Failed(ctx, id) {
			require.ErrorIs(t, err, webhook.ErrNotFound)
		}
	}
}

func TestRefusesDrafts(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	h := newHooks(t, s, local())
	for what, change := range map[string]func(d *webhook.Draft){
		"no name":         func(d *webhook.Draft) { d.Name = "" },
		"long name":       func(d *webhook.Draft) { d.Name = strings.Repeat("x", 64) },
		"name's end":      func(d *webhook.Draft) { d.Name = "x-" },
		"name's letters":  func(d *webhook.Draft) { d.Name = "x y" },
		"no URL":          func(d *webhook.Draft) { d.URL = "" },
		"no events":       func(d *webhook.Draft) { d.Events = nil },
		"unknown event":   func(d *webhook.Draft) { d.Events = []webhook.Event{"registered_model.deleted"} },
		"gateway's event": func(d *webhook.Draft) { d.Events = []webhook.Event{"budget_policy.exceeded"} },
		"many events":     func(d *webhook.Draft) { d.Events = make([]webhook.Event, 1000) },
		"status":          func(d *webhook.Draft) { d.Status = "BOGUS" },
		"description":     func(d *webhook.Draft) { d.Description = strings.Repeat("x", 5001) },
		"NUL":             func(d *webhook.Draft) { d.Description = "\x00" },
		"UTF-8":           func(d *webhook.Draft) { d.Secret = "\xff" },
		"long secret":     func(d *webhook.Draft) { d.Secret = strings.Repeat("x", 1001) },
	} {
		d := draft("https://127.0.0.1/", webhook.AliasSet)
		change(&d)
		_, err := h.Create(t.Context(), d)
		require.ErrorIs(t, err, webhook.ErrInvalid, what)
	}
	_, err := h.Create(t.Context(), webhook.Draft{URL: "ftp://x"})
	require.ErrorContains(t, err, "name")
	require.ErrorContains(t, err, "scheme")
	require.ErrorContains(t, err, "events", "all faults at once")

	o := local()
	o.MaxWebhooks = 1
	h = newHooks(t, s, o)
	_, err = h.Create(t.Context(), draft("https://127.0.0.1/", webhook.AliasSet))
	require.NoError(t, err)
	_, err = h.Create(t.Context(), draft("https://127.0.0.1/", webhook.AliasSet))
	require.ErrorIs(t, err, webhook.ErrInvalid)
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "registry.db")
	s, err := sqlstore.Open(ctx, "sqlite:"+filepath.ToSlash(path), nil)
	require.NoError(t, err)
	key := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	with := func(keys ...[]byte) *webhook.Hooks {
		o := local()
		o.Keys = keys
		return newHooks(t, s, o)
	}
	to := receive(t, nil)
	made, err := with(key(1)).Create(ctx, draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	r, err := s.Webhook(ctx, made.ID)
	require.NoError(t, err)
	require.NotContains(t, r.Secret, secret)

	// A key that is not there leaves requests unsent rather than unsigned.
	for _, h := range []*webhook.Hooks{with(), with(key(2))} {
		got, err := h.Test(ctx, made.ID, "")
		require.NoError(t, err)
		require.False(t, got.Delivered)
		require.Contains(t, got.Error, "Keys")
	}
	require.Empty(t, to.await(t, 0))
	got, err := with(key(2), key(1)).Test(ctx, made.ID, "")
	require.NoError(t, err)
	require.True(t, got.Delivered)
	list := to.await(t, 1)
	require.NoError(t, webhook.Verify(list[0].header, []byte(list[0].body), secret, 0))

	// Moved to another webhook, or changed, it does not open.
	other, err := with(key(1)).Create(ctx, draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	_, err = s.UpdateWebhook(ctx, other.ID, webhook.RecordUpdate{Secret: &r.Secret, Time: time.Now().UTC()})
	require.NoError(t, err)
	got, err = with(key(1)).Test(ctx, other.ID, "")
	require.NoError(t, err)
	require.False(t, got.Delivered)

	// Without a key it is kept as it is; taken away, nothing is signed.
	text, none := "plain secret", ""
	_, err = with().Update(ctx, made.ID, webhook.Update{Secret: &text})
	require.NoError(t, err)
	_, err = with(key(1)).Test(ctx, made.ID, "")
	require.NoError(t, err)
	list = to.await(t, 2)
	require.NoError(t, webhook.Verify(list[1].header, []byte(list[1].body), text, 0))
	changed, err := with().Update(ctx, made.ID, webhook.Update{Secret: &none})
	require.NoError(t, err)
	require.False(t, changed.Signed)
	_, err = with().Test(ctx, made.ID, "")
	require.NoError(t, err)
	require.Empty(t, to.await(t, 3)[2].header.Get(webhook.HeaderSignature))

	require.NoError(t, s.Close())
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err == nil {
			require.NotContains(t, string(data), secret)
		}
	}
	_, err = webhook.New(s, &webhook.Options{Keys: [][]byte{[]byte("short")}})
	require.ErrorIs(t, err, webhook.ErrInvalid)
	_, err = webhook.New(nil, nil)
	require.ErrorIs(t, err, webhook.ErrInvalid)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	// Computed with Python's hmac.
	const want = "v1,TEVeYoLTUyboAU6DolqB6nRGJQERo7cn+LbUFTaq9dM="
	require.Equal(t, want, webhook.Sign("key", "id-1", "1700000000", []byte(`{"a":"ü"}`)))
	header := http.Header{}
	header.Set(webhook.HeaderID, "id-1")
	header.Set(webhook.HeaderTimestamp, "1700000000")
	require.ErrorIs(t, webhook.Verify(header, []byte(`{"a":"ü"}`), "key", -1), webhook.ErrInvalid)
	header.Set(webhook.HeaderSignature, want)
	require.NoError(t, webhook.Verify(header, []byte(`{"a":"ü"}`), "key", -1))
	require.ErrorContains(t, webhook.Verify(header, []byte(`{"a":"ü"}`), "key", 0), "clocks")
	require.ErrorIs(t, webhook.Verify(header, []byte(`{"a":"ü"}`), "", -1), webhook.ErrInvalid)
}
