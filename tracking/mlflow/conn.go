package mlflow

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/tracking"
)

// The contracts that a Conn meets.
var (
	_ tracking.Store         = (*Conn)(nil)
	_ tracking.Sampler       = (*Conn)(nil)
	_ tracking.InputSearcher = (*Conn)(nil)
	_ tracking.ModelStore    = (*Conn)(nil)
	_ tracking.TraceStore    = (*Conn)(nil)
)

const (
	remoteAPI  = "/api/2.0/mlflow/"
	remoteAPI3 = "/api/3.0/mlflow/"
)

// ResponseError is a server's answer that is no success. It is of the kind
// that its code stands for: RESOURCE_DOES_NOT_EXIST is ErrNotFound,
// RESOURCE_ALREADY_EXISTS ErrExists, INVALID_PARAMETER_VALUE ErrInvalid, and
// so on; statuses that a retry may cure are ErrUnavailable, and a route that
// the server lacks ErrUnsupported. Refused credentials are of no kind.
type ResponseError struct {
	Status  int    // of HTTP
	Code    string // MLflow's error_code, or what the status stands for
	Message string // in the server's words

	answer mlflowclient.Answer
}

func responseError(a *mlflowclient.Answer) error {
	return &ResponseError{Status: a.Status, Code: a.Code, Message: a.Message, answer: *a}
}

// Error returns the message with the code and the kind.
func (e *ResponseError) Error() string { return e.answer.Error() }

// Unwrap returns what is of the error's kind.
func (e *ResponseError) Unwrap() error { return &e.answer }

// resendRefused is for requests that would make something a second time.
const resendRefused = mlflowclient.Refused

// apiCall is one call of the API, see mlflowclient.Call.
type apiCall struct {
	op, subject string
	method      string
	path        string
	query       url.Values
	message     any
	body        []byte
	contentType string
	header      http.Header
	rule        mlflowclient.Resend
	goneIsDone  bool
	final       func(*mlflowclient.Answer) bool
	passing     func(*mlflowclient.Answer) bool
	raw         bool
}

func (r *apiCall) call() mlflowclient.Call {
	return mlflowclient.Call{
		Op: r.op, Subject: r.subject, Method: r.method, Path: r.path, Query: r.query, Message: r.message, Body: r.body,
		ContentType: r.contentType, Header: r.header, Rule: r.rule, GoneIsDone: r.goneIsDone, Final: r.final, Passing: r.passing, Raw: r.raw,
	}
}

// fail puts the operation and its subject before err.
func (r *apiCall) fail(err error) error {
	c := r.call()
	return c.Fail(err)
}

// call sends r, again where that is safe, and decodes the answer into into.
func (c *Conn) call(ctx context.Context, r apiCall, into any) error {
	return c.client.Do(ctx, r.call(), into)
}

// errTooLarge is an answer above DialOptions.MaxResponse.
var errTooLarge = mlflowclient.ErrTooLarge

func shownSubject(s string) string { return mlflowclient.Shown(s) }

// Artifacts returns the files that the server keeps for its clients, those of
// artifact URIs with the scheme mlflow-artifacts; ErrUnsupported or
// ErrUnavailable come from a server that keeps none. A key is the path of such
// a URI without the slash in front.
//
// Bodies are streamed both ways and never held in memory. Put is sent again
// after a failure when its body is an io.Seeker. Files that come back short
// are an error of the reader, never a silent end. Listings have no times.
func (c *Conn) Artifacts() tracking.Artifacts { return c.client.Files() }

// Ping asks the server whether it is there and healthy.
func (c *Conn) Ping(ctx context.Context) error {
	return c.call(ctx, apiCall{op: "ping", method: http.MethodGet, path: "/health"}, nil)
}

// Version returns the version of MLflow that the server says it is, like
// "3.17.2".
func (c *Conn) Version(ctx context.Context) (string, error) {
	var text []byte
	err := c.call(ctx, apiCall{op: "read version", method: http.MethodGet, path: "/version", raw: true}, &text)
	const limit = 100
	return strings.Trim(string(text[:min(len(text), limit)]), "\" \r\n"), err
}

// apiGet and apiPost make the requests of the API.
func apiGet(op, subject, path string, query url.Values) apiCall {
	return apiCall{op: op, subject: subject, method: http.MethodGet, path: remoteAPI + path, query: query}
}

func apiPost(op, subject, path string, message any) apiCall {
	return apiCall{op: op, subject: subject, method: http.MethodPost, path: remoteAPI + path, message: message}
}
