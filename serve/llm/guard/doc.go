// Package guard has hooks for a gateway to language models that look at the texts
// of requests and answers: they take out what is personal, refuse what is not
// wanted, and bound lengths.
//
//	g, err := llm.New(upstreams, models, &llm.Options{Hooks: []llm.Hook{
//		guard.Limit(20_000, 8_000),
//		guard.Redact(guard.Personal(), nil),
//		guard.Deny([]string{"project nightfall"}, nil),
//	}})
//
// They work on texts and not on JSON: a letter that is written as an escape is that
// letter. What is a text is [llm.EditTexts]: messages, prompts, inputs, answers, the
// arguments of tools; not names, kinds or images.
//
// # Streams
//
// An answer is looked at as it comes. What may be the beginning of something is kept
// back until it is known whether it is, so that a pattern which spans two events, or
// twenty, is found: that is the last word as a rule, and a row of digits. Not more
// than [Options.Lookback] bytes are kept back. A pattern that is still open then is
// taken for one, and what goes on of it is left out.
//
// # What they find
//
// [Email], [Phone] (international, and of North America), [Card] (13 to 19 digits
// with a right check digit), [IBAN] (mod 97), [IPv4], [Key] (API keys of known forms,
// and JWTs). Names and streets have no form: nothing here finds them. [Regexp] makes
// a pattern of an expression. Words of [Deny] are found as whole words, in any case,
// and not where somebody has written them in another way.
//
// [Schema] holds answers against a JSON schema. An answer that is a stream has gone
// out when it is known: the client then gets an error in place of the end.
package guard
