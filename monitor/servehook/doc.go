// Package servehook feeds a monitor from a model server: it is a
// serve.Observer that turns each answered request into rows.
//
//	hook, err := servehook.New(m, &servehook.Options{Output: "late"})
//	server := serve.New(&serve.Options{Observers: []serve.Observer{hook}})
//
// A request of N rows is N observations, with the ids monitor.NewID(requestID,
// row): whoever knows the id of the request can label its rows later. Failed
// requests are counted and not observed.
//
// # Inputs
//
// Each feature of the monitor's reference is read from the input tensor of its
// name, of shape [N] or [N,1]; or all features from one tensor of shape [N,F],
// when Options.Inputs names just that. Numbers and BOOL become numbers, BYTES
// categories; integers and BOOL of a categorical feature are looked up by
// their decimal text and by "true" and "false". NaN is a missing value, the
// empty string a category.
//
// # Score
//
// The score is the output tensor Options.Output, of shape [N] or [N,1], or
// [N,2] for the probabilities of two classes, of which the second is taken.
//
// The hook works on the request's goroutine, at some nanoseconds a value, and
// allocates nothing once it is warm. After monitor.Reset it follows the new
// reference by itself.
package servehook
