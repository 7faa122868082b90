package llm_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/millwright-ml/millwright/serve/llm"
)

// ask sends a request as a client of OpenAI does.
func ask(url, key, body string) string {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(b))
}

// Two upstreams, of which one is down, and a tenant with a limit.
func Example() {
	// Stands for vLLM.
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"42"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`)
	}))
	defer there.Close()

	keys, err := llm.NewKeys(map[string]*llm.Tenant{
		llm.HashKey("key-of-the-shop"): {Name: "shop", Tokens: 1000},
	})
	if err != nil {
		log.Fatal(err)
	}
	g, err := llm.New(
		[]llm.Upstream{{Name: "a", URL: "http://127.0.0.1:1/v1"}, {Name: "b", URL: there.URL + "/v1"}},
		[]llm.Model{{
			Name:      "chat",
			Targets:   []llm.Target{{Upstream: "a", Model: "qwen3"}, {Upstream: "b", Model: "qwen3"}},
			MaxTokens: 400, Price: llm.Price{Input: 0.5, Output: 2},
		}},
		&llm.Options{Auth: keys, Observers: []llm.Observer{report{}}})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(g)
	defer server.Close()

	question := `{"model":"chat","messages":[{"role":"user","content":"How many?"}]}`
	fmt.Println(ask(server.URL, "key-of-the-shop", question))
	fmt.Println(ask(server.URL, "a guess", question))
	// Output:
	// shop got chat from b: 10 tokens, 0.0000065
	// 200 {"choices":[{"message":{"content":"42"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}
	//  got  from : 0 tokens, 0.0000000
	// 401 {"error":{"message":"the API key is not known","type":"authentication_error","param":null,"code":"invalid_api_key"}}
}

// report prints what a request cost.
type report struct{}

func (report) Observe(x *llm.Exchange) {
	fmt.Printf("%s got %s from %s: %d tokens, %.7f\n", x.Tenant, x.Model, x.Upstream, x.Usage.Total(), float64(x.Cost)/1e9)
}
