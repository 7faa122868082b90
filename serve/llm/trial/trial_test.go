package trial_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/prompts"
	"github.com/millwright-ml/millwright/serve/llm/trial"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// server stands for one with models: "bad" fails each fifth request, "chatty" says
// ten times as much as others.
func server(t testing.TB) *httptest.Server {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		tokens := 10
		switch {
		case strings.Contains(string(body), `"bad"`) && n.Add(1)%5 == 0:
			w.WriteHeader(http.StatusInternalServerError)
			return
		case strings.Contains(string(body), `"chatty"`):
			tokens = 100
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"choices":[{"message":{"content":"ok"}}],"usage":{"prompt_tokens":1,"completion_tokens":%d}}`, tokens)
	}))
	t.Cleanup(s.Close)
	return s
}

func ask(g *llm.Gateway, id, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	r.Header.Set("X-Request-Id", id)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

// until asks for many users until the experiment is over.
func until(t *testing.T, g *llm.Gateway, r *rollout.Rollout, host rollout.Host, body string) {
	t.Helper()
	over := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { over <- r.Run(ctx, host) }()
	for i := 0; ; i++ {
		select {
		case err := <-over:
			require.NoError(t, err)
			return
		default:
			ask(g, fmt.Sprint("r", i), strings.ReplaceAll(body, "USER", "user-"+strconv.Itoa(i%500)))
		}
	}
}

// models is a gateway with the model "chat" in three versions, of which "good"
// answers.
func models(t *testing.T) (*llm.Gateway, *trial.Host) {
	t.Helper()
	there := server(t)
	host := trial.Models(map[string]string{"chat": "good"})
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}, {Name: "b", URL: there.URL}, {Name: "c", URL: there.URL}}, []llm.Model{{
		Name: "chat", Router: host.Router(nil), Price: llm.Price{Output: 1000},
		Targets: []llm.Target{{Upstream: "a", Model: "chatty"}, {Upstream: "b", Model: "bad"}, {Upstream: "c", Model: "good"}},
	}}, &llm.Options{Hooks: []llm.Hook{host}, Observers: []llm.Observer{host}, Failures: -1})
	require.NoError(t, err)
	return g, host
}

const body = `{"model":"chat","user":"USER","messages":[]}`

func experiment(challenger string, guards ...rollout.Guard) rollout.Experiment {
	return rollout.Experiment{
		Name: "x-" + challenger, Model: "chat", Champion: "good", Challengers: []rollout.Challenger{{Version: challenger, Share: 0.5}},
		Key: trial.User(), Guards: guards,
	}
}

// decided runs an experiment and returns its last event.
func decided(t *testing.T, g *llm.Gateway, host rollout.Host, e rollout.Experiment, body string) (last rollout.Event) {
	t.Helper()
	r, err := rollout.New(e, &rollout.Options{Interval: 5 * time.Millisecond, Record: func(_ context.Context, e rollout.Event) error {
		last = e
		return nil
	}})
	require.NoError(t, err)
	until(t, g, r, host, body)
	return last
}

// A version that fails is taken back, though the gateway has answered each of its
// requests by another one.
func TestAVersionThatFailsIsRolledBack(t *testing.T) {
	t.Parallel()
	g, host := models(t)
	last := decided(t, g, host, experiment("bad", rollout.Guard{Metric: rollout.Errors, Margin: 0.02}), body)
	require.Equal(t, rollout.Rollback, last.Verdict)
	require.Equal(t, map[string]string{"chat": "good"}, host.Defaults())
	require.Empty(t, ask(g, "after", body).Header().Get("Millwright-Variant"))
}

func TestCostDecides(t *testing.T) {
	t.Parallel()
	g, host := models(t)
	cost := rollout.Guard{Metric: rollout.Score, Name: "cost", Value: trial.Value(trial.Cost), Max: 0.2, Margin: 0.01, LowerIsBetter: true}
	last := decided(t, g, host, experiment("chatty", cost), body)
	require.Equal(t, rollout.Rollback, last.Verdict)
	require.Equal(t, "cost", last.Evidence[0].Guard)

	// The other way round it is promoted, and answers from then on.
	host = trial.Models(map[string]string{"chat": "chatty"})
	there := server(t)
	seen := make(observed, 1)
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{
		Name: "chat", Router: host.Router(nil), Price: llm.Price{Output: 1000}, Targets: []llm.Target{{Upstream: "a", Model: "chatty"}, {Upstream: "a", Model: "good"}},
	}}, &llm.Options{Hooks: []llm.Hook{host}, Observers: []llm.Observer{host, seen}})
	require.NoError(t, err)
	e := experiment("good", cost, rollout.Guard{Metric: rollout.Score, Name: "tokens", Value: trial.Value(trial.OutputTokens), Max: 200, Margin: 5, LowerIsBetter: true, Superior: true})
	e.Champion = "chatty"
	e.Name = "back"
	last = decided(t, g, host, e, body)
	require.Equal(t, rollout.Promote, last.Verdict)
	require.Equal(t, map[string]string{"chat": "good"}, host.Defaults())
	select {
	case <-seen:
	default:
	}
	ask(g, "after", `{"model":"chat","messages":[]}`)
	require.Equal(t, "good", (<-seen).UpstreamModel)
}

// observed has the last exchange.
type observed chan llm.Exchange

func (o observed) Observe(x *llm.Exchange) {
	select {
	case o <- *x:
	default:
	}
}

func TestAUserKeepsTheVersion(t *testing.T) {
	t.Parallel()
	g, host := models(t)
	e := experiment("chatty", rollout.Guard{Metric: rollout.Errors, Margin: 0.01})
	e.MinSamples = 1 << 40
	r, err := rollout.New(e, &rollout.Options{Interval: time.Millisecond})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- r.Run(ctx, host) }()
	require.Eventually(t, func() bool { return ask(g, "x", body).Header().Get("Millwright-Variant") != "" }, 5*time.Minute, time.Millisecond)
	versions := map[string]int{}
	for i := range 40 {
		user := strings.ReplaceAll(body, "USER", strconv.Itoa(i))
		first := ask(g, "x", user).Header().Get("Millwright-Variant")
		versions[first]++
		require.Equal(t, first, ask(g, "x", user).Header().Get("Millwright-Variant"))
		require.Equal(t, first, "x-chatty/"+r.Version(strconv.Itoa(i)))
	}
	require.Len(t, versions, 2)
	require.Empty(t, ask(g, "x", `{"model":"chat"}`).Header().Get("Millwright-Variant"), "nobody has no version of his own")
	stop()
	require.ErrorIs(t, <-over, context.Canceled)
	require.Error(t, trial.Models(nil).SetRouter("chat", nil))
	_, err = host.Do(t.Context(), new(serve.Call))
	require.ErrorIs(t, err, trial.ErrUnsupported)
}

// shelf has three versions of a prompt: the third wants a variable that nobody
// sends.
func shelf(alias *atomic.Int64) prompts.Source {
	return prompts.SourceFunc(func(_ context.Context, ref string) (prompts.Version, error) {
		if ref == "p@champion" {
			ref = fmt.Sprint("p/", alias.Load())
		}
		text := map[string]string{"p/1": "one {{a}}", "p/2": "two {{a}}", "p/3": "three {{a}} {{b}}"}[ref]
		if text == "" {
			return prompts.Version{}, errs.ErrNotFound
		}
		return prompts.Version{Number: ref[2:], Tags: map[string]string{"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": text}}, nil
	})
}

func TestPrompts(t *testing.T) {
	t.Parallel()
	there := server(t)
	host := trial.Prompts()
	var alias atomic.Int64
	alias.Store(1)
	hook := prompts.New(shelf(&alias), &prompts.Options{Choose: host.Choose, Refresh: time.Millisecond})
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{Name: "chat", Targets: []llm.Target{{Upstream: "a"}}}},
		&llm.Options{Hooks: []llm.Hook{hook, host}, Observers: []llm.Observer{host}})
	require.NoError(t, err)
	const body = `{"model":"chat","user":"USER","prompt_ref":{"name":"p","variables":{"a":1}}}`
	e := rollout.Experiment{
		Name: "third", Model: "p", Champion: "1", Challengers: []rollout.Challenger{{Version: "3", Share: 0.5}}, Key: trial.User(),
		Guards: []rollout.Guard{{Metric: rollout.Errors, Margin: 0.02}},
	}
	require.Equal(t, rollout.Rollback, decided(t, g, host, e, body).Verdict, "nobody sends b")
	require.Equal(t, "p/1", ask(g, "x", body).Header().Get("Millwright-Prompt"))

	e.Name, e.Challengers[0].Version = "second", "2"
	require.Equal(t, rollout.Promote, decided(t, g, host, e, body).Verdict)
	require.Equal(t, "p/2", ask(g, "x", body).Header().Get("Millwright-Prompt"), "it answers before the alias moves")
	own := `{"model":"chat","prompt_ref":{"name":"p","version":1,"variables":{"a":1}}}`
	require.Equal(t, "p/1", ask(g, "x", own).Header().Get("Millwright-Prompt"), "who names a version gets it")
	// Once somebody moves the alias, it counts again.
	alias.Store(3)
	require.Eventually(t, func() bool { return ask(g, "x", body).Code == 400 }, 5*time.Minute, time.Millisecond)
	alias.Store(1)
	require.Eventually(t, func() bool {
		return ask(g, "x", body).Header().Get("Millwright-Prompt") == "p/1" && ask(g, "x", body).Code == 200
	}, 5*time.Minute, time.Millisecond)
}

// What counts, and as what.
func TestOutcome(t *testing.T) {
	t.Parallel()
	arm := llm.Arm{Kind: trial.KindModel, Subject: "chat", Version: "good", Variant: "v"}
	asked := llm.Exchange{Attempts: 1, UpstreamModel: "good", Served: "chat"}
	for name, c := range map[string]struct {
		change func(x *llm.Exchange)
		want   string
	}{
		"good":       {func(*llm.Exchange) {}, "[ok]"},
		"cached":     {func(x *llm.Exchange) { x.Cached = true }, "[]"},
		"limited":    {func(x *llm.Exchange) { x.Attempts, x.Err = 0, &llm.Error{Status: 429} }, "[]"},
		"down":       {func(x *llm.Exchange) { x.Attempts, x.Err = 0, &llm.Error{Status: 503, Code: "upstream_unavailable"} }, "[failed]"},
		"left":       {func(x *llm.Exchange) { x.Err = context.Canceled }, "[left]"},
		"other":      {func(x *llm.Exchange) { x.UpstreamModel = "bad" }, "[failed]"},
		"fallback":   {func(x *llm.Exchange) { x.Served = "small" }, "[failed]"},
		"client":     {func(x *llm.Exchange) { x.Err = &llm.Error{Status: 400, Code: "upstream_error"} }, "[client]"},
		"refused":    {func(x *llm.Exchange) { x.Err = &llm.Error{Status: 400, Code: "content_filter"} }, "[failed]"},
		"overloaded": {func(x *llm.Exchange) { x.Err = &llm.Error{Status: 429, Code: "upstream_error"} }, "[failed]"},
	} {
		host := trial.Models(nil)
		got := []string{}
		detach := host.Attach(tell(func(x *serve.Exchange) {
			switch {
			case x.Err == nil:
				got = append(got, "ok")
			case errors.Is(x.Err, context.Canceled):
				got = append(got, "left")
			case errors.Is(x.Err, serve.ErrInvalid):
				got = append(got, "client")
			default:
				got = append(got, "failed")
			}
		}))
		x := asked
		x.Arms = []llm.Arm{arm, {Kind: trial.KindPrompt}}
		c.change(&x)
		host.Observe(&x)
		detach()
		host.Observe(&x)
		require.Equal(t, c.want, fmt.Sprint(got), name)
	}
}

type tell func(x *serve.Exchange)

func (f tell) Observe(x *serve.Exchange) { f(x) }
