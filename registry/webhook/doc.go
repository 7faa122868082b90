// Package webhook tells other systems what happens in a registry, by signed
// POST requests as MLflow sends them.
//
//	hooks, err := webhook.New(store, nil) // a registry/sqlstore.Store
//	if err != nil { … }
//	err = hooks.Start() // one process or several deliver
//	defer hooks.Shutdown(ctx)
//
//	_, err = hooks.Create(ctx, webhook.Draft{
//		Name: "deploy", URL: "https://ci.example.com/hook", Secret: secret,
//		Events: []webhook.Event{webhook.AliasSet},
//	})
//
// # Delivery
//
// The store queues an event for each webhook that wants it in the transaction
// of the change itself: no change is told that did not happen, and none that
// happened is lost, whatever dies. A worker sends what is queued, for each
// webhook one after the other, and removes what was answered with 2xx. Events
// of one model arrive in the order in which they happened. After a failure of
// the network, and the answers 408, 425, 429 and 5xx, it tries again, ever
// slower, for a day; any other answer, and an address that is not allowed, is
// final, and the event is kept as failed, see [Hooks.Failed] and
// [Hooks.Requeue].
//
// Delivery is at least once: a worker that dies between the answer and its
// note sends again. The id in [HeaderID] is the same in all attempts of one
// event to one webhook; receivers that must not act twice remember it.
//
// # Signature
//
// With a secret, [HeaderSignature] is "v1," and the base64 of the HMAC-SHA256
// of id, ".", timestamp, "." and the body, with the secret as key. [Verify]
// checks it in receivers written in Go. The timestamp is that of the attempt,
// so receivers may refuse old ones. Secrets are never returned; in the store
// they are encrypted when [Options.Keys] has a key.
//
// # Addresses
//
// Whoever may make a webhook chooses where this process connects to. So only
// https URLs are taken, and connections are made to public addresses alone.
// The address is checked when the connection is made, after the name was
// resolved, so a name that changes its mind in between gains nothing;
// redirects are not followed, and no proxy is used. Options allow plain http,
// and networks of your own.
package webhook
