package mlflow

import (
	"encoding/json"
	"strconv"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// convention is how a family of instrumentations names what MLflow has
// attributes of its own for. A key that ends in * is a beginning.
type convention struct {
	kind            string            // key of the kind of span
	kinds           map[string]string // MLflow's span types by kind
	inputs, outputs []string
	usage           [5]string // keys of the numbers of tokens, in the order of usageNames
	models          []string
	provider        string
	tools           string
	format          string // of messages, where kind is there
}

// usageNames are the numbers in mlflow.chat.tokenUsage.
var usageNames = [5]string{"input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"}

var genAIModels = []string{"gen_ai.response.model", "gen_ai.request.model"}

// conventions in the order in which they are asked.
var conventions = []convention{
	{ // OpenInference
		kind: "openinference.span.kind",
		kinds: map[string]string{
			"TOOL": "TOOL", "CHAIN": "CHAIN", "LLM": "LLM", "RETRIEVER": "RETRIEVER", "EMBEDDING": "EMBEDDING", "AGENT": "AGENT",
			"RERANKER": "RERANKER", "UNKNOWN": unknownType, "GUARDRAIL": "GUARDRAIL", "EVALUATOR": "EVALUATOR",
		},
		inputs: []string{"input.value"}, outputs: []string{"output.value"},
		usage: [5]string{"llm.token_count.prompt", "llm.token_count.completion", "llm.token_count.total",
			"llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_write"},
		models:   []string{"llm.response.model_name", "llm.model_name", "llm.request.model_name", "embedding.model_name"},
		provider: "llm.provider",
	},
	{ // OpenTelemetry's own for generative AI
		kind: "gen_ai.operation.name",
		kinds: map[string]string{
			"chat": "CHAT_MODEL", "create_agent": "AGENT", "embeddings": "EMBEDDING", "execute_tool": "TOOL", "generate_content": "LLM",
			"invoke_agent": "AGENT", "text_completion": "LLM", "response": "LLM",
		},
		inputs:  []string{"gen_ai.input.messages", "gen_ai.tool.call.arguments"},
		outputs: []string{"gen_ai.output.messages", "gen_ai.tool.call.result"},
		usage: [5]string{"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "",
			"gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens"},
		models: genAIModels, provider: "gen_ai.provider.name", tools: "gen_ai.tool.definitions",
	},
	{ // Traceloop
		kind:    "traceloop.span.kind",
		kinds:   map[string]string{"workflow": "WORKFLOW", "task": "TASK", "agent": "AGENT", "tool": "TOOL", "unknown": unknownType},
		inputs:  []string{"traceloop.entity.input", "gen_ai.prompt.*content"},
		outputs: []string{"traceloop.entity.output", "gen_ai.completion.*content"},
		usage:   [5]string{"gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens", "llm.usage.total_tokens"}, provider: "gen_ai.system",
	},
	{ // Google's agent development kit
		inputs:  []string{"gcp.vertex.agent.llm_request", "gcp.vertex.agent.tool_call_args"},
		outputs: []string{"gcp.vertex.agent.llm_response", "gcp.vertex.agent.tool_response"},
	},
	{ // Vercel's AI SDK
		kind: "ai.operationId",
		kinds: map[string]string{
			"ai.generateText": "LLM", "ai.generateText.doGenerate": "LLM", "ai.toolCall": "TOOL", "ai.streamText": "LLM",
			"ai.streamText.doStream": "LLM", "ai.generateObject": "LLM", "ai.generateObject.doGenerate": "LLM", "ai.streamObject": "LLM",
			"ai.streamObject.doStream": "LLM", "ai.embed": "EMBEDDING", "ai.embed.doEmbed": "EMBEDDING", "ai.embedMany": "EMBEDDING",
		},
		inputs:  []string{"ai.prompt", "ai.toolCall.args", "ai.value", "ai.values"},
		outputs: []string{"ai.response.text", "ai.toolCall.result", "ai.response.object", "ai.embedding", "ai.embeddings"},
	},
	{ // Laminar
		kind: "lmnr.span.type",
		kinds: map[string]string{
			"LLM": "LLM", "TOOL": "TOOL", "DEFAULT": "CHAIN", "PIPELINE": "CHAIN", "EXECUTOR": "AGENT", "EVALUATOR": "EVALUATOR",
			"HUMAN_EVALUATOR": "EVALUATOR", "EVALUATION": "EVALUATOR", "CACHED": "LLM",
		},
		inputs: []string{"lmnr.span.input"}, outputs: []string{"lmnr.span.output"}, models: genAIModels, provider: "gen_ai.system", format: "openai",
	},
	{ // Langfuse
		kind: "langfuse.observation.type",
		kinds: map[string]string{
			"generation": "LLM", "embedding": "EMBEDDING", "tool": "TOOL", "retriever": "RETRIEVER", "agent": "AGENT", "chain": "CHAIN",
			"evaluator": "EVALUATOR", "guardrail": "GUARDRAIL", "span": unknownType,
		},
		inputs: []string{"langfuse.observation.input"}, outputs: []string{"langfuse.observation.output"},
	},
}

// translate adds MLflow's attributes to those of other conventions. It leaves
// alone what is there.
func translate(attrs *attributes, events []*tracepb.Span_Event) {
	a := *attrs
	if t := textOf(a.get(attrSpanType)); t == "" || t == unknownType {
		if kind := kindOf(a); kind != "" {
			attrs.set(attrSpanType, string(appendText(nil, kind)))
		}
	}
	first := func(pick func(*convention) string) string {
		for i := range conventions {
			if v := pick(&conventions[i]); v != "" {
				return v
			}
		}
		return ""
	}
	input := first(func(c *convention) string { return a.firstOf(c.inputs) })
	output := first(func(c *convention) string { return a.firstOf(c.outputs) })
	if input == "" && output == "" {
		input, output = messagesOf(events)
	}
	attrs.add(attrInputs, input)
	attrs.add(attrOutputs, output)
	attrs.add(attrUsage, first(func(c *convention) string { return usageOf(a, c) }))
	attrs.add(attrFormat, first(func(c *convention) string {
		if c.format == "" || a.get(c.kind) == "" {
			return ""
		}
		return string(appendText(nil, c.format))
	}))
	attrs.add(attrTools, first(func(c *convention) string { return a.truthy(c.tools) }))
	attrs.add(attrModel, first(func(c *convention) string { return a.firstOf(c.models) }))
	attrs.add(attrModel, modelIn(attrs.get(attrInputs)))
	attrs.add(attrModel, modelIn(attrs.get(attrOutputs)))
	attrs.add(attrProvider, first(func(c *convention) string { return a.truthy(c.provider) }))
}

func kindOf(a attributes) string {
	for _, c := range conventions {
		if t := c.kinds[textOf(a.get(c.kind))]; c.kind != "" && t != "" {
			return t
		}
	}
	return ""
}

// truthy returns the value of key unless it is empty in the sense of Python.
func (a attributes) truthy(key string) string {
	if key == "" {
		return ""
	}
	switch v := a.get(key); v {
	case `""`, "null", "{}", "[]", "0", "0.0", "false":
		return ""
	default:
		return v
	}
}

// firstOf returns the first value that is not empty. A key with a * stands for
// those with what is before and after it.
func (a attributes) firstOf(keys []string) string {
	for _, key := range keys {
		before, after, pattern := strings.Cut(key, "*")
		if !pattern {
			if v := a.truthy(key); v != "" {
				return v
			}
			continue
		}
		for _, kv := range a {
			if strings.HasPrefix(kv.key, before) && strings.HasSuffix(kv.key, after) {
				if v := a.truthy(kv.key); v != "" {
					return v
				}
			}
		}
	}
	return ""
}

// usageOf returns the numbers of tokens as an object.
func usageOf(a attributes, c *convention) string {
	var counts [5]int64
	var known [5]bool
	for i, key := range c.usage {
		if key == "" {
			continue
		}
		n, err := strconv.ParseInt(textOf(a.get(key)), 10, 64)
		counts[i], known[i] = n, err == nil
	}
	if !known[0] && !known[1] && !known[2] {
		return ""
	}
	if !known[2] && known[0] && known[1] {
		counts[2], known[2] = counts[0]+counts[1], true
	}
	out := []byte{'{'}
	for i, name := range usageNames {
		if known[i] {
			if len(out) > 1 {
				out = append(out, ", "...)
			}
			out = append(appendText(out, name), ": "...)
			out = strconv.AppendInt(out, counts[i], 10)
		}
	}
	return string(append(out, '}'))
}

// modelIn returns the member "model" of an object, when it is a text.
func modelIn(value string) string {
	var in struct {
		Model json.RawMessage `json:"model"`
	}
	if !strings.HasPrefix(value, "{") || json.Unmarshal([]byte(value), &in) != nil || len(in.Model) < 3 || in.Model[0] != '"' {
		return ""
	}
	return string(in.Model)
}

// messagesOf returns what a span read and answered, from the events with which
// some instrumentations tell it.
func messagesOf(events []*tracepb.Span_Event) (input, output string) {
	var in, out []byte
	for _, e := range events {
		attr := func(key string) *commonpb.AnyValue {
			for _, kv := range e.GetAttributes() {
				if kv.GetKey() == key {
					return kv.GetValue()
				}
			}
			return nil
		}
		role, list := "", &in
		switch e.GetName() {
		case "gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message":
			role = strings.TrimSuffix(strings.TrimPrefix(e.GetName(), "gen_ai."), ".message")
		case "gen_ai.choice":
			role, list = "assistant", &out
			if r := attr("role").GetStringValue(); r != "" {
				role = r
			}
		case "gen_ai.content.prompt":
			if input == "" {
				input = attr("gen_ai.prompt").GetStringValue()
			}
		case "gen_ai.content.completion":
			if output == "" {
				output = attr("gen_ai.completion").GetStringValue()
			}
		}
		content := attr("content")
		if role == "" || content == nil {
			continue
		}
		if *list = append(*list, ", "...); len(*list) == 2 {
			*list = []byte{'['}
		}
		*list = appendText(append(*list, `{"role": `...), role)
		*list = append(*list, `, "content": `...)
		*list = append(appendDecoded(*list, content), '}')
	}
	if len(in) > 0 {
		input = string(append(in, ']'))
	}
	if len(out) > 0 {
		output = string(append(out, ']'))
	}
	return input, output
}

// appendDecoded appends a value, or the JSON that it is the text of.
func appendDecoded(dst []byte, v *commonpb.AnyValue) []byte {
	if s, ok := v.GetValue().(*commonpb.AnyValue_StringValue); ok && validValue(s.StringValue) {
		return append(dst, s.StringValue...)
	}
	return appendAttribute(dst, v)
}
