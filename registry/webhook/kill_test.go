package webhook_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/registry/webhook"
)

const childEnv = "MILLWRIGHT_WEBHOOK_CHILD"

// TestMain is also the program that TestKill kills: it changes a registry and
// delivers until it dies.
func TestMain(m *testing.M) {
	if url := os.Getenv(childEnv); url != "" {
		fmt.Fprintln(os.Stderr, child(context.Background(), url, os.Args[1]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func child(ctx context.Context, url, prefix string) error {
	s, err := sqlstore.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	h, err := webhook.New(s, killed())
	if err == nil {
		err = h.Start()
	}
	if err != nil {
		return err
	}
	reg := registry.New(s, nil, nil)
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s-%d", prefix, n)
		if _, err := reg.CreateModel(ctx, registry.Model{Name: name}); err != nil {
			return err
		}
		fmt.Println(name) // the change is kept
	}
}

// killed has leases that end soon, for those who come after.
func killed() *webhook.Options {
	o := local()
	o.Timeout = 300 * time.Millisecond
	return o
}

// A process that is killed while it changes models and delivers loses no event
// of a change that it made, and tells of none that it did not make.
func TestKill(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, url := openStore(t)
	to := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n%7 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	h := newHooks(t, s, killed())
	made, err := h.Create(ctx, draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	var names []string
	for round := range 3 {
		cmd := exec.CommandContext(ctx, os.Args[0], fmt.Sprint(round))
		cmd.Env = append(os.Environ(), childEnv+"="+url)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; n < 15 && lines.Scan(); n++ {
			names = append(names, lines.Text())
		}
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() { // what it said before it died
			names = append(names, lines.Text())
		}
		_ = cmd.Wait() // it was killed
	}
	// The last lease is not waited for.
	at := time.Now().UTC().Truncate(time.Microsecond).Add(time.Hour)
	ids, err := s.Claim(ctx, "test", at, at, 1)
	require.NoError(t, err)
	if len(ids) > 0 {
		require.NoError(t, s.Release(ctx, webhook.Lease{Webhook: made.ID, Owner: "test", Seen: made.Updated}, time.Now().UTC(), time.Now().UTC()))
	}
	require.NoError(t, h.Start())
	until(t, "all is delivered", func() bool {
		b, err := h.Backlog(ctx, made.ID)
		return err == nil && b == webhook.Backlog{}
	})
	told := map[string]bool{}
	for _, r := range to.await(t, len(names)) {
		var body struct{ Data struct{ Name string } }
		require.NoError(t, json.Unmarshal([]byte(r.body), &body))
		told[body.Data.Name] = true
	}
	for _, name := range names {
		require.True(t, told[name], "%s was made and not told of", name)
	}
	reg := registry.New(s, nil, nil)
	for name := range told {
		_, err := reg.Model(ctx, name)
		require.NoError(t, err, "it was told of and not made")
	}
}
