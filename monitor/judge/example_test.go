package judge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/sashabaranov/go-openai"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/monitor/judge"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// Rules and similarities, and the report as a run. A program reads its samples
// from a dataset version and opens its tracking store with sqlstore.Open.
func Example() {
	ctx := context.Background()
	samples := func(yield func(judge.Sample, error) bool) {
		for _, s := range []judge.Sample{
			{ID: "1", Input: "Capital of France?", Output: "Paris", Expected: "Paris"},
			{ID: "2", Input: "Capital of Peru?", Output: "The capital is Lima.", Expected: "Lima"},
			{ID: "3", Input: "Capital of Chad?", Output: "I'm sorry, I can't help with that.", Expected: "N'Djamena"},
		} {
			if !yield(s, nil) {
				return
			}
		}
	}
	report, err := judge.Evaluate(ctx, samples, []judge.Scorer{judge.Exact(), judge.TokenF1(), judge.Refusal()}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range report.Scorers {
		fmt.Printf("%s %.2f\n", s.Name, s.Mean)
	}

	client := tracking.New(&trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	exp, err := client.Experiment(ctx, "capitals")
	if err != nil {
		log.Fatal(err)
	}
	run, err := client.StartRun(ctx, exp.ID, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := report.Log(ctx, run, run.Files()); err != nil {
		log.Fatal(err)
	}
	info, err := run.Info(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("logged %.2f\n", info.Metrics["exact/mean"].Value)
	// Output:
	// exact 0.33
	// token_f1 0.50
	// refusal 0.33
	// logged 0.33
}

// A judge behind any server with OpenAI's API, asked twice about each answer and
// with a budget.
func ExampleJudge() {
	// In a program this is a server with a model; here it finds "because" good.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q openai.ChatCompletionRequest
		_ = json.NewDecoder(r.Body).Decode(&q)
		verdict := `{"reason": "It gives no reason.", "rating": 0}`
		if strings.Contains(q.Messages[1].Content, "because") {
			verdict = `{"reason": "It says why.", "rating": 1}`
		}
		_ = json.NewEncoder(w).Encode(openai.ChatCompletionResponse{
			Choices: []openai.ChatCompletionChoice{{Message: openai.ChatCompletionMessage{Content: verdict}}},
			Usage:   openai.Usage{PromptTokens: 90, CompletionTokens: 12},
		})
	}))
	defer server.Close()

	config := openai.DefaultConfig("key")
	config.BaseURL = server.URL + "/v1"
	config.HTTPClient = judge.Bound(http.DefaultClient, 1<<20)
	budget, err := judge.NewBudget(judge.Limits{Calls: 100, Tokens: 200_000})
	if err != nil {
		log.Fatal(err)
	}
	explains, err := judge.New(openai.NewClientWithConfig(config), "qwen3-32b", judge.Rubric{
		Name:      "explains",
		Criterion: "Does the answer give a reason?",
		Levels:    []string{"no", "yes"},
	}, &judge.Options{Repeats: 2, Budget: budget})
	if err != nil {
		log.Fatal(err)
	}
	score, err := explains.Score(context.Background(), &judge.Sample{ID: "7", Input: "Is it safe?", Output: "Yes, because it is tested."})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(score.Value, score.Label, score.Explanation, score.Ratings)
	fmt.Println(budget.Spent().Calls, "calls")
	// Output:
	// 1 yes It says why. [1 1]
	// 2 calls
}

// How far a judge agrees with a human, on the same twelve answers.
func ExampleAgree() {
	human := []int{1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0}
	machine := []int{1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1}
	var pairs [][]int
	for i := range human {
		pairs = append(pairs, []int{human[i], machine[i]})
	}
	a := judge.Agree(pairs)
	fmt.Printf("agree in %.2f, kappa %.2f\n", a.Raw, a.Kappa)
	// Output:
	// agree in 0.83, kappa 0.67
}

// Answers are scored behind the path of requests, half of them.
func ExampleOnline() {
	var names []string
	worker, err := judge.NewOnline([]judge.Scorer{judge.Refusal(), judge.Length()}, &judge.OnlineOptions{
		Workers:  1,
		OnResult: func(r judge.Result) { names = append(names, r.Sample.ID) },
		Share:    0.5,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		worker.Offer(judge.Sample{ID: id, Output: "An answer."})
	}
	worker.Shutdown() // Run would go on otherwise.
	if err := worker.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	s := worker.Stats()
	fmt.Println(s.Offered == s.SampledOut+s.Scored, slices.IsSorted(names))
	// Output:
	// true true
}
