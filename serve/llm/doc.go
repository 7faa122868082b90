// Package llm is a gateway to language models: one http.Handler with OpenAI's API
// in front of any number of vLLM, SGLang, llama.cpp, TGI or Ollama servers.
//
// # Upstreams and models
//
// [New] takes the servers and the models, by name. A model is at one or more
// servers, under the same or another name there:
//
//	g, err := llm.New(
//		[]llm.Upstream{{Name: "a", URL: "http://vllm-0:8000/v1"}, {Name: "b", URL: "http://vllm-1:8000/v1"}},
//		[]llm.Model{{Name: "chat", Targets: []llm.Target{{Upstream: "a", Model: "qwen3"}, {Upstream: "b", Model: "qwen3"}}}},
//		nil)
//	mux.Handle("/v1/", g)
//
// It answers /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses
// and /v1/models, for every client of OpenAI.
//
// # Raw
//
// A body goes to the upstream as it came, with fields that no gateway has heard
// of: it is scanned once for the few fields that are needed, and where the model
// has another name, or usage has to be asked for, those bytes are replaced and no
// others. A field that is needed and stands there twice is refused, as the
// upstream might heed the other one. Answers and events come back in the same
// way. Requests go to the upstreams of the configuration only; keys, cookies and
// the headers of the connection stay here.
//
// # Streams
//
// Events go out as they come, at once. A client that leaves ends the upstream's
// work; an upstream that sends no event for [Options.Idle] is given up. Until the
// first event a failure makes the gateway ask the next upstream, and the
// [Model.Fallbacks]; behind it, the failure is an event of its own, in the shape
// that clients know, and [DONE] does not come.
//
// # Routing
//
// A [Router] chooses among a model's upstreams: [LeastTokens] by what they are
// busy with, [PrefixAffinity] by what their caches have, [SessionAffinity] by
// conversation. [Gateway.Watch] asks the upstreams how they are, and reads load
// and cache use from the metrics of vLLM, SGLang and llama.cpp. An upstream that
// fails several times in a row is left alone for a while; [Gateway.Drain] takes
// one out.
//
// # Tenants
//
// An [Authenticator], such as [Keys], which holds hashes only, says whose request
// it is. A [Tenant] has limits of requests and tokens a minute and a budget of
// money. What a request may cost at most is taken from them before it is sent, and
// what it did not use is given back when its usage is known: tenants do not get
// beyond a limit by asking many things at once. The bound of that: a budget is
// overspent by no more than the requests that run cost beyond what was expected
// of them, which is nothing where [Model.MaxTokens] is set and
// [Options.BytesPerToken] is 1. A model with [Model.Concurrency] lets requests
// wait, by priority, and by share among tenants.
//
// # Seeing what goes on
//
// An [Observer] is told of every request: whose it was, who answered, how long it
// took, its tokens and its cost. The tokens are the upstream's own count, which
// the gateway asks for also in streams, and hides from clients that did not. A
// [Log] keeps bodies, redacted before anything is copied. A [Hook] refuses or
// changes requests, answers and streams, a [Cache] answers what was asked before.
//
// The package links the standard library only. It opens no listener: put it in a
// mux, behind whatever the program has. The program's http.Server should have a
// ReadHeaderTimeout and a MaxHeaderBytes.
package llm
