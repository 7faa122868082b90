package inttest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/internal/pgtest"
)

// madeVersion is the part of a model version that these tests read.
type madeVersion struct {
	Version struct {
		Version, Source, Status string
		Tags                    []struct{ Key, Value string }
	} `json:"model_version"`
}

// TestRegistryKilledUnderLoad kills the server with SIGKILL again and again
// while clients register versions and move an alias. What was acknowledged is
// there, no number is given out twice, and the audit log holds.
func TestRegistryKilledUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { killRegistry(t, "", 12) })
	t.Run("postgres", func(t *testing.T) { killRegistry(t, pgtest.URL(t), 5) })
}

func killRegistry(t *testing.T, database string, kills int) {
	const clients = 4
	server := inttest.StartServer(t, database)
	p := &probed{seed: seed{t: t, url: server.URL}, server: server}
	p.fill()
	// So that the alias is there also when the first kill comes before a client
	// has moved it.
	require.NoError(t, p.once(t.Context(), "registered-models/alias", object{"name": "m", "alias": "champion", "version": "1"}, nil))
	api := server.URL + "/api/2.0/mlflow/"
	// Each version's tag says which request made it.
	made := map[string]string{} // number → what made it
	var mu sync.Mutex
	var next atomic.Int64
	for range kills {
		ctx, cancel := context.WithCancel(t.Context())
		var acknowledged atomic.Int64
		var working sync.WaitGroup
		for i := range clients {
			working.Go(func() {
				for ctx.Err() == nil {
					by := fmt.Sprintf("%d of %d", next.Add(1), i)
					p.once(ctx, "registered-models/set-tag", object{"name": "m", "key": "last", "value": by}, nil)
					var v madeVersion
					if p.once(ctx, "model-versions/create", object{"name": "m", "source": p.at("m"), "run_id": p.run, "tags": pairs("by", by)}, &v) != nil {
						return // cut off; whether it was stored is not known
					}
					mu.Lock()
					if was, twice := made[v.Version.Version]; twice {
						t.Errorf("version %s was given to %s and to %s", v.Version.Version, was, by)
					}
					made[v.Version.Version] = by
					mu.Unlock()
					acknowledged.Add(1)
					if p.once(ctx, "registered-models/alias", object{"name": "m", "alias": "champion", "version": v.Version.Version}, nil) != nil {
						return
					}
				}
			})
		}
		least := 1 + rand.Int64N(20)
		require.Eventually(t, func() bool { return acknowledged.Load() >= least || t.Failed() }, inttest.Patience, time.Millisecond)
		server.Kill()
		cancel()
		working.Wait()
		server.Restart(t)

		var champion madeVersion
		require.NoError(t, call(t.Context(), http.MethodGet, api+"registered-models/alias?name=m&alias=champion", nil, &champion))
		require.Equal(t, "READY", champion.Version.Status)
	}
	highest := 0
	for number, by := range made {
		n, err := strconv.Atoi(number)
		require.NoError(t, err)
		highest = max(highest, n)
		var v madeVersion
		require.NoError(t, call(t.Context(), http.MethodGet, api+"model-versions/get?name=m&version="+number, nil, &v), "an acknowledged version is lost")
		require.Equal(t, []struct{ Key, Value string }{{"by", by}}, v.Version.Tags)
		require.Equal(t, "READY", v.Version.Status)
		status, body := p.raw(http.MethodGet, "/model-versions/get-artifact?name=m&path=MLmodel&version="+number, "", "")
		require.Equal(t, 200, status, body)
		require.Equal(t, "flavors: {}\n", body)
	}
	_, err := openRegistry(t, server, database).VerifyAudit(t.Context())
	require.NoError(t, err)
	t.Logf("%d kills, %d versions acknowledged and there, %d numbers given out", kills, len(made), highest)
}

// once sends a request once.
func (p *probed) once(ctx context.Context, path string, body object, answer any) error {
	return call(ctx, http.MethodPost, p.url+"/api/2.0/mlflow/"+path, body, answer)
}

// TestRegistryManyClients has clients register versions of one model through
// two servers on one database, all at once. Every number is given out once, and
// none is left out.
func TestRegistryManyClients(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { manyRegister(t, "") })
	t.Run("postgres", func(t *testing.T) { manyRegister(t, pgtest.URL(t)) })
}

func manyRegister(t *testing.T, database string) {
	const clients, each = 8, 10
	first := inttest.StartServer(t, database)
	if database == "" {
		database = "sqlite:///" + first.Dir + "/mlflow.db"
	}
	second := inttest.StartServer(t, database, "--artifacts-destination", first.Dir+"/artifacts")
	p := &probed{seed: seed{t: t, url: first.URL}, server: first}
	p.fill()
	var working sync.WaitGroup
	numbers := make(chan string, clients*each)
	failures := make(chan error, clients*each)
	for i := range clients {
		q := &probed{seed: seed{t: t, url: []string{first.URL, second.URL}[i%2], experiment: p.experiment}, run: p.run}
		working.Go(func() {
			for range each {
				var v madeVersion
				if err := q.once(t.Context(), "model-versions/create", object{"name": "m", "source": q.at("m"), "run_id": q.run}, &v); err != nil {
					failures <- err
					continue
				}
				numbers <- v.Version.Version
				if err := q.once(t.Context(), "registered-models/alias", object{"name": "m", "alias": "newest", "version": v.Version.Version}, nil); err != nil {
					failures <- err
				}
			}
		})
	}
	working.Wait()
	close(numbers)
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	given := map[string]bool{}
	for n := range numbers {
		require.False(t, given[n], "version %s was given out twice", n)
		given[n] = true
	}
	for n := 3; n < 3+clients*each; n++ { // fill made two
		require.True(t, given[strconv.Itoa(n)], "version %d was left out", n)
	}
}
