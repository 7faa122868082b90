package prompts_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/prompts"
)

// A client names a prompt and gives its variables. The text is the registry's.
func Example() {
	ctx := context.Background()
	// As mlflow.genai.register_prompt and set_prompt_alias make it.
	reg := registry.New(new(registrytest.Mem), nil, nil)
	tags := map[string]string{registry.PromptTag: "true", "mlflow.prompt.text": "Greet {{ name }} in one line."}
	if _, err := reg.CreateModel(ctx, registry.Model{Name: "greet", Tags: map[string]string{registry.PromptTag: "true"}}); err != nil {
		log.Fatal(err)
	}
	if _, err := reg.Declare(ctx, "greet", registry.Draft{Source: "prompt-template", Tags: tags}, false); err != nil {
		log.Fatal(err)
	}
	if err := reg.SetAlias(ctx, "greet", "champion", 1, nil); err != nil {
		log.Fatal(err)
	}

	hook := prompts.New(prompts.SourceFunc(func(ctx context.Context, ref string) (prompts.Version, error) {
		v, err := reg.Resolve(ctx, ref)
		if err != nil {
			return prompts.Version{}, err
		}
		return prompts.Version{Number: strconv.Itoa(v.Number), Tags: v.Tags}, nil
	}), nil)

	// Stands for vLLM, and says what it got.
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(string(body))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"Hello, Ann!"}}]}`)
	}))
	defer there.Close()
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{Name: "chat", Targets: []llm.Target{{Upstream: "a"}}}}, &llm.Options{Hooks: []llm.Hook{hook}})
	if err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	body := `{"model":"chat","prompt_ref":{"name":"greet","variables":{"name":"Ann"}}}`
	g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
	fmt.Println(w.Code, w.Header().Get("Millwright-Prompt"))
	// Output:
	// {"model":"chat","messages":[{"role":"user","content":"Greet Ann in one line."}]}
	// 200 greet/1
}
