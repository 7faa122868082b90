package guard_test

import (
	"context"
	"fmt"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/guard"
)

// What is personal does not reach the model.
func ExampleRedact() {
	hook := guard.Redact(guard.Personal(), &guard.Options{OnFind: func(_ *llm.Exchange, kind string) { fmt.Println("found:", kind) }})
	body, err := hook.Request(context.Background(), &llm.Exchange{}, []byte(`{"model":"m","messages":[{"role":"user","content":"Pay DE89 3704 0044 0532 0130 00 for ann@example.org"}]}`))
	fmt.Println(string(body), err)
	// Output:
	// found: iban
	// found: email
	// {"model":"m","messages":[{"role":"user","content":"Pay [iban] for [email]"}]} <nil>
}

// An address is found though it comes in three events.
func ExampleGuard_Stream() {
	filter := guard.Redact([]guard.Pattern{guard.Email()}, nil).Stream(context.Background(), &llm.Exchange{Operation: llm.Chat})
	send := func(data []byte) { fmt.Println(string(data)) }
	for _, piece := range []string{"Write to ann", "@example", ".org today"} {
		if err := filter.Event([]byte(`{"choices":[{"index":0,"delta":{"content":"`+piece+`"}}]}`), send); err != nil {
			fmt.Println(err)
		}
	}
	if err := filter.End(send); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"choices":[{"index":0,"delta":{"content":"Write to "}}]}
	// {"choices":[{"index":0,"delta":{"content":""}}]}
	// {"choices":[{"index":0,"delta":{"content":"[email] "}}]}
	// {"choices":[{"index":0,"delta":{"content":"today"},"finish_reason":null}]}
}

// A phrase ends a request before it costs anything.
func ExampleDeny() {
	hook := guard.Deny([]string{"project nightfall"}, nil)
	_, err := hook.Request(context.Background(), &llm.Exchange{}, []byte(`{"messages":[{"content":"What is Project Nightfall?"}]}`))
	fmt.Println(err)
	// Output:
	// llm: the request has something that is not allowed here (word)
}

// Prompts have at most so many letters.
func ExampleLimit() {
	hook, _ := guard.Limit(10, 0).(llm.RequestHook)
	_, err := hook.Request(context.Background(), &llm.Exchange{}, []byte(`{"messages":[{"content":"Hello, hello!"}]}`))
	fmt.Println(err)
	// Output:
	// llm: the texts of the request have more than 10 letters
}

// Answers are JSON of a form, or none.
func ExampleSchema() {
	hook, err := guard.Schema([]byte(`{"type":"object","required":["city"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	answers, _ := hook.(llm.AnswerHook)
	_, err = answers.Answer(context.Background(), &llm.Exchange{Operation: llm.Chat}, []byte(`{"choices":[{"message":{"content":"Sure! {\"city\":\"Ulm\"}"}}]}`))
	fmt.Println(err)
	// Output:
	// llm: the answer does not agree with the schema
}
