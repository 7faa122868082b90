package mlflow

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/registry"
)

// DialOptions of Dial. The zero value is ready, and so is a nil pointer.
type DialOptions struct {
	// Client sends the requests. It is copied and never changed; its own
	// redirect policy and cookies are kept. A Timeout of it would also end
	// long transfers of files; use Timeout below instead. Default: a client
	// with a pool of connections of its own.
	Client *http.Client

	// Username and Password are sent as HTTP Basic. Default: those in the
	// URL, if it has any.
	Username, Password string

	// Token is sent as Authorization: Bearer. Not together with Username.
	Token string

	// Header is added to every request, for proxies and tenants, like
	// X-MLFLOW-WORKSPACE.
	Header http.Header

	// Retries is how often a request is sent again at most, where sending
	// again is safe. Default 5, -1 is never.
	Retries int

	// Backoff is the wait before the first resend. It doubles for each
	// further one up to 10 seconds, and is shortened at random by up to a
	// half. A server's Retry-After is waited for when it is longer, up to one
	// minute. Default 200 ms.
	Backoff time.Duration

	// Timeout bounds one attempt of a request, transfers of files excepted.
	// The context of the call bounds all attempts together. Default 1 minute,
	// -1 is none.
	Timeout time.Duration

	// MaxResponse is the largest answer that is read, in bytes after
	// decompression, files excepted. Default 256 MiB.
	MaxResponse int64
}

// Conn is a registry.Store on an MLflow server: ours, or upstream's from
// version 2.9 on. It keeps the contract of registry.Store as far as MLflow's
// REST API goes:
//
//   - Versions have no files, signature, metrics, datasets, code, licence or
//     key there. CreateVersion refuses a version that has any with
//     ErrUnsupported, and wants a Source; [registry.Registry.Declare] makes such versions.
//     Files reads what the source of a version names.
//   - There is no audit log: Audit answers ErrUnsupported, and so do History,
//     Promote, Rollback and VerifyAudit of a Registry. Record takes entries of
//     the kind KindAlias, without Evidence; who moved it and why is not kept.
//   - Compare-and-swap of an alias is a read and a write. Between the two
//     another client may move it.
//   - An update of several kinds is several requests, which may be carried out
//     in part.
//   - What is deleted is gone; nothing restores it.
//   - Times are the server's, whole milliseconds, and aliases have none.
//
// [registry.Registry.Watch] polls. A Conn is a plain value: no goroutine,
// nothing to close, safe for concurrent use.
type Conn struct{ client *mlflowclient.Client }

var (
	_ registry.Store    = (*Conn)(nil)
	_ registry.Notifier = (*Conn)(nil)
)

// Dial returns a Conn to the MLflow server at baseURL, which may have a path
// when the server runs behind a prefix: "https://ml.example.com/mlflow". It
// does no I/O; Ping does. ErrInvalid lists everything that is wrong with the
// URL and the options.
func Dial(baseURL string, opts *DialOptions) (*Conn, error) {
	client, err := mlflowclient.New(baseURL, (*mlflowclient.Options)(opts), responseError)
	if err != nil {
		return nil, err
	}
	return &Conn{client}, nil
}

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

// Ping asks the server whether it is there and healthy.
func (c *Conn) Ping(ctx context.Context) error {
	return c.client.Do(ctx, mlflowclient.Call{Op: "ping", Method: http.MethodGet, Path: "/health"}, nil)
}

// ServerVersion returns the version of MLflow that the server says it is, like
// "3.17.2".
func (c *Conn) ServerVersion(ctx context.Context) (string, error) {
	var text []byte
	err := c.client.Do(ctx, mlflowclient.Call{Op: "read version", Method: http.MethodGet, Path: "/version", Raw: true}, &text)
	return strings.Trim(cutBytes(string(text), 100), "\" \r\n"), err
}

// remote makes a request of the API.
func remote(op, subject, method, path string, message any) mlflowclient.Call {
	const api = "/api/2.0/mlflow/"
	return mlflowclient.Call{Op: op, Subject: subject, Method: method, Path: api + path, Message: message}
}

// do sends it and decodes the answer.
func do[M any](ctx context.Context, c *Conn, r mlflowclient.Call) (*M, error) {
	into := new(M)
	if err := c.client.Do(ctx, r, into); err != nil {
		return nil, err
	}
	return into, nil
}
