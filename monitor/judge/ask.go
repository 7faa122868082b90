package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/sashabaranov/go-openai"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Client is what a judge needs of [openai.Client].
type Client interface {
	CreateChatCompletion(ctx context.Context, request openai.ChatCompletionRequest) (openai.ChatCompletionResponse, error)
}

// Options say how a judge is asked. Nil means all defaults.
type Options struct {
	// Repeats is how many times each sample is rated; the score is the mean.
	// A report then has how far the judge agrees with itself. For a
	// comparison each time is two calls, with the answers in either order.
	// Default 1.
	Repeats int
	// Attempts is how many times a call is tried whose server does not answer,
	// answers 408, 429 or 5xx, or gives no verdict that can be read. Each is a
	// call of the budget. Default 3; -1 is once.
	Attempts int
	// Backoff is the mean wait before the second attempt; it doubles from one
	// to the next. Default 500ms; -1 is no wait.
	Backoff time.Duration
	// Timeout bounds one call. Default 60s; -1 is no bound but that of the
	// context.
	Timeout time.Duration
	// MaxTokens bounds the answer. It is set aside from the budget. Default
	// 512.
	MaxTokens int
	// MaxPrompt bounds the texts of a sample together, in bytes. A longer one
	// is an error, since a judge of half an answer misleads. Default 65536.
	MaxPrompt int
	// Temperature of the answers, from 0 to 2. Above 0 each call about a sample
	// has a seed of its own, the same ones each time. Default 0, without seeds;
	// repeats agree for no other reason than that then, where a server is
	// deterministic.
	Temperature float32
	// Budget is what may be spent. Default none: no limits.
	Budget *Budget
	// PlainText asks in words only, for a server that refuses the format
	// "json_schema". Default false.
	PlainText bool
}

const (
	defaultAttempts  = 3
	defaultBackoff   = 500 * time.Millisecond
	defaultTimeout   = 60 * time.Second
	defaultMaxTokens = 512
	defaultMaxPrompt = 64 << 10
	maxBackoff       = time.Minute
)

func (o *Options) withDefaults() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	var f errs.Faults
	f.Check(r.Repeats >= 0, "Repeats is %d", r.Repeats)
	f.Check(r.Attempts >= -1, "Attempts is %d", r.Attempts)
	f.Check(r.MaxTokens >= 0, "MaxTokens is %d", r.MaxTokens)
	f.Check(r.MaxPrompt >= 0, "MaxPrompt is %d", r.MaxPrompt)
	f.Check(r.Temperature >= 0 && r.Temperature <= 2, "Temperature is %v", r.Temperature)
	if err := f.Err("options"); err != nil {
		return r, err
	}
	r.Repeats = or(r.Repeats, 1)
	if r.Attempts = or(r.Attempts, defaultAttempts); r.Attempts < 0 {
		r.Attempts = 1
	}
	r.Backoff = or(r.Backoff, defaultBackoff)
	r.Timeout = or(r.Timeout, defaultTimeout)
	r.MaxTokens = or(r.MaxTokens, defaultMaxTokens)
	r.MaxPrompt = or(r.MaxPrompt, defaultMaxPrompt)
	return r, nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// asker puts questions to a model.
type asker struct {
	client Client
	model  string
	opts   Options
}

// question is one call.
type question struct {
	system, user string
	schema       json.RawMessage
	repeat       int // Which call it is of those about a sample.
}

// messageTokens are more tokens than any chat template puts around a message.
const messageTokens = 16

// ask puts a question until read understands the answer.
func (a *asker) ask(ctx context.Context, q *question, read func(*verdict) error) (v verdict, used Usage, err error) {
	for attempt := range a.opts.Attempts {
		if attempt > 0 {
			if err := a.pause(ctx, attempt); err != nil {
				return verdict{}, used, err
			}
		}
		var again bool
		var u Usage
		v, u, again, err = a.once(ctx, q, attempt)
		used.add(u)
		if err == nil {
			if err = read(&v); err == nil {
				return v, used, nil
			}
			again = true
		}
		if !again {
			return verdict{}, used, err
		}
	}
	return verdict{}, used, fmt.Errorf("after %d attempts: %w", a.opts.Attempts, err)
}

// pause waits before another attempt, some time around twice as long as before.
func (a *asker) pause(ctx context.Context, attempt int) error {
	if a.opts.Backoff < 0 {
		return ctx.Err()
	}
	wait := min(a.opts.Backoff<<min(attempt-1, 20), maxBackoff)
	timer := time.NewTimer(wait/2 + rand.N(wait))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// once makes one call. again says that another one may do better.
func (a *asker) once(ctx context.Context, q *question, attempt int) (v verdict, used Usage, again bool, err error) {
	input := int64(len(q.system) + len(q.user) + len(q.schema) + 2*messageTokens)
	held, err := a.opts.Budget.reserve(input, int64(a.opts.MaxTokens))
	if err != nil {
		return v, used, false, err
	}
	call := ctx
	if a.opts.Timeout > 0 {
		var cancel context.CancelFunc
		call, cancel = context.WithTimeout(ctx, a.opts.Timeout)
		defer cancel()
	}
	answer, err := a.client.CreateChatCompletion(call, a.request(q, attempt))
	used = Usage{Calls: 1, Input: held.Input, Output: held.Output}
	if err != nil {
		status := statusOf(err)
		if status != 0 {
			used.Input, used.Output = 0, 0 // Refused, and so not charged.
		} // Else nobody knows what it has taken: it stays what was set aside.
		used = a.opts.Budget.settle(held, used)
		if ctx.Err() != nil {
			return v, used, false, ctx.Err()
		}
		again = status == 0 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
		kind := ErrInvalid
		if again {
			kind = ErrUnavailable
		}
		return v, used, again, fmt.Errorf("the model %q: %w: %w", a.model, err, kind)
	}
	if u := answer.Usage; u.PromptTokens > 0 || u.CompletionTokens > 0 {
		used.Input, used.Output = int64(max(0, u.PromptTokens)), int64(max(0, u.CompletionTokens))
	}
	used = a.opts.Budget.settle(held, used)
	if len(answer.Choices) == 0 {
		return v, used, true, fmt.Errorf("the model %q gave no answer: %w", a.model, ErrInvalid)
	}
	choice := &answer.Choices[0]
	if choice.Message.Refusal != "" {
		return v, used, true, fmt.Errorf("the model %q refuses: %s: %w", a.model, shorten(choice.Message.Refusal, 200), ErrInvalid)
	}
	if v, err = parseVerdict(choice.Message.Content); err != nil {
		return v, used, true, fmt.Errorf("the model %q: %w", a.model, err)
	}
	return v, used, false, nil
}

func (a *asker) request(q *question, attempt int) openai.ChatCompletionRequest {
	r := openai.ChatCompletionRequest{
		Model: a.model,
		Messages: []openai.ChatCompletionMessage{
			{Role: openai.ChatMessageRoleSystem, Content: q.system},
			{Role: openai.ChatMessageRoleUser, Content: q.user},
		},
		MaxTokens:   a.opts.MaxTokens, //nolint:staticcheck // The older name is the one that all servers know.
		Temperature: a.opts.Temperature,
	}
	if a.opts.Temperature > 0 {
		r.Seed = new(1 + q.repeat*a.opts.Attempts + attempt)
	}
	if !a.opts.PlainText {
		r.ResponseFormat = &openai.ChatCompletionResponseFormat{
			Type:       openai.ChatCompletionResponseFormatTypeJSONSchema,
			JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{Name: "verdict", Schema: q.schema, Strict: true},
		}
	}
	return r
}

// statusOf is the status that a server answered with, 0 if it did not answer.
func statusOf(err error) int {
	if api, ok := errors.AsType[*openai.APIError](err); ok {
		return api.HTTPStatusCode
	}
	if request, ok := errors.AsType[*openai.RequestError](err); ok && request.HTTPStatusCode >= http.StatusBadRequest {
		return request.HTTPStatusCode
	}
	return 0
}
