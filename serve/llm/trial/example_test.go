package trial_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/prompts"
	"github.com/millwright-ml/millwright/serve/llm/trial"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// Half of the users get version 2 of a prompt. They like its answers, which they say
// later, by the id of the request: it is promoted.
func Example() {
	// Stands for vLLM.
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"ok"}}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`)
	}))
	defer there.Close()
	var alias atomic.Int64
	alias.Store(1)
	host := trial.Prompts()
	hook := prompts.New(shelf(&alias), &prompts.Options{Choose: host.Choose})
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{Name: "chat", Targets: []llm.Target{{Upstream: "a"}}}},
		&llm.Options{Hooks: []llm.Hook{hook}, Observers: []llm.Observer{host}})
	if err != nil {
		log.Fatal(err)
	}
	r, err := rollout.New(rollout.Experiment{
		Name: "shorter", Model: "p", Champion: "1", Challengers: []rollout.Challenger{{Version: "2", Share: 0.5}},
		Key: trial.User(),
		Guards: []rollout.Guard{
			{Metric: rollout.Errors, Margin: 0.02},
			{Metric: rollout.Label, Name: "liked", Superior: true},
		},
	}, &rollout.Options{Interval: 10 * time.Millisecond, Record: func(_ context.Context, e rollout.Event) error {
		fmt.Println("version", e.Challenger, e.Verdict) // Here a registry's alias would move.
		return nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- r.Run(context.Background(), host) }()
	for i := 0; ; i++ {
		select {
		case err := <-over:
			fmt.Println(err, host.Defaults())
			return
		default:
		}
		req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(
			`{"model":"chat","user":"`+strconv.Itoa(i)+`","prompt_ref":{"name":"p","variables":{"a":"x"}}}`))
		w := httptest.NewRecorder()
		g.ServeHTTP(w, req)
		liked := 0.0
		if w.Header().Get("Millwright-Prompt") == "p/2" || i%4 == 0 {
			liked = 1
		}
		r.Label("liked", w.Header().Get("X-Request-Id"), liked)
	}
	// Output:
	// version 2 promote
	// <nil> map[p:2]
}
