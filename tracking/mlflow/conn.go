package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
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
	errorLimit = 64 << 10 // bytes of an error's body that are looked at
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

	known      bool // the body was an MLflow error
	final      bool // another attempt is in vain
	passing    bool // another attempt may succeed
	retryAfter time.Duration
	kind       error
}

// Error returns the message with the code and the kind.
func (e *ResponseError) Error() string {
	text := fmt.Sprintf("%s (%s, status %d)", e.Message, e.Code, e.Status)
	if e.kind != nil {
		text += ": " + e.kind.Error()
	}
	return text
}

// Unwrap returns the error kind, nil when there is none.
func (e *ResponseError) Unwrap() error { return e.kind }

// errTooLarge is an answer above DialOptions.MaxResponse.
var errTooLarge = fmt.Errorf("the answer is larger than MaxResponse, ask for smaller pages: %w", errs.ErrInvalid)

// apiCall is one call of the API.
type apiCall struct {
	op, subject string // for errors
	method      string
	path        string // below the base URL
	query       url.Values
	message     any    // a message of mlflowapi as the JSON body; nil for none
	body        []byte // in place of message
	contentType string // of body
	header      http.Header
	rule        resend
	// goneIsDone takes "not found" for success when an earlier attempt had an
	// unknown outcome: it was that one that removed the thing.
	goneIsDone bool
	// final reports an answer that another attempt will not change, though its
	// status promises that; may be nil.
	final func(*ResponseError) bool
	// passing reports an answer that another attempt may change, though its
	// status does not say so; may be nil.
	passing func(*ResponseError) bool
	raw     bool // into is a *[]byte that takes the body as it is
}

// call sends r, again where that is safe, and decodes the answer into into,
// nil when it does not matter.
func (c *Conn) call(ctx context.Context, r apiCall, into any) error {
	if err := ctx.Err(); err != nil {
		return r.fail(err)
	}
	if r.message != nil {
		r.body, r.contentType = mlflowapi.Append(nil, r.message), "application/json"
	}
	err := c.retry(ctx, r.rule, func(ctx context.Context, unknown int) error {
		err := c.attempt(ctx, &r, into)
		if answer, ok := errors.AsType[*ResponseError](err); ok {
			answer.final = r.final != nil && r.final(answer)
			answer.passing = r.passing != nil && r.passing(answer)
		}
		if unknown > 0 && r.goneIsDone && errors.Is(err, errs.ErrNotFound) {
			return nil
		}
		return err
	})
	if err == nil {
		return nil
	}
	if r.rule == resendRefused && !surelyRefused(err) && unknownOutcome(err) {
		err = fmt.Errorf("the server may have made it or not: %w", err)
	}
	return r.fail(err)
}

// fail puts the operation and its subject before err.
func (r *apiCall) fail(err error) error {
	if r.subject == "" {
		return fmt.Errorf("mlflow: %s: %w", r.op, err)
	}
	return fmt.Errorf("mlflow: %s %q: %w", r.op, shownSubject(r.subject), err)
}

func shownSubject(s string) string {
	const limit = 120
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// unknownOutcome reports an error that leaves open what the server did.
func unknownOutcome(err error) bool {
	var network *networkError
	var answer *ResponseError
	return errors.As(err, &network) || errors.As(err, &answer) && answer.Status >= 500 && answer.Status != http.StatusNotImplemented ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// attempt sends r once.
func (c *Conn) attempt(ctx context.Context, r *apiCall, into any) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := c.newRequest(ctx, r.method, c.url(r.path, r.query), body, r.header)
	if err != nil {
		return err
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	resp, err := c.do(req) //nolint:bodyclose // drainBody closes it
	if err != nil {
		return err
	}
	defer drainBody(resp.Body)
	if resp.StatusCode/100 != 2 {
		return readError(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, c.limit+1))
	switch {
	case err != nil:
		return c.network(err)
	case int64(len(data)) > c.limit:
		return errTooLarge
	case into == nil:
		return nil
	case r.raw:
		*into.(*[]byte) = data
		return nil
	}
	if err := mlflowapi.Decode(data, into); err != nil {
		return fmt.Errorf("%s answered status %d and no MLflow message, is it an MLflow server? %v: %w",
			c.host, resp.StatusCode, err, errs.ErrUnsupported)
	}
	return nil
}

// do sends a request; the error is a networkError.
func (c *Conn) do(req *http.Request) (*http.Response, error) {
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, c.network(err)
	}
	if resp.Request == nil { // of a RoundTripper that is not net/http's
		resp.Request = req
	}
	return resp, nil
}

// newRequest makes a request with the headers that all requests have.
func (c *Conn) newRequest(ctx context.Context, method, address string, body io.Reader, extra http.Header) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errs.ErrInvalid)
	}
	for _, h := range []http.Header{c.header, extra} {
		for key, values := range h {
			req.Header[http.CanonicalHeaderKey(key)] = values
		}
	}
	if host := req.Header.Get("Host"); host != "" { // net/http takes it from the field only
		req.Host = host
	}
	return req, nil
}

// readError makes a ResponseError of an answer that is no success.
func readError(resp *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, errorLimit)) // what is there of it is worth showing
	e := &ResponseError{Status: resp.StatusCode, retryAfter: retryAfter(resp.Header)}
	var body struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
		Detail  any    `json:"detail"` // of upstream's routes outside the API
	}
	if json.Unmarshal(data, &body) == nil {
		e.Code, e.Message = body.Code, body.Message
		e.known = body.Code != ""
		if e.Message == "" && body.Detail != nil {
			e.Message = fmt.Sprint(body.Detail)
		}
	}
	if e.Code == "" {
		e.Code = mlflowapi.FromStatus(e.Status, "").Code
	}
	e.kind = errorKind(e)
	if upstreamUserError(e) {
		e.kind, e.final = errs.ErrInvalid, true
	}
	if e.Message == "" {
		e.Message = e.hint(resp, data)
	}
	e.Message = strings.TrimRight(strings.TrimSpace(e.Message), ".")
	return e
}

// upstreamUserError recognises faults of the caller that upstream answers as
// its own, where every resend would be in vain.
func upstreamUserError(e *ResponseError) bool {
	return e.Status == http.StatusInternalServerError &&
		(strings.Contains(e.Message, "contains duplicate fields") || strings.Contains(e.Message, "has no attribute '"))
}

// errorKind finds the kind: by MLflow's code, else by the status.
func errorKind(e *ResponseError) error {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return errs.ErrUnavailable
	case http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusRequestURITooLong,
		http.StatusUnsupportedMediaType, http.StatusRequestHeaderFieldsTooLarge:
		return errs.ErrInvalid
	case http.StatusMethodNotAllowed:
		return errs.ErrUnsupported
	}
	if kind := errors.Unwrap(&mlflowapi.Error{Code: e.Code}); kind != nil {
		return kind
	}
	if e.Status/100 == 3 {
		return errs.ErrUnavailable
	}
	return nil
}

// hint is the message of an answer without one.
func (e *ResponseError) hint(resp *http.Response, body []byte) string {
	switch {
	case e.Status == http.StatusUnauthorized:
		return "the server wants other credentials, check Username and Password or Token"
	case e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed:
		return fmt.Sprintf("the server has no %s %s; is this an MLflow server, new enough, and the prefix of the URL right?",
			resp.Request.Method, resp.Request.URL.Path)
	case e.Status/100 == 3:
		return fmt.Sprintf("the server redirects to %q, dial that address", resp.Header.Get("Location"))
	}
	const shown = 300
	text := strings.ToValidUTF8(strings.Join(strings.Fields(string(body[:min(len(body), shown)])), " "), "")
	if text == "" {
		text = http.StatusText(e.Status)
	}
	return text
}

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
