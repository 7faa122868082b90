package mlflowclient

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
)

const errorLimit = 64 << 10 // bytes of an error's body that are looked at

// Answer is a server's answer that is no success. It is of the kind
// that its code stands for: RESOURCE_DOES_NOT_EXIST is ErrNotFound,
// RESOURCE_ALREADY_EXISTS ErrExists, INVALID_PARAMETER_VALUE ErrInvalid, and
// so on; statuses that a retry may cure are ErrUnavailable, and a route that
// the server lacks ErrUnsupported. Refused credentials are of no kind.
type Answer struct {
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
func (e *Answer) Error() string {
	text := fmt.Sprintf("%s (%s, status %d)", e.Message, e.Code, e.Status)
	if e.kind != nil {
		text += ": " + e.kind.Error()
	}
	return text
}

// Unwrap returns the error kind, nil when there is none.
func (e *Answer) Unwrap() error { return e.kind }

// ErrTooLarge is an answer above Options.MaxResponse.
var ErrTooLarge = fmt.Errorf("the answer is larger than MaxResponse, ask for smaller pages: %w", errs.ErrInvalid)

// Call is one call of the API.
type Call struct {
	Op, Subject string // for errors
	Method      string
	Path        string // below the base URL
	Query       url.Values
	Message     any    // a message of mlflowapi as the JSON body; nil for none
	Body        []byte // in place of Message
	ContentType string // of body
	Header      http.Header
	Rule        Resend
	// GoneIsDone takes "not found" for success when an earlier attempt had an
	// unknown outcome: it was that one that removed the thing.
	GoneIsDone bool
	// Final reports an answer that another attempt will not change, though its
	// status promises that; may be nil.
	Final func(*Answer) bool
	// Passing reports an answer that another attempt may change, though its
	// status does not say so; may be nil.
	Passing func(*Answer) bool
	Raw     bool // into is a *[]byte that takes the body as it is
}

// Do sends r, again where that is safe, and decodes the answer into into,
// nil when it does not matter.
func (c *Client) Do(ctx context.Context, r Call, into any) error {
	if err := ctx.Err(); err != nil {
		return r.Fail(err)
	}
	if r.Message != nil {
		r.Body, r.ContentType = mlflowapi.Append(nil, r.Message), "application/json"
	}
	err := c.retry(ctx, r.Rule, func(ctx context.Context, unknown int) error {
		err := c.attempt(ctx, &r, into)
		if answer, ok := errors.AsType[*Answer](err); ok {
			answer.final = r.Final != nil && r.Final(answer)
			answer.passing = r.Passing != nil && r.Passing(answer)
		}
		if unknown > 0 && r.GoneIsDone && errors.Is(err, errs.ErrNotFound) {
			return nil
		}
		return err
	})
	if err == nil {
		return nil
	}
	if r.Rule == Refused && !surelyRefused(err) && unknownOutcome(err) {
		err = fmt.Errorf("the server may have made it or not: %w", err)
	}
	return r.Fail(err)
}

// Fail puts the operation and its subject before err.
func (r *Call) Fail(err error) error {
	if r.Subject == "" {
		return fmt.Errorf("mlflow: %s: %w", r.Op, err)
	}
	return fmt.Errorf("mlflow: %s %q: %w", r.Op, Shown(r.Subject), err)
}

// Shown is a text from outside, cut for an error.
func Shown(s string) string {
	const limit = 120
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// unknownOutcome reports an error that leaves open what the server did.
func unknownOutcome(err error) bool {
	var network *networkError
	var answer *Answer
	return errors.As(err, &network) || errors.As(err, &answer) && answer.Status >= 500 && answer.Status != http.StatusNotImplemented ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// attempt sends r once.
func (c *Client) attempt(ctx context.Context, r *Call, into any) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := c.newRequest(ctx, r.Method, c.url(r.Path, r.Query), body, r.Header)
	if err != nil {
		return err
	}
	if r.ContentType != "" {
		req.Header.Set("Content-Type", r.ContentType)
	}
	resp, err := c.do(req) //nolint:bodyclose // drainBody closes it
	if err != nil {
		return err
	}
	defer drainBody(resp.Body)
	if resp.StatusCode/100 != 2 {
		return c.refused(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, c.limit+1))
	switch {
	case err != nil:
		return c.network(err)
	case int64(len(data)) > c.limit:
		return ErrTooLarge
	case into == nil:
		return nil
	case r.Raw:
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
func (c *Client) do(req *http.Request) (*http.Response, error) {
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
func (c *Client) newRequest(ctx context.Context, method, address string, body io.Reader, extra http.Header) (*http.Request, error) {
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

// refused is the error of an answer that is no success.
func (c *Client) refused(resp *http.Response) error { return c.public(readError(resp)) }

// readError makes a Answer of an answer that is no success.
func readError(resp *http.Response) *Answer {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, errorLimit)) // what is there of it is worth showing
	e := &Answer{Status: resp.StatusCode, retryAfter: retryAfter(resp.Header)}
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
func upstreamUserError(e *Answer) bool {
	return e.Status == http.StatusInternalServerError &&
		(strings.Contains(e.Message, "contains duplicate fields") || strings.Contains(e.Message, "has no attribute '"))
}

// errorKind finds the kind: by MLflow's code, else by the status.
func errorKind(e *Answer) error {
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
func (e *Answer) hint(resp *http.Response, body []byte) string {
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
