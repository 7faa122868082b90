// Package llmhook writes what a gateway to language models does into an inference
// log: one row a request, in a dataset that any engine that knows Delta Lake reads,
// pandas and DuckDB among them.
//
//	log, err := inferlog.Open(ctx, catalog, "chat", llmhook.Schema(), nil)
//	hook := llmhook.New(log, nil)
//	g, err := llm.New(upstreams, models, &llm.Options{Log: &llm.Log{Recorder: hook}})
//	defer log.Shutdown(ctx)
//
// # Text, or none
//
// As the Recorder of an [llm.Log] a Hook gets bodies, which the gateway has redacted
// before it copied anything ([llm.Log.Redact]): in_request is the body, out_answer
// the answer's body, or the text of a stream. As one of [llm.Options.Observers] it
// gets none, the gateway copies none, and the two columns are empty. Use it as one
// of them, not as both.
//
// # Columns
//
// Those of package inferlog come first: request_id, row (0), time (when the request
// came), model (the one that answered), version (its name upstream), latency_us (to
// the last byte) and error. Then
//
//	in_request           the body as the hooks made it, redacted
//	in_operation         chat, text_completion, embeddings or responses
//	in_model             the model that was asked for
//	in_tenant, in_user, in_session
//	in_stream
//	in_prompt, in_prompt_version, in_variant
//	out_answer
//	out_upstream, out_attempts, out_status, out_finish
//	out_response_id, out_response_model
//	out_input_tokens, out_output_tokens, out_cached_tokens, out_reasoning_tokens
//	out_estimated        the upstream did not count the tokens
//	out_cost             in what the prices are in
//	out_cached           the answer came out of the gateway's cache
//	out_first_us, out_queued_us
//	out_truncated        one of the texts was cut
//
// Users and sessions may be hashed by inferlog.Options.Hash ("in_user"), and any
// column left out by inferlog.Options.Redact.
//
// # Nothing is lost uncounted
//
// Each request is one row: [Stats] has the number of rows that were handed over and
// what they add up to, exactly, and inferlog.Stats what became of them. Nothing here
// waits; what Append does when the log is full is inferlog.Options.Overflow.
package llmhook
