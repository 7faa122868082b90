package semcache_test

import (
	"context"
	"fmt"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/semcache"
)

// The second request differs by a question mark. letters stands for semcache.OpenAI.
func Example() {
	c := semcache.New(letters{}, &semcache.Options{Threshold: 0.9})
	x := &llm.Exchange{Operation: llm.Chat, Tenant: "shop"}
	_, keep := c.Find(context.Background(), x, []byte(`{"model":"m","temperature":0,"messages":[{"role":"user","content":"When do you open"}]}`))
	keep(&llm.Answer{Body: []byte(`{"choices":[{"finish_reason":"stop","message":{"content":"At nine."}}]}`)})
	a, _ := c.Find(context.Background(), x, []byte(`{"model":"m","temperature":0,"messages":[{"role":"user","content":"When do you open?"}]}`))
	fmt.Println(string(a.Body))
	// Output:
	// {"choices":[{"finish_reason":"stop","message":{"content":"At nine."}}]}
}
