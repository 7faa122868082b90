// Package semcache answers requests at a gateway to language models by answers to
// requests that mean the same, by the likeness of their embeddings.
//
//	embed := semcache.OpenAI("http://embeddings:8000/v1", "bge-m3", nil)
//	g, err := llm.New(upstreams, models, &llm.Options{Similar: semcache.New(embed, nil)})
//
// # What is alike
//
// Only the last message of the user, or the prompt of a completion, may differ: all
// else in the body is the same to the byte, from the messages before to parameters
// and the model, and so is the tenant ([Options.Share] lets tenants have each
// other's answers). Of those, the nearest by cosine answers if it is at least
// [Options.Threshold] near.
//
// Likeness is not sameness: "is it on?" and "is it off?" are near each other. Measure
// the threshold on requests of your own.
//
// # What is not kept
//
// Streams, requests with tools and answers that call them, answers that did not come
// to their end, and, unless [Options.Sampled] is set, requests that do not ask for
// the temperature 0.
//
// When the embeddings do not come in time the request goes on without: a cache is
// never the reason why one fails.
package semcache
