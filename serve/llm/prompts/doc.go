// Package prompts renders prompts of a registry into requests at the gateway: who
// calls names a prompt and gives its variables, and never sees the text.
//
//	hook := prompts.New(prompts.SourceFunc(func(ctx context.Context, ref string) (prompts.Version, error) {
//		v, err := reg.Resolve(ctx, ref) // a registry.Registry
//		if err != nil {
//			return prompts.Version{}, err
//		}
//		return prompts.Version{Number: strconv.Itoa(v.Number), Tags: v.Tags}, nil
//	}), nil)
//	g, err := llm.New(upstreams, models, &llm.Options{Hooks: []llm.Hook{hook}})
//
// A request has one field more than OpenAI's, which does not reach the upstream:
//
//	{"model": "chat", "prompt_ref": {"name": "greet", "alias": "champion", "variables": {"name": "Ann"}}}
//
// "version" in place of "alias" names one version; with neither it is
// [Options.Alias]. Clients of OpenAI send it as an extra field (extra_body in
// Python's).
//
// # Prompts
//
// Prompts are MLflow's: a registered model with the tag mlflow.prompt.is_prompt,
// whose versions have the template in the tag mlflow.prompt.text. A text becomes
// one message of [Options.Role], or the prompt of a completion, or the input of an
// embedding; a chat becomes its messages. Messages of the client come behind.
// {{ name }} stands for a variable. Templates with Jinja's control flow are refused.
//
// # Variables
//
// All variables of the template have to be there, and no others: the answer is a
// 400 that names them all. A value is a text, a number or a boolean. It ends up
// inside of one message, whatever is in it: it is not looked through for
// variables, and it can make no message. Servers put messages together by marks
// such as <|im_start|>, and take them in a text for their own: values with such a
// mark are refused.
//
// # When the registry is away
//
// What was rendered once is kept, and asked for again after [Options.Refresh],
// behind the requests. While the registry does not answer, the last that it said
// goes on; when it says that a prompt is gone, it is gone. Aliases that move are
// seen within the same time.
//
// The name and the version stand in llm.Exchange, and in the header
// Millwright-Prompt of the answer.
package prompts
